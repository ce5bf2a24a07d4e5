//! Engines of other hosts, reached as localhost.

mod cluster;
mod drain;
mod drain_of_node;
mod sockets;
