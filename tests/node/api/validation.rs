//! Wrong input gets the 422 that clients know, with everything that is wrong in it.

use serde_json::{Value, json};

use crate::api::events::started;
use crate::bed::Bed;

/// Kind and place of every violation.
fn violations(detail: &Value) -> Vec<(String, String)> {
    let items = detail["detail"].as_array().unwrap_or_else(|| panic!("no list: {detail}"));
    let place = |item: &Value| {
        let parts = item["loc"].as_array().unwrap().iter();
        let parts: Vec<String> =
            parts.map(|part| part.as_str().map_or(part.to_string(), str::to_owned)).collect();
        parts.join(".")
    };
    items
        .iter()
        .map(|item| {
            assert!(item["msg"].is_string() && item.get("input").is_some(), "{item}");
            (item["type"].as_str().unwrap().to_owned(), place(item))
        })
        .collect()
}

fn with(path: &str, value: Value) -> Value {
    let mut event = started("k", "s", 901);
    *event.pointer_mut(path).unwrap() = value;
    event
}

/// As large as everything may be.
fn largest() -> Value {
    let (key, session) = ("k".repeat(4_096), "s".repeat(2_083));
    json!({
        "container_id": "c".repeat(256),
        "engine": {"host": "h".repeat(255), "port": 6878},
        "stream": {"key_type": "raw_data", "key": key},
        "session": {
            "playback_session_id": session,
            "stat_url": format!("http://h/{}", "x".repeat(2_074)),
            "command_url": format!("http://h/{}", "x".repeat(2_074)),
            "is_live": 1
        },
        "labels": {"stream_id": format!("{key}|{session}"), "title": "t".repeat(8_192), "note": "n".repeat(1_900)}
    })
}

#[tokio::test]
async fn real_bodies_and_those_at_the_limits_are_accepted() {
    let bed = Bed::new().await;
    let answer = bed.post("/events/stream_started", &largest()).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    // A label of some KB, and texts of several lines.
    let mut event = started("magnet:?xt=urn:btih:3b1c&dn=A%20B", "s", 901);
    event["labels"] = json!({"m3u": "#EXTM3U\n#EXTINF:-1,\tA\r\n".repeat(200)});
    let answer = bed.post("/events/stream_started", &event).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    bed.stop().await;
}

#[tokio::test]
async fn containers_are_asked_for_within_limits_that_name_the_field() {
    let bed = Bed::new().await;
    let text = |bytes: usize| "x".repeat(bytes);
    for (body, kind, place) in [
        (json!({"labels": {"a": text(9_000)}}), "string_too_long", "body.labels.a"),
        (
            json!({"labels": {"a": text(8_000), "b": text(8_000), "c": text(500)}}),
            "value_error",
            "body.labels",
        ),
        (json!({"env": {"A": text(17_000)}}), "string_too_long", "body.env.A"),
        (json!({"env": {"A": text(16_000), "B": text(16_000), "C": text(900)}}), "value_error", "body.env"),
        (json!({"env": {(text(257)): "x"}}), "value_error", "body.env"),
        (json!({"image": text(513)}), "string_too_long", "body.image"),
        (json!({"node": "nope"}), "unknown_member", "body.node"),
    ] {
        let answer = bed.post("/provision/acestream", &body).await;
        assert_eq!(answer.status, 422, "{place}");
        assert_eq!(violations(&answer.json()), [(kind.to_owned(), place.to_owned())]);
    }
    bed.stop().await;
}

#[tokio::test]
async fn started_events_are_checked_field_by_field() {
    let bed = Bed::new().await;
    for (event, kind, place) in [
        (json!([]), "model_attributes_type", "body"),
        (json!("x"), "model_attributes_type", "body"),
        (with("/engine", json!(null)), "model_attributes_type", "body.engine"),
        (with("/engine/host", json!(5)), "string_type", "body.engine.host"),
        (with("/engine/port", json!("abc")), "int_parsing", "body.engine.port"),
        (with("/engine/port", json!(1.5)), "int_from_float", "body.engine.port"),
        (with("/engine/port", json!(null)), "int_type", "body.engine.port"),
        (with("/engine/port", json!(-1)), "greater_than_equal", "body.engine.port"),
        (with("/engine/port", json!(65_536)), "less_than_equal", "body.engine.port"),
        (with("/stream/key_type", json!("bogus")), "literal_error", "body.stream.key_type"),
        (with("/stream/key", json!("x".repeat(5_000))), "string_too_long", "body.stream.key"),
        (with("/session/stat_url", json!("not a url")), "url_parsing", "body.session.stat_url"),
        (with("/session/command_url", json!("file:///etc/passwd")), "url_scheme", "body.session.command_url"),
        (with("/session/stat_url", json!(["x"])), "url_type", "body.session.stat_url"),
        (with("/session/is_live", json!("maybe")), "int_parsing", "body.session.is_live"),
        (with("/stream/key", json!("ä".repeat(2_049))), "string_too_long", "body.stream.key"),
        (with("/stream/key", json!("a\u{1}b")), "value_error", "body.stream.key"),
        (with("/engine/host", json!("h".repeat(256))), "string_too_long", "body.engine.host"),
        (
            with("/session/playback_session_id", json!("s".repeat(2_084))),
            "string_too_long",
            "body.session.playback_session_id",
        ),
        (
            with("/session/stat_url", json!(format!("http://h/{}", "x".repeat(2_083)))),
            "url_too_long",
            "body.session.stat_url",
        ),
        (with("/labels", json!({"a": "x".repeat(490_000)})), "string_too_long", "body.labels.a"),
        (with("/labels", json!({("n".repeat(257)): "x"})), "value_error", "body.labels"),
        (
            with("/labels", json!({"a": "x".repeat(8_000), "b": "x".repeat(8_000), "c": "x".repeat(400)})),
            "value_error",
            "body.labels",
        ),
        (
            with(
                "/labels",
                (0..65).map(|n| (n.to_string(), json!(""))).collect::<serde_json::Map<_, _>>().into(),
            ),
            "too_long",
            "body.labels",
        ),
        (with("/labels", json!({"stream_id": "found|acestream-1|7"})), "value_error", "body.labels"),
        (with("/labels", json!({"stream_id": "superseded|k|s|7"})), "value_error", "body.labels"),
        (with("/labels", json!([])), "dict_type", "body.labels"),
        (with("/labels", json!({"a": 1})), "string_type", "body.labels.a"),
    ] {
        let answer = bed.post("/events/stream_started", &event).await;
        assert_eq!(answer.status, 422, "{event}");
        let found = violations(&answer.json());
        assert_eq!(found, [(kind.to_owned(), place.to_owned())], "{event}");
    }
    let many = bed.post("/events/stream_started", &json!({"engine": {}, "stream": {"key": 1}})).await.json();
    let expected = [
        ("missing", "body.engine.host"),
        ("missing", "body.engine.port"),
        ("missing", "body.stream.key_type"),
        ("string_type", "body.stream.key"),
        ("missing", "body.session"),
    ];
    assert_eq!(violations(&many), expected.map(|(kind, place)| (kind.to_owned(), place.to_owned())));
    let word =
        &bed.post("/events/stream_started", &with("/stream/key_type", json!("x"))).await.json()["detail"][0];
    assert!(word["ctx"]["expected"].as_str().unwrap().ends_with("'direct_url' or 'raw_data'"), "{word}");
    assert_eq!(bed.get("/streams").await.text, "[]");
    bed.stop().await;
}

#[tokio::test]
async fn lenient_forms_are_accepted() {
    let bed = Bed::new().await;
    for (path, value) in [
        ("/engine/port", json!("901")),
        ("/engine/port", json!(901.0)),
        ("/engine/port", json!(0)),
        ("/session/is_live", json!(true)),
        ("/session/is_live", json!("0")),
        ("/session/stat_url", json!("")),
        ("/session/playback_session_id", json!("")),
    ] {
        let answer = bed.post("/events/stream_started", &with(path, value.clone())).await;
        assert_eq!(answer.status, 200, "{path} {value}: {answer:?}");
    }
    let nulls = json!({"container_id": null, "stream_id": null, "reason": null, "extra": 1});
    assert_eq!(bed.post("/events/stream_ended", &nulls).await.status, 200);
    bed.stop().await;
}

#[tokio::test]
async fn missing_and_malformed_bodies_are_told_apart() {
    let bed = Bed::new().await;
    let missing = bed.post("/provision/acestream", &json!(null)).await;
    assert_eq!(missing.status, 422);
    assert_eq!(
        missing.json()["detail"][0],
        json!({"type": "missing", "loc": ["body"], "msg": "Field required", "input": null})
    );
    let key = format!("Bearer {}", crate::bed::KEY);
    for (body, position) in
        [("{", 0), ("{\"a\": nope}", 7), ("\n\n  {]", 5), ("[1,]", 3), ("\u{1}", 0), ("{} {}", 3)]
    {
        let answer = bed.send("POST", "/events/stream_ended", &[("authorization", &key)], body).await;
        assert_eq!(answer.status, 422, "{body:?}");
        let detail = &answer.json()["detail"][0];
        assert_eq!((&detail["type"], &detail["loc"][0]), (&json!("json_invalid"), &json!("body")));
        assert!(detail["loc"][1].as_u64().unwrap().abs_diff(position) <= 1, "{body:?}: {detail}");
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let answer = bed.send("POST", "/events/stream_ended", &[("authorization", &key)], &deep).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["detail"][0]["type"].clone()),
        (422, json!("json_invalid"))
    );
    bed.stop().await;
}

#[tokio::test]
async fn paths_and_queries_are_checked() {
    let bed = Bed::new().await;
    for (method, path, kind, place) in [
        ("POST", "/scale/abc", "int_parsing", "path.demand"),
        ("POST", "/scale/1.5", "int_parsing", "path.demand"),
        ("POST", "/scale/99999999999999999999", "int_parsing_size", "path.demand"),
        ("GET", "/streams?status=bogus", "string_pattern_mismatch", "query.status"),
        ("GET", "/streams?status=", "string_pattern_mismatch", "query.status"),
        ("GET", "/streams/x/stats?since=yesterday", "datetime_from_date_parsing", "query.since"),
        ("GET", "/engines?min_revision=x", "int_parsing", "query.min_revision"),
        ("GET", "/engines?min_revision=-1", "greater_than_equal", "query.min_revision"),
        ("GET", "/engines?consistency=maybe", "string_pattern_mismatch", "query.consistency"),
        ("GET", "/by-label?key=a", "missing", "query.value"),
    ] {
        let answer = bed.call(method, path, &json!(null)).await;
        assert_eq!(answer.status, 422, "{path}");
        assert_eq!(violations(&answer.json()), [(kind.to_owned(), place.to_owned())], "{path}");
    }
    let pattern = bed.get("/streams?status=bogus").await.json();
    assert_eq!(pattern["detail"][0]["ctx"]["pattern"], "^(started|ended)$");
    bed.stop().await;
}
