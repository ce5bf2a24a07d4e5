//! The replica of this node: its core, the state that it applies, and what it knows of leader, clocks and other replicas.

pub(crate) mod awaited;
mod chronicle;
pub(crate) mod clocks;
pub(crate) mod compare;
pub(crate) mod core;
pub(crate) mod level;
pub(crate) mod progress;
pub(crate) mod state_machine;
pub(crate) mod status;
pub(crate) mod view;
