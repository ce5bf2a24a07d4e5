//! What is decided, and why. Each question has one function, which the reservation, the leader's plan and the status share. A rule
//! returns the reason for which something is not so.
//!
//! - [`hosts`]: which hosts can take a new engine
//! - [`load`], [`placement`]: how much runs on each, and which of them gets it
//! - `ports`, `vpn`, `lacks`: its ports and name, its network, and what it needs there
//! - `outages`: which VPNs were down lately, and what that means for engines
//! - `renewal`: engines that are replaced although their network works
//! - `failing`: what failures count against; `held`: what that holds back
//! - `admission`: whether a reservation gets an engine, and which; `at_hand`: without starting one
//! - [`engines`], [`health`]: what an engine is to clients, what keeps it, and what follows when it fails its checks; [`standing`]: the words for it
//! - `callers`: which caller gets an engine that is ready; `start_times`: how long callers wait
//! - `supply`: how many engines there are for clients, against the maximum and for floors
//! - `marks`: how long an engine counts as taken although no stream is known on it
//! - [`seats`]: which engine a client gets that asks before it plays
//! - [`liveness`]: how long a member may be silent, and what follows
//! - [`lost_hosts`]: what a silent host is, and which of its engines are lost with it; [`spare`]: how many engines are kept free
//! - [`floors_missed`]: which floors are not kept
//! - [`settings`]: which settings can be in force together; [`keys`]: which keys can be made; [`join_tokens`]: who joins with a token
//! - `matching`: which engine a stream event means

pub(crate) mod admission;
mod at_hand;
mod callers;
pub mod engines;
pub(crate) mod failing;
pub mod floors_missed;
pub mod health;
pub(crate) mod held;
pub mod hosts;
pub mod join_tokens;
pub mod keys;
mod lacks;
pub mod liveness;
pub mod load;
pub mod lost_hosts;
mod marks;
pub(crate) mod matching;
pub(crate) mod outages;
pub mod placement;
pub(crate) mod ports;
pub(crate) mod renewal;
pub mod seats;
pub mod settings;
pub mod spare;
pub mod standing;
mod start_times;
mod supply;
pub(crate) mod vpn;
