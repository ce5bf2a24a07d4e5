//! A bucket in memory, and one behind a small HTTP server.

use std::collections::BTreeMap;
use std::sync::Mutex;

use acefleet_raft::backup::BackupHeader;
use acefleet_registry::{Level, WallMs};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use object_store::memory::InMemory;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::*;
use crate::backups::Owner;

const SECRET: &str = "seeded-key-of-a-bucket-0c11";

fn name(revision: u64) -> Name {
    Name::of(&made(revision, b"").header, &Owner::new("c02f6cb4", "a"))
}

fn made(revision: u64, bytes: &[u8]) -> Made {
    let (front, rest) = bytes.split_at(bytes.len() / 2);
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, rest).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let header = BackupHeader {
        format: 1,
        cluster_id: "c02f6cb4".into(),
        node: "a".into(),
        node_id: 7,
        taken_ms: WallMs(1_796_058_312_000 + revision * 1_000),
        written_ms: None,
        leaderless_ms: 0,
        revision,
        applied_index: revision,
        version: "1.2.3".into(),
        level: Level::FIRST,
        redacted: false,
        sha256: String::new(),
    };
    let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    Made { header, front: front.to_vec(), file, bytes: bytes.len() as u64, room }
}

async fn writes_lists_and_removes(bucket: &Bucket) {
    bucket.write(&name(1), made(1, b"first")).await.unwrap();
    bucket.write(&name(2), made(2, b"second one")).await.unwrap();
    let mut found = bucket.list().await.unwrap();
    found.sort_by_key(|kept| kept.name.revision);
    let kept = |revision, bytes| Kept { name: name(revision), bytes };
    assert_eq!(found, [kept(1, 5), kept(2, 10)]);
    bucket.remove(&name(1)).await.unwrap();
    bucket.remove(&name(1)).await.unwrap();
    assert_eq!(bucket.list().await.unwrap(), [kept(2, 10)]);
}

#[tokio::test]
async fn only_backups_right_below_the_prefix_are_seen() {
    let store = Arc::new(InMemory::new());
    let prefix = Path::from("home/acefleet");
    for other in ["home/acefleet/notes.txt", "home/acefleet-2/x", "home/x"] {
        store.put(&Path::from(other), "of somebody else".into()).await.unwrap();
    }
    for other in [format!("home/acefleet/old/{}", name(3)), format!("home/{}", name(4))] {
        store.put(&Path::from(other), "of somebody else".into()).await.unwrap();
    }
    let bucket =
        Bucket { store: Arc::clone(&store) as _, prefix: prefix.clone(), shown: "s3://b".to_owned() };
    writes_lists_and_removes(&bucket).await;
    let kept = store.get(&prefix.join(name(2).to_string())).await.unwrap().bytes().await.unwrap();
    assert_eq!(&kept[..], b"second one");
    assert_eq!(store.list(None).count().await, 6);
}

/// What a store has, and what it has been asked.
#[derive(Default)]
struct Store {
    objects: Mutex<BTreeMap<String, Bytes>>,
    asked: Mutex<Vec<String>>,
}

async fn serve(State(store): State<Arc<Store>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let signed = parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    store.asked.lock().unwrap().push(format!("{} {} {signed:?}", parts.method, parts.uri));
    if !signed.is_some_and(|signed| signed.starts_with("AWS4-HMAC-SHA256 Credential=one/")) {
        return (
            StatusCode::FORBIDDEN,
            "<Error><Code>AccessDenied</Code><Message>No, not you.</Message></Error>",
        )
            .into_response();
    }
    let path = parts.uri.path().trim_start_matches("/bucket").trim_matches('/').to_owned();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut objects = store.objects.lock().unwrap();
    match parts.method {
        Method::PUT => {
            objects.insert(path, body);
            [("etag", "\"1\"")].into_response()
        }
        Method::DELETE => {
            objects.remove(&path);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => {
            let contents: String = objects
                .iter()
                .map(|(key, bytes)| {
                    format!("<Contents><Key>{key}</Key><LastModified>2026-11-30T17:05:12.000Z</LastModified><ETag>1</ETag><Size>{}</Size></Contents>", bytes.len())
                })
                .collect();
            format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>")
                .into_response()
        }
    }
}

#[tokio::test]
async fn a_store_is_called_over_http_with_signed_calls() {
    let store = Arc::new(Store::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(serve).with_state(Arc::clone(&store));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let builder = |id: &str| {
        AmazonS3Builder::new()
            .with_endpoint(&endpoint)
            .with_allow_http(true)
            .with_access_key_id(id)
            .with_secret_access_key(SECRET)
    };
    let bucket = Bucket::of(builder("one"), "bucket", "acefleet").unwrap();
    writes_lists_and_removes(&bucket).await;
    let keys: Vec<String> = store.objects.lock().unwrap().keys().cloned().collect();
    assert_eq!(keys, [format!("acefleet/{}", name(2))]);

    let refused = Bucket::of(builder("other"), "bucket", "acefleet").unwrap();
    let why = refused.list().await.unwrap_err().0;
    assert!(why.contains("s3://bucket/acefleet cannot be listed: AccessDenied No, not you."), "{why}");
    assert_eq!(why, refused.list().await.unwrap_err().0, "the same failure is the same text");
    let asked = store.asked.lock().unwrap().join("\n");
    assert!(!asked.contains(SECRET) && !why.contains(SECRET) && !format!("{bucket:?}").contains(SECRET));
    server.abort();
    let away = builder("one").with_retry(object_store::RetryConfig { max_retries: 0, ..Default::default() });
    let away = away.with_endpoint("http://127.0.0.1:1");
    let why = Bucket::of(away, "bucket", "acefleet").unwrap().list().await.unwrap_err().0;
    assert!(why.contains("refused"), "{why}");
}
