//! Addresses, key and timers. The defaults are those of the real client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Which of the two versions in use is simulated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// Of December 2025: one session for each viewer.
    #[default]
    December,
    /// Of October 2025: viewers of one content share a session, its id and its only end.
    October,
}

/// What a simulated Acexy is told at start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The version.
    pub version: Version,
    /// Prefix of every orchestrator URL, used as it is; a trailing slash doubles the next one.
    pub url: String,
    /// Bearer token of all calls but the status poll.
    pub api_key: Option<String>,
    /// Acexy's own container id, echoed in the events.
    pub container_id: Option<String>,
    /// Streams after which an engine counts as full.
    pub max_streams_per_engine: usize,
    /// Engine used when the list cannot be had. `None`: such a play ends there.
    pub fallback: Option<(String, u16)>,
    /// Names of engines that are dialled at these addresses. `localhost` must be among them.
    pub resolve: HashMap<String, IpAddr>,
    /// Waits and limits.
    pub timers: Timers,
}

impl Config {
    /// The real client's settings for this orchestrator.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            version: Version::default(),
            url: url.into(),
            api_key: None,
            container_id: None,
            max_streams_per_engine: 1,
            fallback: None,
            resolve: HashMap::from([("localhost".to_owned(), Ipv4Addr::LOCALHOST.into())]),
            timers: Timers::default(),
        }
    }
}

/// Waits and limits. A test may shorten them; the relations between them are the contract.
#[derive(Debug, Clone)]
pub struct Timers {
    /// Limit of every orchestrator call, body included.
    pub call: Duration,
    /// Between two status polls.
    pub poll: Duration,
    /// Age up to which the engine list is used again.
    pub list_cache: Duration,
    /// So long after an answer to the client every node knows what it said. Not a timer of the real client.
    pub catch_up: Duration,
    /// Wait after a provisioning success, and once more when the engine is not listed then.
    pub after_provision: Duration,
    /// Length of a second of `recovery_eta_seconds`.
    pub eta_second: Duration,
    /// Limit of `getstream` and of the wait for the playback's headers.
    pub no_response: Duration,
    /// Silence after which a stream counts as dead.
    pub empty: Duration,
    /// Limit of the stop command.
    pub stop: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(3),
            poll: Duration::from_secs(30),
            list_cache: Duration::from_secs(2),
            catch_up: Duration::from_secs(2),
            after_provision: Duration::from_secs(5),
            eta_second: Duration::from_secs(1),
            no_response: Duration::from_secs(20),
            empty: Duration::from_secs(10),
            stop: Duration::from_secs(10),
        }
    }
}
