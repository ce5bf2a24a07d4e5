//! Whole clusters on real hosts: the binary, real Docker, simulated engines. One program, since all of it shares the bed.
#![allow(clippy::unwrap_used)]

mod common;
mod compose;
mod gluetun;
mod machine;

mod acexy;
mod backup;
mod bed;
mod clocks;
mod cluster;
mod cycles;
mod deploy;
mod down;
mod elections;
mod faults;
mod handouts;
mod health;
mod idle;
mod load_curve;
mod lost_hosts;
mod lost_streams;
mod members;
mod panel;
mod quorum;
mod relay;
mod rolling;
mod secrets;
mod single;
mod swarm;
mod systemd;
mod viewers;
mod vpn;
mod vpn_storm;
mod young;
