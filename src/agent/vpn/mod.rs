//! VPN containers (Gluetun) of this host: whether their tunnels are up, which port they forward, and which engines lost their network
//! with them. All of it runs in the background, never in a request. A container whose outage lasts is restarted; nothing else of it
//! changes.
//!
//! - [`verdict`]: from inspections to a debounced verdict, as pure functions
//! - `control`: Gluetun's control server; [`words`]: what it says of its tunnel; `asking`: asks it for port and address; [`known_port`]: its port,
//!   as far as it is known
//! - [`opinion`]: whether engines overrule a failed health check; [`trial`]: whether Gluetun does; `engines`: asks them
//! - [`restarts`]: when a container is restarted; `heal`: does it
//! - [`tidings`]: when people are told that one went down or came back
//! - `monitor`: inspects; `question`: asks those that know better; `announce`: writes what is found; `ports`: warns of ports that lead
//!   nowhere
//! - [`network`]: the networks that engines join

mod announce;
mod asking;
mod control;
mod engines;
mod heal;
pub mod known_port;
mod monitor;
pub mod network;
pub mod opinion;
mod ports;
mod question;
pub mod restarts;
pub mod tidings;
pub mod trial;
pub mod verdict;
pub mod words;

pub(super) use monitor::run;
pub use network::{Network, Networks};
