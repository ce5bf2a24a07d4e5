//! What a bed consists of.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Which nodes run where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Hosts with Docker only; no node.
    DockerOnly,
    /// One node on each host: the real thing.
    NodePerHost,
    /// This many nodes side by side on the first host, sharing its Docker.
    SharedDocker(u8),
}

/// What a bed consists of; start from [`BedOptions::new`] and change what differs.
#[derive(Debug, Clone)]
pub struct BedOptions {
    /// Number of hosts, 1 to 9.
    pub hosts: u8,
    /// Which nodes run where.
    pub layout: Layout,
    /// So many nodes list each other as founders; further ones have no such list. `None` = all.
    pub founders: Option<usize>,
    /// Tar of an image to load into every Docker; `None` = the engine simulator ([`super::artifacts::engine_image`]).
    pub image_tar: Option<PathBuf>,
    /// Load no image at all (an engine cannot be started then).
    pub no_image: bool,
    /// The node binary; `None` = [`super::artifacts::acefleet`].
    pub bin: Option<PathBuf>,
    /// API key of all nodes.
    pub api_key: String,
    /// More environment for all nodes; wins over what the bed sets.
    pub env: BTreeMap<String, String>,
    /// Nodes keep their data here, in a directory per node, instead of losing it with the bed.
    pub keep_data: Option<PathBuf>,
    /// Containers survive the end of their `dockerd` (Docker's own default is no).
    pub live_restore: bool,
    /// When a bed is dropped that was not finished, its logs are shown and kept. Off where a test drops one on purpose.
    pub keep_logs: bool,
    /// Start a process that clears away when this one dies. Off only in tests of the janitor itself.
    pub reaper: bool,
}

impl BedOptions {
    /// One node on each of `hosts` hosts, with the engine simulator's image loaded.
    pub fn new(hosts: u8) -> Self {
        Self {
            hosts,
            layout: Layout::NodePerHost,
            founders: None,
            image_tar: None,
            no_image: false,
            bin: None,
            api_key: "test-key".to_owned(),
            env: BTreeMap::new(),
            keep_data: None,
            live_restore: false,
            keep_logs: true,
            reaper: true,
        }
    }

    /// Hosts with Docker and no node.
    pub fn docker_only(hosts: u8) -> Self {
        Self { layout: Layout::DockerOnly, ..Self::new(hosts) }
    }

    /// Several nodes on one host that share its Docker.
    pub fn shared_docker(nodes: u8) -> Self {
        Self { layout: Layout::SharedDocker(nodes), ..Self::new(1) }
    }

    /// Sets a variable in the environment of all nodes.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }
}
