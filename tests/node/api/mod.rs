//! The HTTP API of a real node (real registry on disk, real sockets) with a container engine in memory.

mod access;
mod commands;
mod connections;
mod containers;
mod conventions;
mod event_log;
mod events;
mod feed;
mod hand_outs;
mod hostile;
mod leaderless;
mod logs;
mod lost_hosts;
mod nodes;
mod openapi;
mod operators;
mod provisioning;
mod queued;
mod reads;
mod reasons;
mod room;
mod series;
mod shapes;
mod validation;
mod vpn;
mod young;
