//! Connections of clients.
//!
//! - [`serve`]: accepts and serves them until the node stops
//! - [`slots`]: limits their number, and closes idle ones for new ones
//! - [`stall`]: distinguishes slow senders from idle connections
//! - [`answering`]: a connection is in use until its answer has ended
//! - [`held`]: what a connection holds, also when it has become a WebSocket

pub(crate) mod answering;
pub(crate) mod held;
pub(crate) mod serve;
pub(crate) mod slots;
pub(crate) mod stall;
