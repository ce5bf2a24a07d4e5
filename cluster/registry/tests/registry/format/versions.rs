//! What another version wrote.

use std::collections::BTreeMap;

use acefleet_registry::engine::Health;
use acefleet_registry::state::Tables;
use acefleet_registry::{Engine, Policy, Proposal, State, Stream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::format::samples::{proposal, samples};
use crate::format::states::sample_state;

/// Encodes `value` with a field that this version does not know in the record at `pointer`.
fn with_a_new_field<T: Serialize + DeserializeOwned>(value: &T, pointer: &str) -> T {
    let mut json = serde_json::to_value(value).unwrap();
    let record = json.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    record.insert("of_the_next_version".to_owned(), serde_json::json!({ "list": [1, null, "x"] }));
    rmp_serde::from_slice(&rmp_serde::to_vec_named(&json).unwrap()).unwrap()
}

/// Encodes `value` as a version that did not know `fields` did.
fn without_fields<T: Serialize + DeserializeOwned>(value: &T, fields: &[&str]) -> T {
    let mut json = serde_json::to_value(value).unwrap();
    let record = json.as_object_mut().unwrap();
    for field in fields {
        assert!(record.remove(*field).is_some(), "{field} is no field");
    }
    rmp_serde::from_slice(&rmp_serde::to_vec_named(&json).unwrap()).unwrap()
}

#[test]
fn fields_of_a_newer_version_are_ignored() {
    for command in samples() {
        let sample = proposal(command);
        assert_eq!(with_a_new_field(&sample, ""), sample);
    }
    let paths = [
        "/command/Reserve",
        "/command/Reserve/spec",
        "/command/Adopt/ports",
        "/command/StreamStarted",
        "/command/StreamEnded",
        "/command/SetPolicy",
        "/command/SetPolicy/general_breaker",
        "/command/NodeUp",
        "/command/EngineStarted",
        "/command/ChangeSettings",
    ];
    for path in paths {
        let of = path.split('/').nth(2).unwrap();
        let has_it = |sample: &Proposal| serde_json::to_value(sample).unwrap()["command"].get(of).is_some();
        let sample = samples().into_iter().map(proposal).find(has_it).unwrap();
        assert_eq!(with_a_new_field(&sample, path), sample, "{path}");
    }
    let state = sample_state();
    state.all_engines().for_each(|engine| assert_eq!(with_a_new_field::<Engine>(engine, ""), **engine));
    state.streams().for_each(|stream| assert_eq!(with_a_new_field::<Stream>(stream, "/start"), **stream));
}

#[test]
fn a_snapshot_with_a_table_of_a_newer_version_is_read() {
    #[derive(Serialize)]
    struct Newer {
        #[serde(flatten)]
        tables: Tables,
        table_of_the_next_version: BTreeMap<u64, String>,
    }
    let state = sample_state();
    let newer = Newer {
        tables: Tables::from(state.clone()),
        table_of_the_next_version: BTreeMap::from([(1, "x".to_owned())]),
    };
    let bytes = rmp_serde::to_vec_named(&newer).unwrap();
    assert_eq!(rmp_serde::from_slice::<State>(&bytes).unwrap(), state);
}

#[test]
fn records_of_an_older_version_get_defaults() {
    let state = sample_state();
    let engine = state.all_engines().next().unwrap();
    let older: Engine = without_fields(
        &**engine,
        &[
            "container_id",
            "image",
            "variant",
            "health",
            "started_at_ms",
            "abandoned",
            "awaited_until_ms",
            "placement",
            "ending",
        ],
    );
    assert_eq!((older.id, older.container_id, older.health), (engine.id, None, Health::Unknown));
    let stream = state.streams().next().unwrap();
    let older: Stream = without_fields(&**stream, &["end_reason", "past_sessions", "ended_at_ms"]);
    assert_eq!(
        older,
        Stream { end_reason: None, ended_at_ms: None, past_sessions: vec![], ..(**stream).clone() }
    );
    let policy = without_fields(&Policy::default(), &["map_https", "general_breaker", "idle_ttl_ms"]);
    assert_eq!(policy, Policy::default());
    let nothing: State =
        rmp_serde::from_slice(&rmp_serde::to_vec_named(&BTreeMap::<u8, u8>::new()).unwrap()).unwrap();
    assert_eq!(nothing, State::default());
}
