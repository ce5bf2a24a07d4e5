//! VPN containers (Gluetun) of this host: are their tunnels up, which port do they forward, and which
//! engines have lost their network with them. Asked in the background only, never in a request. It
//! changes nothing about a VPN container but to restart one whose outage lasts.
//!
//! - [`verdict`]: from looks to a debounced verdict, as pure functions
//! - `control`: Gluetun's control server
//! - `monitor`: looks, asks, tells the cluster, restarts
//! - [`network`]: what the rest of the agent has to know of a container

mod control;
mod monitor;
pub mod network;
pub mod verdict;

pub(super) use monitor::run;
pub use network::{Network, Networks};
