//! What a daemon in memory holds, and its faults.

use std::collections::{BTreeMap, BTreeSet};

use acefleet::agent::runtime::{RuntimeError, VpnView};

/// One container.
#[derive(Clone, Debug, Default)]
pub struct Box {
    pub name: String,
    pub image: String,
    pub labels: BTreeMap<String, String>,
    pub ports: BTreeMap<String, u16>,
    pub status: String,
    pub exit_code: i64,
    pub oom_killed: bool,
}

/// The state of the daemon, and its faults.
#[derive(Debug)]
pub struct World {
    pub up: bool,
    /// Every list is empty, whatever runs, and how many were given.
    pub lists_nothing: bool,
    pub empty_lists: u32,
    /// What every start fails with.
    pub fails: Option<RuntimeError>,
    pub containers: BTreeMap<String, Box>,
    /// Ports that another program listens on.
    pub taken_ports: BTreeSet<u16>,
    /// Images that are not there, and what a pull of each comes to.
    pub missing_images: BTreeMap<String, Result<(), String>>,
    /// Networks that are not there.
    pub missing_networks: BTreeSet<String>,
    /// The next so many containers are started, but the answer is lost.
    pub lose_answers: u32,
    /// Status of new containers.
    pub born: &'static str,
    /// What containers write.
    pub log: String,
    /// How often a log was followed.
    pub followed: u32,
    /// How often the daemon ended all logs that were followed.
    pub cut: u32,
    /// How often counters were asked for.
    pub counted: u64,
    /// Calls of `run`.
    pub tried: u32,
    /// Calls of `run` that made a container.
    pub made: u32,
    pub pulls: Vec<String>,
    /// VPN containers by name, and how often one was restarted.
    pub vpns: BTreeMap<String, VpnView>,
    pub restarts: u32,
    /// How often one was inspected.
    pub vpn_looks: u32,
    /// Restarts are done, but never answered.
    pub restarts_hang: bool,
    /// Removals are neither done nor answered.
    pub removals_hang: bool,
    pub(super) ids: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            up: true,
            lists_nothing: false,
            empty_lists: 0,
            fails: None,
            containers: BTreeMap::new(),
            taken_ports: BTreeSet::new(),
            missing_images: BTreeMap::new(),
            missing_networks: BTreeSet::new(),
            lose_answers: 0,
            born: "running",
            log: "sh: engine: not found\n".to_owned(),
            followed: 0,
            cut: 0,
            counted: 0,
            tried: 0,
            made: 0,
            pulls: Vec::new(),
            vpns: BTreeMap::new(),
            restarts: 0,
            vpn_looks: 0,
            restarts_hang: false,
            removals_hang: false,
            ids: 0,
        }
    }
}
