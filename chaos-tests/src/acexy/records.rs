//! The JSON that the real client reads, with exactly the fields and types that it decodes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::decode::{GoTime, nested, nested_or_zero, or_zero};

/// An item of `GET /engines`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct EngineEntry {
    #[serde(deserialize_with = "or_zero")]
    pub container_id: String,
    #[serde(deserialize_with = "or_zero")]
    pub container_name: String,
    #[serde(deserialize_with = "or_zero")]
    pub host: String,
    #[serde(deserialize_with = "or_zero")]
    pub port: i64,
    pub labels: Option<BTreeMap<String, Option<String>>>,
    #[serde(deserialize_with = "or_zero")]
    pub health_status: String,
    #[serde(deserialize_with = "or_zero")]
    pub forwarded: bool,
    pub first_seen: Option<GoTime>,
    pub last_seen: Option<GoTime>,
    pub last_health_check: Option<GoTime>,
    pub last_stream_usage: Option<GoTime>,
    pub last_cache_cleanup: Option<GoTime>,
    pub cache_size_bytes: Option<i64>,
    pub streams: Option<Vec<Option<String>>>,
}

/// An item of `GET /streams`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StreamEntry {
    #[serde(deserialize_with = "or_zero")]
    pub id: String,
    #[serde(deserialize_with = "or_zero")]
    pub key_type: String,
    #[serde(deserialize_with = "or_zero")]
    pub key: String,
    #[serde(deserialize_with = "or_zero")]
    pub container_id: String,
    #[serde(deserialize_with = "or_zero")]
    pub playback_session_id: String,
    #[serde(deserialize_with = "or_zero")]
    pub stat_url: String,
    #[serde(deserialize_with = "or_zero")]
    pub command_url: String,
    #[serde(deserialize_with = "or_zero")]
    pub is_live: bool,
    #[serde(deserialize_with = "or_zero")]
    pub status: String,
    pub started_at: Option<GoTime>,
    pub ended_at: Option<GoTime>,
}

/// What is read of `GET /orchestrator/status`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    #[serde(deserialize_with = "or_zero")]
    pub status: String,
    #[serde(deserialize_with = "nested_or_zero")]
    pub vpn: VpnStatus,
    /// Absent in error bodies, which decode nevertheless.
    #[serde(deserialize_with = "nested")]
    pub provisioning: Option<Provisioning>,
    #[serde(deserialize_with = "nested_or_zero")]
    pub capacity: Capacity,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct VpnStatus {
    #[serde(deserialize_with = "or_zero")]
    pub connected: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Capacity {
    #[serde(deserialize_with = "or_zero")]
    pub total: i64,
    #[serde(deserialize_with = "or_zero")]
    pub used: i64,
    #[serde(deserialize_with = "or_zero")]
    pub available: i64,
}

/// Whether a new engine may be asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Provisioning {
    #[serde(deserialize_with = "or_zero")]
    pub can_provision: bool,
    #[serde(deserialize_with = "or_zero")]
    pub blocked_reason: String,
    #[serde(deserialize_with = "nested")]
    pub blocked_reason_details: Option<BlockedDetail>,
}

/// Why provisioning is refused: in the status poll, and as `detail` of a refused request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct BlockedDetail {
    #[serde(deserialize_with = "or_zero")]
    pub error: String,
    #[serde(deserialize_with = "or_zero")]
    pub code: String,
    #[serde(deserialize_with = "or_zero")]
    pub message: String,
    pub recovery_eta_seconds: Option<i64>,
    #[serde(deserialize_with = "or_zero")]
    pub can_retry: bool,
    #[serde(deserialize_with = "or_zero")]
    pub should_wait: bool,
}

/// What is read of a provisioning success.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Provisioned {
    #[serde(deserialize_with = "or_zero")]
    pub container_id: String,
    #[serde(deserialize_with = "or_zero")]
    pub container_name: String,
    #[serde(deserialize_with = "or_zero")]
    pub host_http_port: i64,
    #[serde(deserialize_with = "or_zero")]
    pub container_http_port: i64,
    #[serde(deserialize_with = "or_zero")]
    pub container_https_port: i64,
}

/// What is read of the engine's `getstream` answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Getstream {
    #[serde(deserialize_with = "nested_or_zero")]
    pub response: Session,
    #[serde(deserialize_with = "or_zero")]
    pub error: String,
}

/// The session in a `getstream` answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Session {
    #[serde(deserialize_with = "or_zero")]
    pub playback_url: String,
    #[serde(deserialize_with = "or_zero")]
    pub stat_url: String,
    #[serde(deserialize_with = "or_zero")]
    pub command_url: String,
    #[serde(deserialize_with = "or_zero")]
    pub infohash: String,
    #[serde(deserialize_with = "or_zero")]
    pub playback_session_id: String,
    #[serde(deserialize_with = "or_zero")]
    pub is_live: i64,
    #[serde(deserialize_with = "or_zero")]
    pub is_encrypted: i64,
    #[serde(deserialize_with = "or_zero")]
    pub client_session_id: i64,
}

#[cfg(test)]
mod tests {
    use super::super::decode::{decode, decode_list};
    use super::*;
    use serde_json::Value;

    fn engine(field: &str, value: &str) -> Result<Vec<EngineEntry>, String> {
        let mut entry: Value =
            serde_json::from_str(r#"{"container_id":"e1","host":"h","port":13101}"#).unwrap();
        entry[field] = serde_json::from_str(value).unwrap();
        decode_list(serde_json::to_string(&[entry]).unwrap().as_bytes())
    }

    #[test]
    fn what_the_engine_list_may_contain() {
        for (field, value) in [
            ("last_stream_usage", "null"),
            ("last_seen", "\"2026-01-01T00:00:00Z\""),
            ("first_seen", "\"2026-01-01T00:00:00.123456+00:00\""),
            ("first_seen", "\"2026-01-01T00:00:00.123456789012-03:30\""),
            ("labels", "{\"a\":\"b\",\"c\":null}"),
            ("labels", "null"),
            ("cache_size_bytes", "12"),
            ("streams", "[\"a\"]"),
            ("forwarded", "null"),
            ("health_status", "null"),
            ("anything", "{\"else\":[1.5]}"),
        ] {
            assert!(engine(field, value).is_ok(), "{field} = {value}");
        }
        assert_eq!(decode_list::<EngineEntry>(b"null").unwrap().len(), 0);
        assert_eq!(decode_list::<EngineEntry>(b" [] \n").unwrap().len(), 0);
    }

    #[test]
    fn what_spoils_the_engine_list() {
        for (field, value) in [
            ("last_seen", "\"2026-01-01T00:00:00.123\""),
            ("last_seen", "\"2026-01-01 00:00:00+00:00\""),
            ("last_seen", "\"2026-01-01T00:00:00+0000\""),
            ("last_seen", "\"2026-01-01t00:00:00z\""),
            ("last_seen", "\"2026-02-30T00:00:00Z\""),
            ("last_seen", "\"2026-01-01T00:00:60Z\""),
            ("last_seen", "\"2026-01-01T00:00:00.Z\""),
            ("last_seen", "1700000000"),
            ("last_seen", "\"\""),
            ("port", "\"13101\""),
            ("port", "13101.0"),
            ("labels", "{\"a\":1}"),
            ("labels", "[]"),
            ("cache_size_bytes", "1.5"),
            ("container_id", "7"),
            ("forwarded", "1"),
            ("streams", "[{}]"),
        ] {
            let error = engine(field, value).unwrap_err();
            assert!(error.contains(field), "{field} = {value}: {error}");
        }
        assert!(decode_list::<EngineEntry>(br#"{"engines":[]}"#).is_err());
        assert!(decode_list::<EngineEntry>(br#"[["e1","name","h",1]]"#).is_err());
        assert!(decode_list::<EngineEntry>(b"<html>").is_err());
        assert!(decode_list::<EngineEntry>(b"").is_err());
    }

    #[test]
    fn streams_and_status() {
        let ok = |body: &str| decode_list::<StreamEntry>(body.as_bytes()).is_ok();
        assert!(ok(r#"[{"status":"started"}]"#) && ok("null"));
        assert!(ok(r#"[{"id":"a|b","is_live":true,"started_at":"2026-01-01T00:00:00Z"}]"#));
        for bad in [
            r#"[{"is_live":1}]"#,
            r#"[{"started_at":"2026-01-01T00:00:00"}]"#,
            r#"[{"id":5}]"#,
            r#"{"streams":[]}"#,
        ] {
            assert!(!ok(bad), "{bad}");
        }
        let status = |body: &str| decode::<Status>(body.as_bytes());
        assert!(status(r#"{"detail":"Not Found"}"#).unwrap().provisioning.is_none());
        let eta = r#"{"provisioning":{"blocked_reason_details":{"recovery_eta_seconds":5.5}}}"#;
        assert!(status(eta).is_err());
        for bad in [
            "[]",
            "<html>",
            "null",
            r#"{"provisioning":[true]}"#,
            r#"{"provisioning":{"blocked_reason_details":[]}}"#,
            r#"{"vpn":[true]}"#,
            r#"{"capacity":{"total":1.0}}"#,
        ] {
            assert!(status(bad).is_err(), "{bad}");
        }
        assert!(status(r#"{"vpn":null,"provisioning":null,"capacity":null}"#).is_ok());
    }
}
