//! The Acexy simulator against a stub orchestrator and a simulated engine, over real sockets.
#![allow(clippy::unwrap_used)]

mod answers;
mod cli;
mod flow;
mod october;
mod provisioning;
mod stub;
