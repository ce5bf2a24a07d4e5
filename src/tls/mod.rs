//! TLS of the API: the certificate of this node and its key, from files that may change while it runs.
//!
//! - [`pair`]: reads both files, and checks that they belong together
//! - [`keeper`]: the pair in use, which handshakes take; told by [`watch`] what the files say
//! - [`remark`]: what is worth a warning: a certificate that ends, or is for another name
//! - `server`: protocols and limits of the handshake

pub mod keeper;
pub mod pair;
pub mod remark;
mod server;
#[cfg(test)]
mod tests;
pub mod watch;

pub use keeper::Keeper;
pub use pair::{Pair, PairError};
pub use remark::{Remark, remarks};
pub use server::{PROTOCOL_H2, Tls};
