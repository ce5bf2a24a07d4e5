//! `GET /cluster/backup`: what the file holds, and who gets it.

use std::path::Path;

use acefleet::access::hash;
use acefleet_raft::backup::{self, Backup};
use acefleet_registry::{Access, KeyHash};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};

use crate::api::events::started;
use crate::bed::{Bed, KEY};

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
        assert_eq!(backup.state.check(), Ok(()));
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
    let whole = fetched(&bed, "", dir.path()).await;
    let caller = whole.state.events().iter().filter_map(|event| event.by.as_ref()).next_back();
    assert_eq!(caller.unwrap().actor.address.as_deref(), Some("127.0.0.1"));

    let redacted = fetched(&bed, "?redact=true", dir.path()).await;
    assert!(redacted.header.redacted);
    assert_eq!(redacted.state.check(), Ok(()));
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
    assert_eq!(redacted.state.events().len(), whole.state.events().len());
    bed.stop().await;
}
