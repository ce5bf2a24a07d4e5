//! Connections of clients.
//!
//! - [`serve`]: accepts and serves them until told to stop
//! - [`slots`]: how many there may be, and which one is closed for a new one
//! - [`stall`]: tells a slow sender from a connection at rest

pub(crate) mod serve;
pub(crate) mod slots;
pub(crate) mod stall;
