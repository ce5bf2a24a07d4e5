//! `acefleet debug bundle`, run as a program against three nodes of which one is gone.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::api::commands::{command, err, out, run};
use crate::bed::{Bed, SECRET};

const KEY: &str = "seeded-key-of-the-api-41f7";
const VPN_KEY: &str = "seeded-key-of-the-vpn-b5d3";
const OF_ENGINE: &str = "seeded-password-of-an-engine-77aa";
const OF_BUCKET: &str = "seeded-key-of-a-bucket-0c11";
const SEEDS: [&str; 5] = [KEY, VPN_KEY, OF_ENGINE, OF_BUCKET, SECRET];

/// Settings of the host on which the program runs.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("API_KEY", KEY),
    ("ACEFLEET_CLUSTER_SECRET", SECRET),
    ("GLUETUN_CONTAINER_NAME", "gluetun"),
    ("GLUETUN_API_KEY", VPN_KEY),
    ("AWS_SECRET_ACCESS_KEY", OF_BUCKET),
];

/// The parts of a bundle, by their paths below its folder.
fn parts(packed: &[u8]) -> BTreeMap<String, String> {
    let mut tar = tar::Archive::new(zstd::Decoder::new(packed).unwrap());
    let entries = tar.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert_eq!(entry.header().mode().unwrap(), 0o600, "{}", path.display());
        (path.iter().skip(1).collect::<std::path::PathBuf>().display().to_string(), text)
    });
    entries.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_has_what_all_nodes_say_and_no_secret() {
    let [a, b, c] = Bed::three_with(&[("API_KEY", KEY)]).await;
    let wanted = json!({"image": "", "env": {"PASSWORD": OF_ENGINE}, "labels": {}});
    let bearer = format!("Bearer {KEY}");
    let asked =
        a.send("POST", "/provision/acestream", &[("authorization", &bearer)], &wanted.to_string()).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    c.stop().await;
    for (bed, name) in [(&a, "a"), (&b, "b")] {
        bed.own_log.push(format!("a line of {name}\n").as_bytes());
    }
    let unknown = a.send("GET", "/cluster/nodes/x/log", &[("authorization", &bearer)], "").await;
    let keyless = a.get("/cluster/nodes/b/log").await;
    assert!(unknown.status == 404 && keyless.status == 401, "{unknown:?} {keyless:?}");
    let (dir, mut command) =
        command(&a, &ENVIRONMENT, &["debug", "bundle", "-o", "x.tar.zst", "--timeout", "5"]);
    let made = command.output().await.unwrap();
    assert_eq!((made.status.code(), err(&made).as_str()), (Some(0), ""));
    let file = dir.path().join("x.tar.zst");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let parts = parts(&std::fs::read(&file).unwrap());
    for node in ["a", "b"] {
        for part in ["cluster", "status", "plan", "health", "widget", "ready", "settings", "events"] {
            let text = &parts[&format!("nodes/{node}/{part}.json")];
            let said: Value =
                serde_json::from_str(text).unwrap_or_else(|error| panic!("{part}: {error}: {text}"));
            assert!(said.is_object() || said.is_array(), "{part}: {said}");
        }
        assert!(parts[&format!("nodes/{node}/metrics.txt")].contains("acefleet_raft_"));
        // The node that was named has the key, and asks the others.
        assert_eq!(parts[&format!("nodes/{node}/node.log")], format!("a line of {node}\n"));
    }
    let own: Value = serde_json::from_str(&parts["nodes/b/cluster.json"]).unwrap();
    assert_eq!(own["node"], "b", "each node is asked for what it sees itself");
    let versions: Value = serde_json::from_str(&parts["versions.json"]).unwrap();
    assert_eq!(versions["nodes"]["a"], versions["program"]);
    assert!(!parts.keys().any(|path| path.starts_with("nodes/c")), "{:?}", parts.keys());
    for place in [&parts["README.txt"], &out(&made)] {
        assert!(place.contains("left out: nodes/c: ") && place.contains("newest log lines alone"), "{place}");
        assert!(!place.contains("a secret was masked"), "{place}");
    }
    assert!(parts["settings.txt"].contains("API_KEY") && parts["settings.txt"].contains("(secret)"));
    for (path, text) in
        parts.iter().map(|(path, text)| (path.as_str(), text)).chain([("the output", &out(&made))])
    {
        for seed in SEEDS {
            assert!(!text.contains(seed), "{path} has {seed} in it");
        }
    }
    for bed in [a, b] {
        bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_reads_need_a_key_the_nodes_that_are_named_are_shown_it() {
    let [a, b, c] = Bed::three_with(&[("API_KEY", KEY), ("ACEFLEET_READS", "key")]).await;
    let named = format!("{},{}", a.address, b.address);
    let (dir, mut command) = command(
        &a,
        &[],
        &["debug", "bundle", "-o", "x", "--timeout", "5", "--url", &named, "--api-key", KEY],
    );
    let made = command.output().await.unwrap();
    assert_eq!((made.status.code(), err(&made).as_str()), (Some(0), ""));
    let parts = parts(&std::fs::read(dir.path().join("x")).unwrap());
    for node in ["a", "b"] {
        let said: Value = serde_json::from_str(&parts[&format!("nodes/{node}/cluster.json")]).unwrap();
        assert_eq!(said["node"], node);
    }
    assert!(!parts.contains_key("nodes/c/cluster.json"), "it was shown the key, and nobody named it");
    assert!(
        out(&made).contains("nodes/c/cluster.json: it answers 401") && out(&made).contains("--url"),
        "{}",
        out(&made)
    );
    assert!(parts.values().all(|text| !text.contains(KEY)));
    for bed in [a, b, c] {
        bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_made_without_any_node_and_replaces_nothing() {
    let bed = Bed::new().await;
    let dead = ["debug", "bundle", "-o", "-", "--timeout", "2", "--url", "127.0.0.1:1"];
    let made = run(&bed, &ENVIRONMENT, &dead).await;
    assert_eq!(made.status.code(), Some(75), "{}", err(&made));
    assert!(err(&made).contains("no node answered"), "{}", err(&made));
    let found = parts(&made.stdout);
    assert!(found["README.txt"].contains("left out: what 127.0.0.1:1 says"), "{}", found["README.txt"]);
    assert!(found.contains_key("settings.txt") && found.contains_key("versions.json"));

    let refused = [("DOCKER_HOST", "tcp://user:seeded-password-8e3a@127.0.0.1:1")];
    let broken = run(&bed, &refused, &["debug", "bundle", "-o", "-"]).await;
    assert_eq!(broken.status.code(), Some(75), "{}", err(&broken));
    let settings = &parts(&broken.stdout)["settings.txt"];
    assert!(settings.contains("user and password are not supported"), "what is wrong is in it: {settings}");
    assert!(!settings.contains("seeded-password"), "{settings}");

    let (dir, mut command) = command(&bed, &ENVIRONMENT, &["debug", "bundle", "-o", "x"]);
    std::fs::write(dir.path().join("x"), "mine").unwrap();
    let refused = command.output().await.unwrap();
    assert_eq!(refused.status.code(), Some(64), "{}", err(&refused));
    assert!(err(&refused).contains("--force"), "{}", err(&refused));
    assert_eq!(std::fs::read(dir.path().join("x")).unwrap(), b"mine");
    bed.stop().await;
}
