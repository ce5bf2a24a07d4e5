//! Benchmarks of release binaries beside what people would use instead (`make bench`). They measure and print; nothing here
//! asserts anything about speed, and nothing leaves the loopback and the test hosts.
//!
//! - [`rows`]: one file for each row of the table
//! - [`table`]: rows, goals and verdicts as they are printed
//! - [`figures`]: medians, percentiles, alternating runs
//! - [`client`], [`open_loop`]: HTTP load, as fast as answers come or at a fixed rate
//! - [`fleet`], [`docker`], [`engine`]: three real nodes on loopback addresses, a made-up Docker daemon and engines for each
//! - [`bare`]: an HTTP server that only sends bytes
//! - [`etcd`]: three members of etcd and their client
//! - [`place`]: addresses, directories, and how much time may be spent
//! - [`usage`]: memory and CPU time of a process, speed of the disk

pub mod bare;
pub mod client;
pub mod docker;
pub mod engine;
pub mod etcd;
pub mod figures;
pub mod fleet;
pub mod open_loop;
pub mod place;
pub mod rows;
pub mod table;
pub mod usage;
