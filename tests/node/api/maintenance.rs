//! `acefleet maintenance`, run as a program against three nodes.

use std::process::Output;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::api::commands::{command, err, out, run};
use crate::api::events::started;
use crate::bed::{Bed, KEY, eventually};

const LONGEST: Duration = Duration::from_secs(60);

async fn maintain(bed: &Bed, arguments: &[&str]) -> Output {
    let arguments = [&["maintenance"], arguments].concat();
    let run = run(bed, &[("API_KEY", KEY)], &arguments);
    tokio::time::timeout(LONGEST, run).await.expect("the command ends")
}

async fn member(bed: &Bed, name: &str) -> Value {
    let cluster = bed.get("/cluster").await.json();
    cluster["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap().clone()
}

async fn leader(bed: &Bed) -> String {
    eventually("there is a leader", async || {
        bed.get("/cluster").await.json()["leader"].as_str().map(str::to_owned)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_emptied_and_taken_back() {
    let beds = Bed::three().await;
    let name = leader(&beds[0]).await;
    let other = beds.iter().find(|bed| bed.fleet.config().node_name != name).unwrap();

    let planned = maintain(other, &["begin", &name, "--dry-run"]).await;
    assert_eq!(planned.status.code(), Some(0), "{}", err(&planned));
    for part in
        ["1. drain", "0 engines with 0 streams", "let another node lead", "2 of 3 voters", "0 may fail"]
    {
        assert!(out(&planned).contains(part), "{part} is not in {}", out(&planned));
    }
    assert_eq!(member(other, &name).await["availability"], "active", "a dry run changes nothing");

    let begun = maintain(other, &["begin", &name]).await;
    assert_eq!(begun.status.code(), Some(0), "{}", err(&begun));
    assert!(out(&begun).contains(&format!("acefleet maintenance end {name}")), "{}", out(&begun));
    assert_ne!(leader(other).await, name);
    assert_eq!(member(other, &name).await["availability"], "draining");
    let again = maintain(other, &["begin", &name]).await;
    assert_eq!(again.status.code(), Some(0), "{}", err(&again));

    // Somebody has let it lead again meanwhile.
    assert_eq!(other.post(&format!("/cluster/nodes/{name}/lead"), &Value::Null).await.status, 200);
    let again = maintain(other, &["begin", &name]).await;
    assert_eq!(again.status.code(), Some(0), "{}", err(&again));
    assert_ne!(leader(other).await, name);

    let planned = maintain(other, &["end", &name, "--dry-run"]).await;
    assert!(out(&planned).contains("would let"), "{}", out(&planned));
    assert_eq!(member(other, &name).await["availability"], "draining");
    for was_begun in [true, false] {
        let ended = maintain(other, &["end", &name]).await;
        assert_eq!(ended.status.code(), Some(0), "{}", err(&ended));
        assert!(out(&ended).contains("active"), "{}", out(&ended));
        assert_eq!(out(&ended).contains("Nothing was begun"), !was_begun, "{}", out(&ended));
    }
    let program = maintain(other, &["end", &name, "-o", "json"]).await;
    let answer: Value = serde_json::from_str(&out(&program)).unwrap();
    assert_eq!(answer["availability"], "active");
    for (arguments, said) in
        [(["begin", "nobody"], "nobody: no member"), (["end", "nobody"], "nobody: no member")]
    {
        let refused = maintain(other, &arguments).await;
        assert_eq!(refused.status.code(), Some(64), "{}", err(&refused));
        assert!(err(&refused).contains(said), "{}", err(&refused));
    }
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_which_no_majority_is_left_stays_in_use() {
    let alone = Bed::new().await;
    for arguments in [&["begin"][..], &["begin", "--dry-run"]] {
        let refused = maintain(&alone, arguments).await;
        assert_eq!(refused.status.code(), Some(64), "{}", err(&refused));
        assert!(err(&refused).contains("0 of 1 voters would answer"), "{}", err(&refused));
    }
    assert_eq!(member(&alone, "a").await["availability"], "active");
    let forced = maintain(&alone, &["begin", "--force"]).await;
    assert_eq!(forced.status.code(), Some(0), "{}", err(&forced));
    assert!(err(&forced).contains("no other voter can lead"), "{}", err(&forced));
    alone.stop().await;

    let [a, b, c] = Bed::three().await;
    c.stop().await;
    let refused = maintain(&a, &["begin", "b"]).await;
    assert_eq!(refused.status.code(), Some(64), "{}", err(&refused));
    assert!(err(&refused).contains("1 of 3 voters would answer, and 2 are needed"), "{}", err(&refused));
    assert_eq!(member(&a, "b").await["availability"], "active");
    // The one that is away changes nothing by being away.
    let begun = maintain(&a, &["begin", "c"]).await;
    assert_eq!(begun.status.code(), Some(0), "{}", err(&begun));
    let awaited = maintain(&a, &["end", "c", "--timeout", "2"]).await;
    assert_eq!(awaited.status.code(), Some(75), "{}", err(&awaited));
    assert!(err(&awaited).contains("c is left as it is: repeat this"), "{}", err(&awaited));
    assert_eq!(member(&a, "c").await["availability"], "draining");
    for bed in [a, b] {
        bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_ends_early_says_what_it_leaves() {
    let [a, b, c] = Bed::three().await;
    b.engine(911).await;
    assert_eq!(a.post("/events/stream_started", &started("k", "s", 911)).await.status, 200);
    let late = maintain(&a, &["begin", "b", "--timeout", "2"]).await;
    assert_eq!(late.status.code(), Some(75), "{}", err(&late));
    for part in
        ["b drains: 1 engine with 1 stream left", "not done within 2 s", "b is left draining: repeat this"]
    {
        assert!(err(&late).contains(part), "{part} is not in {}", err(&late));
    }
    let (_dir, mut command) = command(&a, &[("API_KEY", KEY)], &["maintenance", "begin", "b"]);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let interrupted = async {
        while !lines.next_line().await.unwrap().unwrap().contains("b drains: ") {}
        kill(pid, Signal::SIGINT).unwrap();
        let mut rest = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            rest += &line;
        }
        (child.wait().await.unwrap().code(), rest)
    };
    let (code, said) = tokio::time::timeout(LONGEST, interrupted).await.expect("it ends");
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("interrupted; b is left draining: repeat this to go on"), "{said}");
    assert_eq!(member(&a, "b").await["availability"], "draining");
    for bed in [a, b, c] {
        bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_to_return_is_used_again_when_it_has_started() {
    let [a, b, c] = Bed::three().await;
    let planned = maintain(&a, &["begin", "c", "--return", "--dry-run"]).await;
    assert!(out(&planned).contains("use it again when its node"), "{}", out(&planned));
    // A drain by hand may come first.
    assert_eq!(a.post("/cluster/nodes/c/drain", &Value::Null).await.status, 200);
    assert_eq!(member(&a, "c").await["drain"]["returns"], false);
    let begun = maintain(&a, &["begin", "c", "--return"]).await;
    assert_eq!(begun.status.code(), Some(0), "{}", err(&begun));
    for part in ["draining until it returns", "It is used again when its node has started"] {
        assert!(out(&begun).contains(part), "{part} is not in {}", out(&begun));
    }
    assert_eq!(member(&a, "c").await["drain"]["returns"], true);

    let c = c.restart().await;
    eventually("it is used again", async || {
        (member(&a, "c").await["availability"] == "active").then_some(())
    })
    .await;
    let events = a.get("/events").await.text;
    assert!(events.contains("c has returned and takes new engines again"), "{events}");

    // What an operator wants afterwards counts.
    assert_eq!(maintain(&a, &["begin", "c", "--return"]).await.status.code(), Some(0));
    assert_eq!(a.post("/cluster/nodes/c/cordon", &Value::Null).await.status, 200);
    let c = c.restart().await;
    eventually("its Docker answers again", async || {
        let now = member(&a, "c").await;
        (c.fleet.cluster().has_recovered() && now["docker"] == "available").then_some(())
    })
    .await;
    assert_eq!(member(&a, "c").await["availability"], "cordoned");
    for bed in [a, b, c] {
        bed.stop().await;
    }
}
