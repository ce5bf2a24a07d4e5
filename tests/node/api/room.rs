//! A registry that is full, and lists that are long.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::events::started;
use crate::bed::{Answer, Bed};

/// Ids of the streams in a list.
fn ids(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("no bare list: {list}"));
    list.iter().map(|stream| stream["id"].as_str().unwrap().to_owned()).collect()
}

/// Where a list goes on, if it does.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.headers.get("link")?.to_str().unwrap();
    let query = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
    Some(format!("/streams{}", query.unwrap_or_else(|| panic!("{link}"))))
}

/// A list that a loaded machine may not render in its time: then the answer says to ask again.
pub async fn listed(bed: &Bed, path: &str) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = bed.get(path).await;
        if answer.status != 503 || Instant::now() > deadline {
            return answer;
        }
    }
}

/// A start of some 18 KiB on engine 19001.
pub fn heavy(n: usize) -> Value {
    let mut event = started("k", &format!("{n:05}"), 19_001);
    event["labels"] = json!({"a": "x".repeat(8_000), "b": "x".repeat(8_000)});
    event
}

pub fn heavy_batch(from: usize, count: usize) -> Value {
    json!({"started": (from..from + count).map(heavy).collect::<Vec<_>>(), "ended": []})
}

/// Ends of the streams that [`heavy`] starts.
pub fn ends(of: std::ops::Range<usize>) -> Vec<Value> {
    of.map(|n| json!({"stream_id": format!("k|{n:05}")})).collect()
}

/// Starts streams that the engine can be asked about, so that nothing may take their place, until not one more has room. Returns how
/// many, and how the first batch was refused.
pub async fn fill(bed: &Bed) -> (usize, Answer) {
    bed.engine(19_001).await;
    let (mut taken, mut refused) = (0, None);
    for count in [50, 1] {
        loop {
            let answer = bed.post("/events/batch", &heavy_batch(taken, count)).await;
            if answer.status != 200 {
                refused.get_or_insert(answer);
                break;
            }
            taken += count;
            assert!(taken < 2_000, "no bound");
        }
    }
    assert!(taken > 500, "{taken}");
    (taken, refused.unwrap())
}

#[tokio::test]
async fn a_full_registry_refuses_starts_with_a_code_of_its_own_and_an_end_makes_room() {
    let bed = Bed::new().await;
    let (taken, full) = fill(&bed).await;
    assert_eq!(full.status, 503);
    let detail = &full.json()["detail"];
    assert_eq!((&detail["error"], &detail["code"]), (&json!("write_blocked"), &json!("registry_full")));
    assert_eq!((full.header("retry-after"), &detail["should_wait"]), ("10", &json!(true)));
    assert_eq!(ids(&listed(&bed, "/streams?status=started").await.json()).len(), taken, "one was lost");
    // The ends of a batch make room for its starts.
    let mut both = heavy_batch(taken, 50);
    both["ended"] = json!(ends(0..20));
    assert_eq!(bed.post("/events/batch", &both).await.status, 503, "not enough of it");
    both["ended"] = json!(ends(0..50));
    let exchanged = bed.post("/events/batch", &both).await;
    assert_eq!(exchanged.json(), json!({"started": 50, "ended": 50}), "{exchanged:?}");
    let alone = json!({"started": [], "ended": ends(50..100)});
    assert_eq!(bed.post("/events/batch", &alone).await.json(), json!({"started": 0, "ended": 50}));
    assert_eq!(bed.post("/events/batch", &heavy_batch(taken + 50, 50)).await.status, 200);
    bed.stop().await;
}

#[tokio::test]
async fn the_whole_list_of_streams_pages_and_narrowed_ones_do_not() {
    let bed = Bed::new().await;
    for from in (0..5_500).step_by(500) {
        let starts: Vec<Value> = (from..from + 500).map(|n| started("k", &format!("{n:05}"), 901)).collect();
        let answer = bed.post("/events/batch", &json!({"started": starts, "ended": []})).await;
        assert_eq!(answer.status, 200);
    }
    let first = bed.get("/streams").await;
    let mut seen = ids(&first.json());
    assert_eq!(seen.len(), 5_000);
    let more = next(&first).expect("there is more");
    assert!(first.header("access-control-expose-headers").contains("Link"));
    let second = bed.get(&more).await;
    assert_eq!(next(&second), None, "nothing is left");
    seen.extend(ids(&second.json()));
    let expected: Vec<String> = (0..5_500).map(|n| format!("k|{n:05}")).collect();
    assert_eq!(seen, expected);

    for narrowed in ["/streams?status=started", "/streams?container_id=localhost:901"] {
        let whole = bed.get(narrowed).await;
        assert_eq!((ids(&whole.json()).len(), next(&whole)), (5_500, None), "{narrowed}");
    }
    let mut page = "/streams?status=started&limit=2000".to_owned();
    let mut lengths = Vec::new();
    loop {
        let answer = bed.get(&page).await;
        lengths.push(ids(&answer.json()).len());
        match next(&answer) {
            Some(next) => page = next,
            None => break,
        }
    }
    assert_eq!(lengths, [2_000, 2_000, 1_500]);
    for wrong in ["limit=0", "limit=50001", "limit=x", "cursor=-1"] {
        assert_eq!(bed.get(&format!("/streams?{wrong}")).await.status, 422, "{wrong}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn a_page_of_heavy_streams_ends_by_its_bytes() {
    let bed = Bed::new().await;
    let heavy = |n: usize| {
        let mut event = started("k", &format!("{n:05}"), 901);
        event["labels"] = json!({"a": "x".repeat(8_000), "b": "x".repeat(8_000)});
        // Shown in the list, as labels are not.
        event["session"]["stat_url"] = json!(format!("http://h/{}", "x".repeat(2_000)));
        event["session"]["command_url"] = json!(format!("http://h/{}", "x".repeat(2_000)));
        event["stream"]["key"] = json!(format!("{n:05}{}", "k".repeat(4_000)));
        event
    };
    for from in (0..600).step_by(30) {
        let starts: Vec<Value> = (from..from + 30).map(heavy).collect();
        assert_eq!(bed.post("/events/batch", &json!({"started": starts, "ended": []})).await.status, 200);
    }
    let (mut seen, mut pages, mut page) = (Vec::new(), 0, Some("/streams".to_owned()));
    while let Some(asked) = page {
        let answer = listed(&bed, &asked).await;
        assert!(answer.text.len() <= 5 << 20, "{} bytes", answer.text.len());
        seen.extend(ids(&answer.json()));
        pages += 1;
        page = next(&answer);
    }
    let whole = listed(&bed, "/streams?status=started").await;
    assert_eq!(next(&whole), None);
    let ended = listed(&bed, "/streams?status=ended").await;
    assert_eq!(seen.len(), ids(&whole.json()).len() + ids(&ended.json()).len());
    assert!(pages > 1, "{} streams in one page", seen.len());
    bed.stop().await;
}
