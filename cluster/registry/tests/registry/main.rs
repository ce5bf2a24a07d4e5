//! What the registry promises. One binary: stories per subject, then properties over any sequence of
//! commands, then the format on disk.
#![allow(clippy::unwrap_used)]

mod support;

mod actors;
mod admission;
mod breakers;
mod clocks;
mod dedup;
mod digests;
mod elsewhere;
mod engines;
mod event_orders;
mod failed_once;
mod failed_together;
mod format;
mod found;
mod hand_outs;
mod hostile;
mod hosts;
mod join_tokens;
mod keys;
mod lacks;
mod leases;
mod lost_hosts;
mod lost_young;
mod nodes;
mod outages;
mod placement;
mod plan;
mod plan_limits;
mod properties;
mod redacted;
mod renew;
mod replaced;
mod retention;
mod room;
mod seats;
mod settings;
mod silence;
mod spare;
mod streams;
mod suspected;
mod unanswered;
mod unhealthy;
mod vpn;
mod vpn_pairs;
mod young;
