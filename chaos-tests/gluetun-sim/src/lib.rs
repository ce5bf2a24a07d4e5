//! A simulated Gluetun: the part of its HTTP control server that orchestrators ask, with Gluetun's own
//! environment variables and role file, a health check, and faults by HTTP. It has no tunnel and forwards
//! nothing: engines that join its network have that of its container.
//!
//! - [`config`]: environment and role file
//! - [`server`]: control server and health server
//! - [`sim`]: what it pretends, and how that is changed

pub mod config;
pub mod server;
pub mod sim;
