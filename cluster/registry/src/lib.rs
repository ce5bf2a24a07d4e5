//! The replicated state of Acefleet as pure data: records, commands, `apply`, queries and the rules
//! of placement and scaling. Nothing in this crate may do IO, read a clock or roll a die.
//!
//! - [`access`]: who may call
//! - [`ids`], [`node`], [`engine`], [`stream`], [`policy`], [`breaker`], [`event`]: the records
//! - [`time`], [`calendar`]: the two times, and what people are shown
//! - [`command`]: what can be written, and the replies
//! - [`level`]: which commands all members know
//! - [`state`], [`queries`]: the tables with their derived indexes, and how to read them
//! - [`digest`]: what replicas compare
//! - `leaving`: which engines may leave, and when
//! - [`apply()`]: the only function that changes the state
//! - [`rules`]: what is decided, and why
//! - [`lack`]: what hosts lack by name, an image or a network
//! - [`placement`]: which host gets an engine
//! - [`address`]: hosts as text
//! - [`conf`]: ports in a caller's `CONF`
//! - [`vpn`]: VPN containers and the engines in their network
//! - [`plan`]: what the leader does by itself
//! - [`weight`]: bytes of records, and how many there may be
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod access;
pub mod address;
mod apply;
pub mod breaker;
pub mod calendar;
pub mod command;
pub mod conf;
pub mod digest;
pub mod engine;
pub mod event;
pub mod ids;
pub mod lack;
mod leaving;
pub mod level;
mod matching;
pub mod node;
pub mod placement;
pub mod plan;
pub mod policy;
mod ports;
pub mod queries;
pub mod rules;
pub mod state;
pub mod stream;
pub mod time;
pub mod vpn;
pub mod weight;

pub use access::{Access, KeyHash};
pub use apply::apply;
pub use command::{Command, Proposal, Refusal, RefusalCode, Reply, Reserve};
pub use digest::Digest;
pub use engine::Engine;
pub use ids::{EngineId, NodeId, OpId};
pub use level::Level;
pub use node::{Node, NodeInfo};
pub use policy::Policy;
pub use state::State;
pub use stream::Stream;
pub use time::{Elapsed, WallMs};
