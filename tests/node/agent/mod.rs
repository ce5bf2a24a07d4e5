//! The agent of one host, on a container engine in memory and on a real Docker.

mod allowed;
mod before;
mod docker;
mod docker_tls;
mod engines;
mod reconcile;
mod restored;
mod stopping;
mod viewers;
mod vpn;
mod vpn_control;
