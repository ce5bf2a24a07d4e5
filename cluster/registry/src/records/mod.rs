//! What the tables hold: the records, with nothing but questions that a record answers by itself.
//!
//! - [`access`], [`key`], [`actor`]: who may call, and who did; [`join_token`]: by what further nodes join
//! - [`ids`]: names of members, engines and writes
//! - [`node`], [`engine`], [`stream`], [`vpn`]: members, engines, streams and VPN containers
//! - [`cause`], [`health`]: why an engine did not start, leaves, or ended, and what is wrong with one that fails its health checks
//! - [`end_reason`]: why a stream ended
//! - [`policy`], [`breaker`], [`group`], [`lack`]: settings, circuit breakers, what each is about, and what hosts lack by name
//! - [`settings`], [`settings_log`]: cluster-wide settings by name, and who changed them
//! - [`mark`]: an engine that is taken although no stream is known on it
//! - [`seat`]: places on engines for clients that ask for one before they play
//! - [`event`]: what happened; [`category`]: the words by which members' events are told apart
//! - [`time`], [`calendar`]: the two times, and what people are shown

pub mod access;
pub mod actor;
pub mod breaker;
pub mod calendar;
pub mod category;
pub mod cause;
pub(crate) mod cautious;
pub mod end_reason;
pub mod engine;
pub mod event;
pub mod group;
pub mod health;
pub mod ids;
pub mod join_token;
pub mod key;
pub mod lack;
pub mod mark;
pub mod node;
pub mod policy;
pub mod seat;
pub mod settings;
pub mod settings_log;
pub mod stream;
pub mod time;
pub mod vpn;
