//! The agent of one Docker host.
