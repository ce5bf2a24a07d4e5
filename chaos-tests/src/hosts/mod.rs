//! Test hosts: network namespaces on one bridge, each with its own `dockerd` and `acefleet` process.
//!
//! Nothing here touches what does not carry the name of a bed. Nothing outlives the process that made it: the [`janitor`] removes
//! what [`Bed`](bed::TestHosts) leaves.
//!
//! - [`bed`]: the bed as tests see it
//! - [`options`]: what a bed consists of
//! - [`host`]: one host: namespace, Docker, commands run beside it
//! - [`docker`]: `containerd` and `dockerd` of one host
//! - [`slow_docker`]: a Docker that takes its time to start containers
//! - [`node`]: one `acefleet serve` process
//! - [`network`]: bridge, namespaces, cuts
//! - [`process`]: a child process that can be paused, stopped and killed
//! - [`state`]: names, directories and the claim on them
//! - [`janitor`]: takes away what a dead owner left
//! - [`scan`]: which processes belong to a bed
//! - [`tools`]: the programs of the system that all of this needs
//! - [`artifacts`]: where the binaries and images under test are

pub mod artifacts;
pub mod bed;
pub mod docker;
pub mod host;
pub mod janitor;
pub mod network;
pub mod node;
pub mod options;
pub mod process;
pub mod scan;
pub mod slow_docker;
pub mod state;
pub mod tools;

pub use bed::TestHosts;
pub use host::Host;
pub use node::Node;
pub use options::{BedOptions, Layout};
