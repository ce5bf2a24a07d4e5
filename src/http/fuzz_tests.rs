//! What callers send, by fuzz targets that are ordinary tests, too: bodies, queries, paths and headers.

use acefleet_registry::NodeId;
use axum::http::header::{FORWARDED, HOST, IF_MATCH, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::config::{Config, Host, Sources, resolve};
use crate::edited::edited;
use crate::http::answer::problem::Problem;
use crate::http::request::query::Query;
use crate::http::{cluster, engines, events, feed, keys, provision, request, settings};

/// Bodies as clients send them.
const BODIES: &[&[u8]] = &[
    br#"{"container_id":"c1","engine":{"host":"10.0.0.1","port":40001},"stream":{"key_type":"infohash","key":"aa"},"session":{"playback_session_id":"p","stat_url":"http://10.0.0.1:40001/ace/stat/a/b","command_url":"http://10.0.0.1:40001/ace/cmd/a/b","is_live":1},"labels":{"stream_id":"s"}}"#,
    br#"{"container_id":"c1","stream_id":"aa|p","reason":"player_stopped"}"#,
    br#"{"started":[{"engine":{"host":"h","port":1},"stream":{"key_type":"content_id","key":"k"},"session":{"playback_session_id":"p","stat_url":"","command_url":"","is_live":0}}],"ended":[{"stream_id":"s"}]}"#,
    br#"{"image":"jopsis/acestream:x86","labels":{"team":"a"},"env":{"CONF":"--http-port=40000\n--bind-all"},"host_port":19001,"node":"b"}"#,
    br#"{"image":"img:1@sha256:00","ports":{"80/tcp":8080,"90/udp":null},"name_prefix":"x","env":{},"labels":{}}"#,
    br#"{"MAX_REPLICAS":30,"AUTO_DELETE":true,"revision":4,"ENGINE_GRACE_PERIOD_S":"30"}"#,
    br#"{"revision":1}"#,
    br#"{"name":"acexy","role":"proxy","ttl_seconds":3600}"#,
    br#"{"ttl_seconds":600,"uses":3}"#,
    br#"{"deadline_seconds":3600,"returns":true}"#,
];
const OF_JSON: &[&[u8]] = &[
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"0.5",
    b"\"\"",
    b"{",
    b"[",
    b"]",
    b"}",
    b",",
    b":",
    b"\"a\":",
    b"\\u0000",
    b"\\ud800",
    b"true",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":",
    "\u{202e}".as_bytes(),
    b"\"labels\":",
];

/// A problem is one of the caller, and says what is wrong.
fn told<T>(read: Result<T, Problem>) -> Option<T> {
    let problem = match read {
        Ok(read) => return Some(read),
        Err(problem) => problem,
    };
    let (status, body) = problem.status_and_body();
    assert!(status.is_client_error(), "{status}: {body}");
    assert!(!body["detail"].is_null(), "{body}");
    None
}

fn config() -> Config {
    let settings = [
        ("ACEFLEET_NODE_NAME", "a"),
        ("ACEFLEET_DATA_DIR", "/d"),
        ("ACEFLEET_ALLOWED_LABELS", "team"),
        ("ACEFLEET_ALLOWED_IMAGES", "img,*@sha256:*"),
    ];
    resolve(Sources::from_maps(&settings, &[], "", Host::default())).unwrap().config
}

#[test]
fn fuzz_bodies_of_callers() {
    let config = config();
    let by = (&config, &config.policy);
    bolero::check!().for_each(|plan: &[u8]| {
        let bytes = edited(BODIES, OF_JSON, plan);
        let Some(body) = told(request::call::parse(&bytes)) else { return };
        let (body, headers) = (Some(&body), HeaderMap::new());
        told(events::body::started(body));
        told(events::body::ended(body));
        if let Some((started, ended)) = told(events::body::batch(body)) {
            assert!(started.len() + ended.len() <= bytes.len(), "more events than bytes");
        }
        told(provision::body::engine(body, by, |name| (name == "b").then_some(NodeId(2))));
        told(provision::body::generic(body, by));
        told(settings::body::change(body, &headers));
        told(settings::body::revert(body, &headers));
        told(keys::read(body));
        told(cluster::tokens::read(body));
        told(cluster::nodes::drain_wanted(body));
    });
}

#[test]
fn fuzz_queries_of_callers() {
    let queries: &[&[u8]] = &[
        b"status=started&container_id=c",
        b"tail=100&since=2026-01-01T00:00:00Z&follow=true&timestamps=1",
        b"types=stream,engine&frames=change&last_event_id=a-1-2-3",
        b"category=audit&type=key_made&limit=10&before=7",
        b"dry_run=true&force=false&redact=1&x=%41%zz&x=%ff&id=a%7Cb",
    ];
    let words: [&[u8]; 8] =
        [b"&", b"=", b"%", b"%00", b"18446744073709551616", b"-", b"T", b"tail=99999999999999"];
    bolero::check!().for_each(|plan: &[u8]| {
        let bytes = edited(queries, &words, plan);
        let Ok(text) = str::from_utf8(&bytes) else { return };
        let query = Query::parse(Some(text));
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(query.get("last_event_id").unwrap_or(text)) {
            headers.insert(HeaderName::from_static("last-event-id"), value);
        }
        for headers in [&headers, &HeaderMap::new()] {
            told(feed::wanted::Wanted::read(&query, headers));
            told(engines::logs::Wanted::read(&query, headers));
        }
        told(events::log::Wanted::read(&query));
        told(settings::body::dry_run(Some(text)));
        query.doubled();
    });
}

#[test]
fn fuzz_paths_and_headers_of_callers() {
    let lines: &[&[u8]] = &[
        b"/streams/aa%7Cbb/stats?x=1",
        b"//engines/./c1/../c2/",
        b"/ace/getstream?id=a&id=b",
        b"http://[::1]:8000/panel",
        b"\"4\", W/\"5\", *",
        b"10.0.0.1, [2001:db8::1]:80, unknown",
    ];
    let words: [&[u8]; 9] = [b"/", b"%2F", b"%2e%2e", b"%", b"?", b"//", b"\"", b",", b"::ffff:1.2.3.4"];
    let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    bolero::check!().for_each(|plan: &[u8]| {
        let bytes = edited(lines, &words, plan);
        if let Ok(mut uri) = Uri::try_from(bytes.as_slice())
            && told(request::path::canonicalize(&Method::GET, &mut uri)).is_some()
        {
            let once = uri.clone();
            told(request::path::canonicalize(&Method::GET, &mut uri)).unwrap();
            assert_eq!(uri, once, "a canonical path stays as it is");
        }
        let Ok(value) = HeaderValue::from_bytes(&bytes) else { return };
        let forwarded = HeaderName::from_static("x-forwarded-for");
        let headers: HeaderMap = [IF_MATCH, ORIGIN, HOST, FORWARDED, forwarded]
            .map(|name| (name, value.clone()))
            .into_iter()
            .collect();
        told(settings::body::change(Some(&serde_json::json!({"MAX_REPLICAS": 3})), &headers));
        for peer in ["10.0.0.1", "192.0.2.1"] {
            let peer = peer.parse().unwrap();
            let found = request::origin::address(peer, &headers, &trusted);
            assert!(peer.to_string().starts_with("10.") || found == peer, "believed of {peer}: {found}");
        }
    });
}
