//! A node with its real registry, disk and sockets. One program, since all of it shares the beds.
#![allow(clippy::unwrap_used)]

mod bed;

mod agent;
mod api;
mod backups;
mod monitoring;
mod relay;
