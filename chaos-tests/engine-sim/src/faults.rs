//! What goes wrong, per endpoint, from the environment and at run time.
//!
//! | variable | meaning |
//! |---|---|
//! | `SIM_HANG` | accept the call, never answer |
//! | `SIM_STATUS` | answer this HTTP status with a plain text body |
//! | `SIM_NON_JSON` | answer 200 with HTML |
//! | `SIM_ENGINE_ERROR` | answer the engine's own error JSON (`failed to load content`) |
//! | `SIM_DELAY_MS` | wait before answering |
//! | `SIM_GETSTREAM_DELAY_MS` | the same for `getstream` alone |
//! | `SIM_BITRATE_KBPS` | speed of the stream, default 2000 |
//! | `SIM_PREBUF_MS` | time from the session's start to its first byte, default 200 |
//! | `SIM_SESSION_TTL_S` | a session without reader ends after this, default 60 |
//! | `SIM_STALL` | `1`: readers stay connected and get no bytes |
//! | `SIM_NETWORK_CONNECTED` | `0`: the engine says that it has no peers' network |
//!
//! The first five take a list: `SIM_STATUS=500` is for all endpoints, `SIM_STATUS=getstream=500,stat=404`
//! and `SIM_HANG=getstream,server_api` for some. (`SIM_START_DELAY_MS`, `SIM_EXIT_AT_START`,
//! `SIM_DIE_AFTER_S` and `SIM_DIE_CODE` belong to [`crate::config`].)

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, int, seconds};
use crate::endpoint::Endpoint;

/// What is wrong with one endpoint. Several may be set; the delay comes first, then the first of
/// hang, status, non-JSON, engine error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EndpointFault {
    /// Wait this long before anything else.
    pub delay_ms: u64,
    /// Never answer.
    pub hang: bool,
    /// Answer this status, 100 to 599.
    pub status: Option<u16>,
    /// Answer 200 with HTML.
    pub non_json: bool,
    /// Answer the engine's error JSON.
    pub engine_error: bool,
}

/// All faults in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Faults {
    /// Broken endpoints; the rest works.
    pub endpoints: BTreeMap<Endpoint, EndpointFault>,
    /// Speed of every stream.
    pub bitrate_kbps: u64,
    /// Time from the start of a session to its first byte.
    pub prebuf_ms: u64,
    /// A session without reader ends after this.
    pub session_ttl_s: f64,
    /// Readers stay connected and get nothing.
    pub stall: bool,
    /// What `get_network_connection_status` says.
    pub network_connected: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            endpoints: BTreeMap::new(),
            bitrate_kbps: 2000,
            prebuf_ms: 200,
            session_ttl_s: 60.0,
            stall: false,
            network_connected: true,
        }
    }
}

/// A change of the faults at run time; what is absent stays as it is. An endpoint that is named
/// gets exactly the given fault, so `{}` repairs it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultPatch {
    pub endpoints: BTreeMap<Endpoint, EndpointFault>,
    pub bitrate_kbps: Option<u64>,
    pub prebuf_ms: Option<u64>,
    pub session_ttl_s: Option<f64>,
    pub stall: Option<bool>,
    pub network_connected: Option<bool>,
}

const MAX_BITRATE_KBPS: u64 = 1_000_000;
const BITRATE: &str = "kbit/s from 1 to 1000000";
const STATUS: &str = "an HTTP status from 200 to 599";

impl Faults {
    /// The fault of one endpoint, if it has one.
    pub fn of(&self, endpoint: Endpoint) -> Option<&EndpointFault> {
        self.endpoints.get(&endpoint)
    }

    /// How long a session lives without a reader.
    pub fn session_ttl(&self) -> Duration {
        Duration::try_from_secs_f64(self.session_ttl_s).unwrap_or(Duration::MAX)
    }

    /// Applies a change, whole or not at all.
    ///
    /// # Errors
    /// A bitrate, status or duration out of range.
    pub fn patch(&mut self, patch: FaultPatch) -> Result<(), ConfigError> {
        if let Some(kbps) = patch.bitrate_kbps.filter(|k| !bitrate_ok(*k)) {
            return Err(ConfigError::value("bitrate_kbps", &kbps.to_string(), BITRATE));
        }
        if let Some(ttl) = patch.session_ttl_s
            && Duration::try_from_secs_f64(ttl).is_err()
        {
            let expected = "seconds, 0 or more";
            return Err(ConfigError::value("session_ttl_s", &ttl.to_string(), expected));
        }
        for fault in patch.endpoints.values() {
            if let Some(status) = fault.status.filter(|s| !status_ok(*s)) {
                return Err(ConfigError::value("status", &status.to_string(), STATUS));
            }
        }
        for (endpoint, fault) in patch.endpoints {
            if fault == EndpointFault::default() {
                self.endpoints.remove(&endpoint);
            } else {
                self.endpoints.insert(endpoint, fault);
            }
        }
        self.bitrate_kbps = patch.bitrate_kbps.unwrap_or(self.bitrate_kbps);
        self.prebuf_ms = patch.prebuf_ms.unwrap_or(self.prebuf_ms);
        self.session_ttl_s = patch.session_ttl_s.unwrap_or(self.session_ttl_s);
        self.stall = patch.stall.unwrap_or(self.stall);
        self.network_connected = patch.network_connected.unwrap_or(self.network_connected);
        Ok(())
    }

    /// Applies one `SIM_` variable; `setting` is its name without the prefix.
    pub(crate) fn apply_env(&mut self, name: &str, setting: &str, value: &str) -> Result<(), ConfigError> {
        match setting {
            "HANG" => self.flag_list(name, value, |fault| fault.hang = true),
            "NON_JSON" => self.flag_list(name, value, |fault| fault.non_json = true),
            "ENGINE_ERROR" => self.flag_list(name, value, |fault| fault.engine_error = true),
            "STATUS" => self.value_list(name, value, |fault, text| match text.parse::<u16>() {
                Ok(status) if status_ok(status) => {
                    fault.status = Some(status);
                    Ok(())
                }
                _ => Err(ConfigError::value(name, text, STATUS)),
            }),
            "DELAY_MS" => self.value_list(name, value, |fault, text| {
                fault.delay_ms = int(name, text)?;
                Ok(())
            }),
            "GETSTREAM_DELAY_MS" => {
                self.fault(Endpoint::Getstream).delay_ms = int(name, value)?;
                Ok(())
            }
            "BITRATE_KBPS" => {
                self.bitrate_kbps = int(name, value)?;
                if bitrate_ok(self.bitrate_kbps) {
                    Ok(())
                } else {
                    Err(ConfigError::value(name, value, BITRATE))
                }
            }
            "PREBUF_MS" => int(name, value).map(|ms| self.prebuf_ms = ms),
            "SESSION_TTL_S" => seconds(name, value).map(|d| self.session_ttl_s = d.as_secs_f64()),
            "STALL" => flag(name, value).map(|on| self.stall = on),
            "NETWORK_CONNECTED" => flag(name, value).map(|on| self.network_connected = on),
            _ => Err(ConfigError::Unknown(name.to_owned())),
        }
    }

    fn fault(&mut self, endpoint: Endpoint) -> &mut EndpointFault {
        self.endpoints.entry(endpoint).or_default()
    }

    /// `1` or a list of endpoints; `0` and nothing mean off.
    fn flag_list(
        &mut self,
        name: &str,
        value: &str,
        set: impl Fn(&mut EndpointFault),
    ) -> Result<(), ConfigError> {
        match flag(name, value) {
            Ok(true) => Endpoint::ALL.into_iter().for_each(|e| set(self.fault(e))),
            Ok(false) => {}
            Err(_) => {
                for item in value.split(',') {
                    set(self.fault(endpoint(name, item)?));
                }
            }
        }
        Ok(())
    }

    /// One value for all endpoints, or a list of `endpoint=value`.
    fn value_list(
        &mut self,
        name: &str,
        value: &str,
        set: impl Fn(&mut EndpointFault, &str) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        for item in value.split(',') {
            match item.split_once('=') {
                Some((target, text)) => set(self.fault(endpoint(name, target)?), text.trim())?,
                None => {
                    for endpoint in Endpoint::ALL {
                        set(self.fault(endpoint), item.trim())?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn endpoint(name: &str, item: &str) -> Result<Endpoint, ConfigError> {
    Endpoint::from_name(item.trim()).ok_or_else(|| {
        ConfigError::value(
            name,
            item,
            "1, or endpoints out of getstream, manifest, playback, hls, stat, cmd, event, \
             server_api, webui_api, other",
        )
    })
}

fn flag(name: &str, value: &str) -> Result<bool, ConfigError> {
    match value.trim() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(ConfigError::value(name, value, "1 or 0")),
    }
}

fn bitrate_ok(kbps: u64) -> bool {
    (1..=MAX_BITRATE_KBPS).contains(&kbps)
}

fn status_ok(status: u16) -> bool {
    (200..600).contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str, value: &str) -> Result<Faults, ConfigError> {
        let mut faults = Faults::default();
        faults.apply_env(name, name.strip_prefix("SIM_").unwrap(), value)?;
        Ok(faults)
    }

    #[test]
    fn lists_name_all_or_some_endpoints() {
        let all = env("SIM_HANG", "1").unwrap();
        assert!(Endpoint::ALL.into_iter().all(|e| all.of(e).unwrap().hang));
        assert_eq!(env("SIM_HANG", "0").unwrap(), Faults::default());

        let some = env("SIM_STATUS", "getstream=500, stat=404").unwrap();
        assert_eq!(some.of(Endpoint::Getstream).unwrap().status, Some(500));
        assert_eq!(some.of(Endpoint::Stat).unwrap().status, Some(404));
        assert_eq!(some.of(Endpoint::Cmd), None);

        let one = env("SIM_NON_JSON", "server_api").unwrap();
        assert!(one.of(Endpoint::ServerApi).unwrap().non_json);
        assert_eq!(env("SIM_STATUS", "503").unwrap().endpoints.len(), 10);
        let delay = env("SIM_GETSTREAM_DELAY_MS", "40").unwrap();
        assert_eq!(delay.of(Endpoint::Getstream).unwrap().delay_ms, 40);
    }

    #[test]
    fn unusable_values_are_refused() {
        for (name, value) in [
            ("SIM_HANG", "getsteam"),
            ("SIM_STATUS", "99"),
            ("SIM_STATUS", "stat=abc"),
            ("SIM_BITRATE_KBPS", "0"),
            ("SIM_BITRATE_KBPS", "fast"),
            ("SIM_SESSION_TTL_S", "NaN"),
            ("SIM_STALL", "maybe"),
            ("SIM_NOTHING", "1"),
        ] {
            assert!(env(name, value).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn a_patch_changes_only_what_it_names() {
        let mut faults = env("SIM_HANG", "getstream,stat").unwrap();
        let patch = serde_json::from_str(r#"{"endpoints":{"stat":{}},"stall":true}"#).unwrap();
        faults.patch(patch).unwrap();
        assert!(faults.of(Endpoint::Getstream).unwrap().hang);
        assert_eq!(faults.of(Endpoint::Stat), None);
        assert!(faults.stall && faults.network_connected);

        let before = faults.clone();
        let bad = r#"{"stall":false,"bitrate_kbps":0}"#;
        assert!(faults.patch(serde_json::from_str(bad).unwrap()).is_err());
        assert_eq!(faults, before, "a refused patch changes nothing");
        assert!(serde_json::from_str::<FaultPatch>(r#"{"stal":true}"#).is_err());
    }
}
