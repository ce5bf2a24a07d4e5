//! Engines of other hosts, reached as localhost.

mod cluster;
mod sockets;
