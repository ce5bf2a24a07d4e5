//! A simulated AceStream engine: the HTTP API that players and orchestrators use, real MPEG-TS
//! bytes, and faults on demand.
//!
//! It must not know anything about the orchestrator, and it must not soften a fault: what a fault
//! says is what the caller gets.
//!
//! | module | contents |
//! |---|---|
//! | [`config`] | command line and environment, in the forms that engine images accept |
//! | [`endpoint`] | the endpoints, by name and by path |
//! | [`faults`] | what goes wrong, per endpoint, and how that changes at run time |
//! | [`engine`] | the state that all handlers share |
//! | [`sessions`] | playback sessions: who plays what, one reader each |
//! | [`mpegts`] | transport stream packets |
//! | [`playback`] | paced delivery of packets to a reader |
//! | [`api_ace`] | `/ace/getstream`, `/ace/manifest.m3u8`, `/ace/stat`, `/ace/cmd`, `/ace/event` |
//! | [`api_hls`] | HLS playlists and segments |
//! | [`api_server`] | `/server/api` and `/webui/api/service` |
//! | [`control`] | `/sim/control`: state, counters, faults at run time |
//! | [`server`] | the router, and the layer that counts calls and applies faults |

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api_ace;
pub mod api_hls;
pub mod api_server;
pub mod config;
pub mod control;
pub mod endpoint;
pub mod engine;
pub mod faults;
pub mod mpegts;
pub mod playback;
pub mod server;
pub mod sessions;
