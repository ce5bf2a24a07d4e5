//! The endpoints, by name and by path.

use serde::{Deserialize, Serialize};

/// The endpoints that count calls and can be broken one by one. `/sim/control` is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    Getstream,
    Manifest,
    Playback,
    Hls,
    Stat,
    Cmd,
    Event,
    ServerApi,
    WebuiApi,
    Other,
}

impl Endpoint {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Getstream,
        Self::Manifest,
        Self::Playback,
        Self::Hls,
        Self::Stat,
        Self::Cmd,
        Self::Event,
        Self::ServerApi,
        Self::WebuiApi,
        Self::Other,
    ];

    /// The endpoint that serves a request path.
    pub fn of_path(path: &str) -> Self {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        match (parts.next(), parts.next()) {
            (Some("ace"), Some("getstream")) => Self::Getstream,
            (Some("ace"), Some("manifest.m3u8")) => Self::Manifest,
            (Some("ace"), Some("r")) => Self::Playback,
            (Some("ace"), Some("m" | "c")) => Self::Hls,
            (Some("ace"), Some("stat")) => Self::Stat,
            (Some("ace"), Some("cmd")) => Self::Cmd,
            (Some("ace"), Some("event")) => Self::Event,
            (Some("server"), Some("api")) => Self::ServerApi,
            (Some("webui"), Some("api")) => Self::WebuiApi,
            _ => Self::Other,
        }
    }

    /// The name used in settings, control messages and counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Getstream => "getstream",
            Self::Manifest => "manifest",
            Self::Playback => "playback",
            Self::Hls => "hls",
            Self::Stat => "stat",
            Self::Cmd => "cmd",
            Self::Event => "event",
            Self::ServerApi => "server_api",
            Self::WebuiApi => "webui_api",
            Self::Other => "other",
        }
    }

    /// The endpoint of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_map_to_endpoints() {
        for (path, endpoint) in [
            ("/ace/getstream", Endpoint::Getstream),
            ("/ace/getstream/", Endpoint::Getstream),
            ("/ace/r/aa/bb", Endpoint::Playback),
            ("/ace/stat/aa/bb", Endpoint::Stat),
            ("/server/api", Endpoint::ServerApi),
            ("/webui/api/service", Endpoint::WebuiApi),
            ("/", Endpoint::Other),
        ] {
            assert_eq!(Endpoint::of_path(path), endpoint, "{path}");
        }
        for (number, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(endpoint as usize, number);
        }
    }
}
