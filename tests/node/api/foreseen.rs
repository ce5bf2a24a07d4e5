//! Players that start at once are led to engines of their own, by what the real client reads and nothing else.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::Value;

use crate::api::events::started;
use crate::bed::{Bed, KEY, eventually};

/// What Acexy does with a list: the started streams of each engine, one after another, then the best by its rule.
async fn choose(bed: &Bed, engines: &[Value]) -> String {
    let mut best: Option<(usize, String, String)> = None;
    for engine in engines {
        let id = engine["container_id"].as_str().unwrap();
        let streams = bed.get(&format!("/streams?container_id={id}&status=started")).await.json();
        let last = engine["last_stream_usage"].as_str().unwrap_or("").to_owned();
        let rank = (streams.as_array().unwrap().len(), last, id.to_owned());
        if best.as_ref().is_none_or(|best| (rank.0, &rank.1) < (best.0, &best.1)) {
            best = Some(rank);
        }
    }
    best.unwrap().2
}

async fn list(bed: &Bed) -> Vec<Value> {
    bed.get("/engines").await.json().as_array().unwrap().clone()
}

/// Three nodes that all list so many engines, in the same second of the cluster's life.
async fn three_with_engines(count: u16, settings: &[(&str, &str)]) -> [Bed; 3] {
    let beds = Bed::three_with(settings).await;
    for n in 0..count {
        beds[usize::from(n) % 3].engine(9_000 + n).await;
    }
    for bed in &beds {
        eventually("all engines are listed", async || {
            (list(bed).await.len() == usize::from(count)).then_some(())
        })
        .await;
    }
    beds
}

fn readers(chosen: &[String]) -> BTreeMap<&String, usize> {
    let mut readers = BTreeMap::new();
    for id in chosen {
        *readers.entry(id).or_default() += 1;
    }
    readers
}

/// Players that start at once, each with one of three proxies that ask a node each.
async fn burst(beds: &[Bed; 3], players: usize) -> Vec<String> {
    let lists = join_all(beds.iter().map(list)).await;
    join_all((0..players).map(|n| choose(&beds[n % 3], &lists[n % 3]))).await
}

#[tokio::test]
async fn thirty_players_at_once_over_three_nodes_get_an_engine_each() {
    let beds = three_with_engines(30, &[("API_KEY", KEY)]).await;
    let chosen = burst(&beds, 30).await;
    assert_eq!(readers(&chosen).len(), 30, "{chosen:?}");
    // It is no stream, and taken by nobody who counts.
    assert_eq!(beds[0].get("/streams").await.text, "[]");
    let capacity = beds[1].get("/orchestrator/status").await.json()["capacity"].clone();
    assert_eq!((&capacity["used"], &capacity["available"]), (&0.into(), &30.into()), "{capacity}");
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test]
async fn without_the_setting_they_share_one() {
    let beds = three_with_engines(6, &[("API_KEY", KEY), ("ACEFLEET_FORESEE", "false")]).await;
    assert_eq!(readers(&burst(&beds, 6).await).len(), 1, "so the test above can fail");
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test]
async fn players_one_after_another_get_the_engines_that_they_would_get_anyway() {
    for foresee in ["true", "false"] {
        let bed = Bed::with(&[("API_KEY", KEY), ("ACEFLEET_FORESEE", foresee)]).await;
        for port in 9_000..9_004 {
            bed.engine(port).await;
        }
        let mut chosen = Vec::new();
        for n in 0..4u16 {
            let engines = list(&bed).await;
            let id = choose(&bed, &engines).await;
            let port = engines.iter().find(|engine| engine["container_id"] == *id).unwrap()["port"].clone();
            let port = u16::try_from(port.as_u64().unwrap()).unwrap();
            bed.post("/events/stream_started", &started("k", &format!("s{n}"), port)).await;
            chosen.push(port);
        }
        assert_eq!(chosen, [9_000, 9_001, 9_002, 9_003], "foresee={foresee}");
        bed.stop().await;
    }
}

#[tokio::test]
async fn a_reader_that_stops_half_way_or_follows_the_list_marks_nothing() {
    let bed = Bed::with(&[("API_KEY", KEY)]).await;
    for port in 9_000..9_003 {
        bed.engine(port).await;
    }
    let engines = list(&bed).await;
    let first = engines[0]["container_id"].as_str().unwrap();
    let of_first = format!("/streams?container_id={first}&status=started");
    assert_eq!(bed.get(&of_first).await.text, "[]");
    eventually("the mark is taken back", async || {
        let ends = bed.get("/metrics").await.text;
        ends.contains("acefleet_foreseen_total{end=\"unfinished\"} 1").then_some(())
    })
    .await;
    assert_eq!(choose(&bed, &list(&bed).await).await, first);
    // Who asks with a tag follows the list, and sees true counts.
    let asked = [("if-none-match", "\"some\"")];
    for engine in &engines {
        let id = engine["container_id"].as_str().unwrap();
        let path = format!("/streams?container_id={id}&status=started");
        assert_eq!(bed.send("GET", &path, &asked, "").await.text, "[]");
    }
    bed.stop().await;
}
