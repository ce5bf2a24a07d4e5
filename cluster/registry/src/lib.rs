//! The replicated state of Acefleet as pure data: records, commands, `apply`, queries and the rules
//! of placement and scaling. Nothing in this crate may do IO, read a clock or roll a die.
//!
//! - [`ids`], [`node`], [`engine`], [`stream`], [`policy`], [`breaker`], [`event`]: the records
//! - [`command`]: what can be written, and the replies
//! - [`state`], [`queries`]: the tables with their derived indexes, and how to read them
//! - `leaving`: which engines may leave, and when
//! - [`apply()`]: the only function that changes the state
//! - [`lack`]: what hosts lack by name, an image or a network
//! - [`placement`]: which host gets an engine
//! - [`address`]: hosts as text
//! - [`conf`]: ports in a caller's `CONF`
//! - [`vpn`]: VPN containers and the engines in their network
//! - [`plan`]: what the leader does by itself
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod address;
mod apply;
pub mod breaker;
pub mod command;
pub mod conf;
pub mod engine;
pub mod event;
pub mod ids;
pub mod lack;
mod leaving;
mod matching;
pub mod node;
pub mod placement;
pub mod plan;
pub mod policy;
mod ports;
pub mod queries;
pub mod state;
pub mod stream;
pub mod vpn;

pub use apply::apply;
pub use command::{Command, Proposal, Refusal, RefusalCode, Reply, Reserve};
pub use engine::Engine;
pub use ids::{EngineId, NodeId, OpId};
pub use node::{Node, NodeInfo};
pub use policy::Policy;
pub use state::State;
pub use stream::Stream;
