//! The commands for engines, streams, VPNs and events, run as a program against a node.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::api::commands::{command, err, out, run};
use crate::api::events::started;
use crate::bed::{Bed, KEY};

const KEYED: [(&str, &str); 1] = [("API_KEY", KEY)];

#[tokio::test(flavor = "multi_thread")]
async fn engines_and_streams_are_listed_and_stopped() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    bed.post("/events/stream_started", &started("k", "s", 901)).await;
    let engines = out(&run(&bed, &[], &["engine", "ls"]).await);
    let lines: Vec<&str> = engines.lines().collect();
    assert!(lines[0].starts_with("NAME") && lines[1].starts_with("acestream-901"), "{engines}");
    assert!(lines[1].contains("listed") && !engines.contains('\u{1b}'), "no colours in a pipe: {engines}");
    assert_eq!(out(&run(&bed, &[], &["engine", "ls", "--node", "a"]).await).lines().count(), 2);
    let json = out(&run(&bed, &[], &["engine", "ls", "-o", "json"]).await);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["streams"], &json[0]["node"]), (&json!(["k|s"]), &json!("a")));
    let streams = out(&run(&bed, &[], &["stream", "ls"]).await);
    let words: Vec<&str> = streams.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words[..3], ["k|s", "acestream-901", "a"], "{streams}");
    let started = run(&bed, &KEYED, &["engine", "start", "--node", "a"]).await;
    assert_eq!(started.status.code(), Some(0), "{}", err(&started));
    assert!(out(&started).contains("runs on a, at port 9"), "{}", out(&started));
    let unknown = run(&bed, &KEYED, &["engine", "start", "--node", "nobody"]).await;
    assert!(unknown.status.code() == Some(64) && err(&unknown).contains("nobody: no member is named so"));
    let stopped = out(&run(&bed, &KEYED, &["engine", "stop", "acestream-901"]).await);
    assert_eq!(stopped, "acestream-901 is stopped; 1 stream ended with it.\n");
    let ended = out(&run(&bed, &[], &["stream", "ls", "--ended"]).await);
    assert!(ended.contains("engine_gone") && ended.contains("acestream-901"), "{ended}");
    let vpns = out(&run(&bed, &[("ACEFLEET_URL", bed.address.as_str())], &["vpn"]).await);
    assert!(vpns.starts_with("VPN") && vpns.lines().count() == 1, "{vpns}");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_and_followed_through_the_end_of_the_node() {
    let beds = Bed::three().await;
    beds[0].engine(901).await;
    beds[0].post("/events/stream_started", &started("k", "first", 901)).await;
    let listed = out(&run(&beds[0], &[], &["events", "-n", "1", "--type", "stream"]).await);
    assert!(listed.ends_with("stream k|first started  (API key from 127.0.0.1)\n"), "{listed}");
    let arguments = ["events", "--follow", "-n", "1", "--type", "stream", "--json"];
    let (_dir, mut program) = command(&beds[2], &[], &arguments);
    let mut following = program.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = async || -> Value {
        let line = tokio::time::timeout(std::time::Duration::from_secs(20), lines.next_line()).await;
        serde_json::from_str(&line.expect("an event is missing").unwrap().unwrap()).unwrap()
    };
    assert_eq!(next().await["stream_id"], "k|first");
    let [a, b, c] = beds;
    c.stop().await;
    for session in ["second", "third"] {
        crate::bed::eventually("the event is taken", async || {
            let answer = b.post("/events/stream_started", &started("k", session, 901)).await;
            (answer.status == 200).then_some(())
        })
        .await;
    }
    assert_eq!(next().await["stream_id"], "k|second");
    assert_eq!(next().await["stream_id"], "k|third");
    following.kill().await.unwrap();
    drop(a);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_events_is_told_when_no_node_answers_any_more() {
    let bed = Bed::new().await;
    let (_dir, mut program) = command(&bed, &[], &["events", "--follow", "-n", "1"]);
    let program = program.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut following = program.spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    lines.next_line().await.unwrap();
    let mut complaints = BufReader::new(following.stderr.take().unwrap()).lines();
    bed.stop().await;
    let said = tokio::time::timeout(std::time::Duration::from_secs(20), complaints.next_line()).await;
    let said = said.expect("nothing is said").unwrap().unwrap();
    assert!(
        said.contains("no node says what happens, trying again") && said.contains("does not answer"),
        "{said}"
    );
    following.kill().await.unwrap();
}

#[tokio::test]
async fn shells_and_manuals_know_the_commands() {
    let bed = Bed::new().await;
    let script = out(&run(&bed, &[], &["completions", "bash"]).await);
    assert!(script.contains("_acefleet()") && script.contains("engine"), "{}", script.len());
    let page = out(&run(&bed, &[], &["man"]).await);
    assert!(page.contains(".TH acefleet 1") && page.contains("drain"), "{}", page.len());
}
