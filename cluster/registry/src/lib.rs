//! The replicated state of Acefleet as pure data: records, commands, `apply`, queries and the rules
//! of placement and scaling. Nothing in this crate may do IO, read a clock or roll a die.
//!
//! - [`records`]: what the tables hold
//! - [`state`], `index`, [`queries`]: the tables, what is derived from them, and how to read them
//! - [`command`], [`reply`], [`level`]: what can be written, what comes of it, and which commands all members know
//! - [`apply()`]: the only function that changes the state
//! - [`rules`]: what is decided, and why
//! - [`plan`]: what the leader does by itself
//! - [`digest`]: what replicas compare
//! - `invariants`, `redacted`, `resumed`: states from files: what must hold of them, what is taken out for others, and what is passed over when
//!   a cluster begins from an old one
//! - [`weight`]: bytes of records, and how many there may be
//! - [`address`], [`container_id`], [`conf`]: hosts and containers as text, and ports in a caller's `CONF`
//! - [`reach`]: where engines are reached
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod address;
mod apply;
pub mod command;
pub mod conf;
pub mod container_id;
pub mod digest;
mod index;
mod invariants;
pub mod level;
pub mod plan;
pub mod queries;
pub mod reach;
pub mod records;
mod redacted;
pub mod reply;
mod resumed;
pub mod rules;
pub mod state;
pub mod weight;

pub use apply::apply;
pub use command::{Command, Proposal, Reserve};
pub use digest::Digest;
pub use level::Level;
pub use records::access::{Access, KeyHash};
pub use records::actor::{Actor, BadUserName, Credential, UserName};
pub use records::engine::Engine;
pub use records::ids::{EngineId, NodeId, OpId};
pub use records::key::{KeyName, NamedKey, Role};
pub use records::node::{Node, NodeInfo, Scheme};
pub use records::policy::Policy;
pub use records::stream::Stream;
pub use records::time::{Elapsed, WallMs};
pub use records::{
    breaker, calendar, category, cause, end_reason, engine, event, group, health, join_token, key, lack,
    mark, node, policy, seat, settings, settings_log, stream, vpn,
};
pub use reply::{Refusal, RefusalCode, Reply};
pub use state::State;
