//! Backups that nodes make by themselves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use acefleet::backups::{Figure, Name};
use acefleet_raft::backup;
use serde_json::Value;

use crate::bed::{Bed, KEY, eventually};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn own(folder: &Path) -> Vec<Name> {
    names(folder).iter().filter_map(|name| Name::parse(name)).collect()
}

fn figures(bed: &Bed) -> Figure {
    bed.fleet.backups().now()
}

/// Waits until the place has the state of this moment. The node looks once a second.
async fn kept(bed: &Bed, folder: &Path) {
    let revision = bed.fleet.view().revision;
    eventually("the newest state is kept", async || {
        own(folder).iter().any(|name| name.revision >= revision).then_some(())
    })
    .await;
}

async fn change(bed: &Bed, action: &str) {
    let changed = bed.post(&format!("/cluster/nodes/a/{action}"), &Value::Null).await;
    assert_eq!(changed.status, 200, "{changed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_new_state_is_kept_once_and_only_own_backups_are_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let others = [
        ".acefleet-other.backup.part",
        "acefleet-20260101-000000-11111111-1-a.backup",
        "acefleet-20260101-000000.backup",
        "acefleet-c02f6cb4-20260101-000000.backup",
        "notes.txt",
    ];
    others.iter().for_each(|name| fs::write(folder.join(name), "of somebody else").unwrap());
    fs::create_dir(folder.join("acefleet-20260101-000000-22222222-1-a.backup")).unwrap();
    let bed = Bed::with(&[
        ("API_KEY", KEY),
        ("ACEFLEET_BACKUP_TO", folder.to_str().unwrap()),
        ("ACEFLEET_BACKUP_EVERY", "1s"),
        ("ACEFLEET_BACKUP_KEEP", "2"),
    ])
    .await;
    kept(&bed, folder).await;
    let mut last = figures(&bed);
    eventually("a look without a write", async || {
        let now = figures(&bed);
        if now.last_success <= last.last_success {
            return None;
        }
        let is_quiet = now.written == last.written;
        last = now;
        is_quiet.then_some(())
    })
    .await;

    for action in ["cordon", "uncordon", "cordon", "uncordon"] {
        change(&bed, action).await;
        kept(&bed, folder).await;
    }
    let found = eventually("two are kept", async || {
        let id = bed.fleet.cluster().cluster_id()?;
        let mut mine = own(folder);
        mine.retain(|name| name.to_string().contains(&id[..8]));
        (mine.len() == 2 && figures(&bed).kept == 2).then_some(mine)
    })
    .await;
    let newest = found.iter().max_by_key(|name| name.revision).unwrap();
    assert_eq!(newest.revision, bed.fleet.view().revision);
    let file = folder.join(newest.to_string());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let read = backup::read(&file).unwrap();
    assert_eq!(read.sound(), Ok(()));
    let url = format!("http://{}/cluster/backup", bed.address);
    let asked = reqwest::Client::new().get(url).bearer_auth(KEY).send().await.unwrap();
    fs::write(dir.path().join("asked"), asked.bytes().await.unwrap()).unwrap();
    let asked = backup::read(&dir.path().join("asked")).unwrap();
    assert_eq!(read.header.sha256, asked.header.sha256, "the same code makes both");
    for name in others {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), "of somebody else");
    }
    assert_eq!(names(folder).len(), others.len() + 4, "nothing else is left: {:?}", names(folder));

    fs::remove_file(&file).unwrap();
    kept(&bed, folder).await;
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_there_is_a_failure_until_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("mount");
    let bed = Bed::with(&[
        ("API_KEY", KEY),
        ("ACEFLEET_BACKUP_TO", folder.to_str().unwrap()),
        ("ACEFLEET_BACKUP_EVERY", "1s"),
    ])
    .await;
    let failed = eventually("it fails twice", async || {
        let now = figures(&bed);
        (now.failures >= 2).then_some(now)
    })
    .await;
    let why = failed.failing.unwrap();
    assert!(why.contains("install -d -m 700") && failed.last_success.is_none(), "{why}");
    let metrics = bed.get("/metrics").await.text;
    for line in ["acefleet_backup_failing 1", "acefleet_backup_last_success_timestamp_seconds 0"] {
        assert!(metrics.contains(line), "{line}");
    }
    assert!(!folder.exists(), "a folder in the place of a disk that is not mounted would fill another one");
    fs::create_dir(&folder).unwrap();
    kept(&bed, &folder).await;
    eventually("it does not fail any more", async || figures(&bed).failing.is_none().then_some(())).await;
    assert!(bed.get("/metrics").await.text.contains("acefleet_backup_failing 0"));
    bed.stop().await;
}
