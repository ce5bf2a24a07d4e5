//! The replica of this node: its core, its state, and what it knows of leader, clocks and other replicas.

pub(crate) mod awaited;
mod chronicle;
mod clocks;
pub(crate) mod compaction;
pub(crate) mod compare;
pub(crate) mod core;
pub(crate) mod disk_watch;
pub(crate) mod follow;
pub(crate) mod hooks;
mod leaderless;
pub(crate) mod leadership;
pub(crate) mod level;
pub(crate) mod progress;
pub(crate) mod remembered;
pub(crate) mod state_machine;
pub(crate) mod status;
mod take_part;
pub(crate) mod times;
mod transfer;
pub(crate) mod trust;
pub(crate) mod view;
