//! `GET /cluster/backup`: what the file holds, and who gets it.

use std::path::Path;

use acefleet::access::hash;
use acefleet_raft::backup::{self, Backup, Unsound};
use acefleet_registry::{Access, KeyHash, Level};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde_json::json;

use crate::api::events::started;
use crate::bed::{Bed, KEY, eventually};

async fn fetched(bed: &Bed, query: &str, dir: &Path) -> Backup {
    let url = format!("http://{}/cluster/backup{query}", bed.address);
    let answer = reqwest::Client::new().get(url).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/octet-stream");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let length: usize = answer.headers()[CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
    let revision: u64 = answer.headers()["x-acefleet-revision"].to_str().unwrap().parse().unwrap();
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(bytes.len(), length);
    std::fs::write(dir.join("file"), bytes).unwrap();
    let backup = backup::read(&dir.join("file")).unwrap();
    assert_eq!(backup.header.revision, revision);
    backup
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_gives_all_that_it_knows_to_those_with_the_key() {
    let beds = Bed::three().await;
    let dir = tempfile::tempdir().unwrap();
    beds[0].engine(901).await;
    beds[0].post("/events/stream_started", &started("a-film", "a-session", 901)).await;
    let revision = beds[0].fleet.view().revision;
    for bed in &beds {
        assert_eq!(bed.get("/cluster/backup").await.status, 401);
        assert_eq!(bed.send("GET", "/cluster/backup", &[("x-api-key", "wrong")], "").await.status, 403);
        assert_eq!(
            bed.call("GET", "/cluster/backup?redact=maybe", &serde_json::Value::Null).await.status,
            422
        );
        bed.get(&format!("/cluster?min_revision={revision}")).await;
        let backup = fetched(bed, "", dir.path()).await;
        assert!(backup.header.revision >= revision && !backup.header.redacted);
        assert_eq!(Some(&backup.header.cluster_id), bed.fleet.cluster().cluster_id().as_ref());
        assert_eq!(backup.header.node, bed.fleet.config().node_name);
        let mut names: Vec<_> = backup.members().into_iter().map(|member| member.name).collect();
        names.sort();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(backup.sound(), Ok(()));
        assert_eq!(backup.state.access(), Some(Access::Key(hash(KEY.as_bytes()))));
        let text = format!("{:?}", backup.state);
        assert!(text.contains("a-film") && text.contains("127.0.0.1") && !text.contains(KEY));
        let files = std::fs::read_dir(bed.fleet.config().data_dir.join("snapshots")).unwrap();
        let left =
            files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tmp"));
        assert_eq!(left.count(), 0, "the file has a name");
    }
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redacted_one_says_nothing_of_people() {
    let bed = Bed::new().await;
    let dir = tempfile::tempdir().unwrap();
    bed.engine(901).await;
    bed.post("/events/stream_started", &started("a-film", "a-session", 901)).await;
    bed.post("/cluster/nodes/a/cordon", &serde_json::Value::Null).await;
    eventually("backups are noted", async || {
        (bed.fleet.view().state.level() >= Level::NOTES_BACKUPS).then_some(())
    })
    .await;
    let whole = fetched(&bed, "", dir.path()).await;
    let caller = whole.state.events().iter().filter_map(|event| event.by.as_ref()).next_back();
    assert_eq!(caller.unwrap().actor.address.as_deref(), Some("127.0.0.1"));

    let redacted = fetched(&bed, "?redact=true", dir.path()).await;
    assert!(redacted.header.redacted);
    assert_eq!(redacted.state.check(), Ok(()));
    assert_eq!(redacted.sound(), Err(Unsound::Redacted));
    let text = format!("{:?}", redacted.state);
    for word in ["a-film", "a-session", "/ace/", "blue"] {
        assert!(!text.contains(word), "{word} is in {text}");
    }
    assert_eq!(redacted.state.access(), Some(Access::Key(KeyHash([0; 32]))));
    assert!(
        redacted
            .state
            .events()
            .iter()
            .all(|event| { event.by.as_ref().is_none_or(|by| by.actor.address.is_none()) })
    );
    assert_eq!(redacted.state.stream_counts(), whole.state.stream_counts());
    // The second one says that the first one was taken.
    assert_eq!(redacted.state.events().len(), whole.state.events().len() + 1);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_who_took_a_backup() {
    let bed = Bed::new().await;
    eventually("all members know the command", async || {
        (bed.fleet.view().state.level() >= Level::NOTES_BACKUPS).then_some(())
    })
    .await;
    let made = bed.post("/keys", &json!({"name": "nightly", "role": "admin"})).await;
    let key = made.json()["key"].as_str().unwrap().to_owned();
    for path in ["/cluster/backup", "/cluster/backup?redact=true"] {
        assert_eq!(bed.send("GET", path, &[("x-api-key", &key)], "").await.status, 200);
    }
    let taken = bed.get("/events?category=backup_taken").await.json();
    let told: Vec<_> =
        taken.as_array().unwrap().iter().map(|event| (&event["message"], &event["by"])).collect();
    let by = json!({"name": "nightly", "key": "nightly", "address": "127.0.0.1", "node": "a"});
    let messages = [json!("a redacted backup was taken from a"), json!("a backup was taken from a")];
    assert_eq!(told, [(&messages[0], &by), (&messages[1], &by)]);
    let audit = bed.get("/events?category=audit&limit=1").await.json();
    assert_eq!((&audit[0]["category"], &audit[0]["details"]["node"]), (&json!("backup_taken"), &json!("a")));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_given_without_a_leader_though_nobody_can_note_it() {
    let [a, b, c] = Bed::three().await;
    b.stop().await;
    c.stop().await;
    eventually("there is no leader", async || (!a.fleet.has_leader()).then_some(())).await;
    let began = std::time::Instant::now();
    let answer = a.call("GET", "/cluster/backup", &serde_json::Value::Null).await;
    assert_eq!(answer.status, 200);
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    a.stop().await;
}
