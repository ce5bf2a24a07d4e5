//! Join tokens on a real node: made by the program, used by the program on another host, listed, revoked.

use acefleet_registry::Level;
use serde_json::{Value, json};

use crate::api::commands::{err, out, run};
use crate::bed::{Bed, KEY, eventually};

async fn ready(bed: &Bed) {
    eventually("all members know join tokens, and the time of day", async || {
        let state = &bed.fleet.view().state;
        (state.level() >= Level::JOIN_TOKENS && state.wall(state.clock_ms()).is_some()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_line_lets_a_host_join_that_has_nothing_else() {
    let bed = Bed::new().await;
    ready(&bed).await;
    let key = [("API_KEY", KEY)];
    let made = run(&bed, &key, &["token", "create", "--ttl", "10m"]).await;
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    assert!(err(&made).contains("counts for one node, until "), "{}", err(&made));
    let line = out(&made);
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words.len(), 5, "{line}");
    assert_eq!((words[0], words[1], words[3]), ("acefleet", "join", "--token"), "{line}");

    let host = tempfile::tempdir().unwrap();
    let data = host.path().join("data");
    let settings = |name| {
        [
            ("ACEFLEET_DATA_DIR", data.to_str().unwrap()),
            ("ACEFLEET_NODE_NAME", name),
            ("ACEFLEET_ADVERTISE", "127.0.0.1"),
            ("DOCKER_HOST", "unix:///nowhere.sock"),
            ("PORT_RANGE_HOST", "1000-1029"),
            ("API_KEY", KEY),
        ]
    };
    // Its name is taken, which costs no use.
    let taken = run(&bed, &settings("a"), &words[1..]).await;
    assert_eq!(taken.status.code(), Some(64), "{}", err(&taken));
    let joined = run(&bed, &settings("d"), &words[1..]).await;
    assert_eq!(joined.status.code(), Some(0), "{}", err(&joined));
    assert!(out(&joined).contains("d is ready to join cluster"), "{}", out(&joined));
    let own = acefleet_raft::kept_secret(&bed.fleet.config().data_dir).unwrap().unwrap();
    assert_eq!(acefleet_raft::kept_secret(&data).unwrap(), Some(own));

    let second = tempfile::tempdir().unwrap();
    let mut elsewhere = settings("e");
    elsewhere[0].1 = second.path().to_str().unwrap();
    let refused = run(&bed, &elsewhere, &words[1..]).await;
    assert_eq!(refused.status.code(), Some(64), "{}", err(&refused));
    assert!(err(&refused).contains("is used up"), "{}", err(&refused));
    assert!(!second.path().join("node.json").exists());

    let listed = bed.call("GET", "/cluster/tokens", &Value::Null).await;
    assert!(!listed.text.contains(words[4]), "nobody keeps it");
    let entry = &listed.json()[0];
    assert_eq!(
        (&entry["uses"], &entry["ended"], &entry["used_by"]),
        (&json!(1), &json!(false), &json!(["d"]))
    );
    let id = entry["id"].as_str().unwrap().to_owned();
    let shown = out(&run(&bed, &key, &["token", "ls"]).await);
    assert!(shown.contains(&id) && shown.contains("1 of 1: d"), "{shown}");
    let revoked = run(&bed, &key, &["token", "revoke", &id]).await;
    assert_eq!(out(&revoked), format!("the join token {id} is revoked\n"));
    let again = run(&bed, &elsewhere, &words[1..]).await;
    assert_eq!(again.status.code(), Some(75), "{}", err(&again));
    assert!(err(&again).contains("does not know this join token"), "{}", err(&again));
    for (id, status) in [(id.as_str(), 404), ("nothing", 404), ("a%2Fb", 404)] {
        assert_eq!(bed.call("DELETE", &format!("/cluster/tokens/{id}"), &Value::Null).await.status, status);
    }
    let told = bed.get("/events?limit=100").await.text;
    for category in ["join_token_created", "join_token_used", "join_token_revoked"] {
        assert!(told.contains(category), "{category}: {told}");
    }
    assert!(!told.contains(words[4]), "the log names no token");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_node_makes_tokens_for_its_own_host_alone() {
    let bed = Bed::with(&[("ACEFLEET_OPEN", "true")]).await;
    ready(&bed).await;
    let refused = bed.send("POST", "/cluster/tokens", &[("content-type", "application/json")], "{}").await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.text.contains("acefleet token create"), "{refused:?}");
    let token = acefleet::access::token_here(&bed.fleet.config().data_dir).unwrap().unwrap();
    let headers = [("content-type", "application/json"), ("x-api-key", token.exposed())];
    let made = bed.send("POST", "/cluster/tokens", &headers, "{}").await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(made.header("cache-control"), "no-store");
    bed.stop().await;
}
