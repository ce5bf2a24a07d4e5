//! Connections of clients.
//!
//! - [`serve`]: accepts and serves them until the node stops
//! - [`slots`]: limits their number, and closes idle ones for new ones
//! - [`stall`]: distinguishes slow senders from idle connections
//! - [`answering`]: a connection is in use until its answer has ended
//! - `client`: one connection, and the way of its requests to the API
//! - `arrival`: TLS or not, by the first byte; `advice`: for callers that should have used TLS
//! - `http2`: what bounds the requests of such a connection; `requests`: how many are open at once
//! - [`seats`]: places of which one address gets a part
//! - [`held`]: what a connection holds, also when it has become a WebSocket

mod advice;
pub(crate) mod answering;
mod arrival;
mod client;
pub(crate) mod held;
mod http2;
mod requests;
pub(crate) mod seats;
pub(crate) mod serve;
pub(crate) mod slots;
pub(crate) mod stall;
