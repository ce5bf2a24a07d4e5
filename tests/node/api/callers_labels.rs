//! Labels that callers gave to containers: for readers with the key alone.

use serde_json::{Value, json};

use crate::bed::follow::Follower;
use crate::bed::{Bed, KEY};

const PATHS: [&str; 3] = ["/engines", "/engines/acestream-901", "/containers/acestream-901"];

/// The label that the bed's engines have of their caller, wherever an answer has the labels.
fn team(answer: &Value) -> Option<&str> {
    let labels = [&answer[0]["labels"], &answer["engine"]["labels"], &answer["labels"]];
    let labels = labels.into_iter().find(|labels| labels.is_object()).unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(labels["host.http_port"], "901", "{answer}");
    labels["team"].as_str()
}

#[tokio::test]
async fn readers_without_the_key_see_no_labels_of_callers() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let bearer = format!("Bearer {KEY}");
    // Each answer is stored, so that the next of its kind is served without a handler.
    for round in 0..3 {
        for path in PATHS {
            for (header, expected) in [
                (None, None),
                (Some(("authorization", "Bearer wrong")), None),
                (Some(("authorization", bearer.as_str())), Some("blue")),
                (Some(("x-api-key", KEY)), Some("blue")),
            ] {
                let headers: Vec<(&str, &str)> = header.into_iter().collect();
                let answer = bed.send("GET", path, &headers, "").await;
                assert_eq!(answer.status, 200, "{path}");
                assert_eq!(team(&answer.json()), expected, "{path} {header:?} in round {round}");
            }
        }
    }
    for query in ["?%20with%20the%20key", "?+with+the+key", "?with%20the%20key", "?consistency=linearizable"]
    {
        assert_eq!(team(&bed.get(&format!("/engines{query}")).await.json()), None, "{query}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn what_depends_on_the_key_says_so_to_caches() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let (public, private) = (bed.get("/engines").await, bed.call("GET", "/engines", &Value::Null).await);
    assert_ne!(public.header("etag"), private.header("etag"));
    for answer in [&public, &private] {
        assert_eq!(answer.header("vary"), "authorization, x-api-key");
    }
    let bearer = format!("Bearer {KEY}");
    let known = [("authorization", bearer.as_str()), ("if-none-match", public.header("etag"))];
    assert_eq!(bed.send("GET", "/engines", &known, "").await.status, 200);
    bed.stop().await;
}

#[tokio::test]
async fn an_open_node_shows_all_labels_and_the_feed_none_of_callers() {
    let open = Bed::with(&[("ACEFLEET_OPEN", "true")]).await;
    open.engine(901).await;
    for path in PATHS {
        assert_eq!(team(&open.get(path).await.json()), Some("blue"), "{path}");
    }
    let mut feed = Follower::of(&open, "?kinds=change", None).await;
    let engine = &feed.next_of("snapshot").await.data["engines"][0];
    assert_eq!(
        (&engine["labels"]["host.http_port"], &engine["labels"]["team"]),
        (&json!("901"), &Value::Null)
    );
    open.stop().await;
}

#[tokio::test]
async fn nothing_depends_on_the_key_without_such_labels() {
    let bed = Bed::new().await;
    let made = bed.post("/provision/acestream", &json!({})).await;
    assert_eq!(made.status, 200, "{made:?}");
    let (public, private) = (bed.get("/engines").await, bed.call("GET", "/engines", &Value::Null).await);
    assert_eq!((public.header("etag"), &public.text), (private.header("etag"), &private.text));
    bed.stop().await;
}
