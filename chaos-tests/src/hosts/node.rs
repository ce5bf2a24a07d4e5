//! One `acefleet serve` process.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::artifacts::ENGINE_IMAGE;
use super::host::Host;
use super::options::BedOptions;
use super::process::{Process, Recipe};
use crate::node::NodeClient;
use crate::wait::wait_for;

/// From the start of the process to the first answer of its API.
const START: Duration = Duration::from_secs(60);
/// From SIGTERM to the end of the process.
const STOP: Duration = Duration::from_secs(30);
/// A command that asks a node.
const COMMAND: Duration = Duration::from_secs(60);
/// What the nodes of a bed prove to each other that they have.
pub const CLUSTER_SECRET: &str = "a-secret-of-the-nodes-of-a-test-bed-0123456789";
/// Host ports for engines, the same on all nodes: the cluster has to hand them out without a clash.
pub const PORT_RANGE: &str = "19000-19199";

/// Name and ports of a node.
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// Name of the node, unique in the bed.
    pub name: String,
    /// Index of its host.
    pub host: usize,
    /// Port of the HTTP API.
    pub http_port: u16,
    /// Port for the other nodes.
    pub cluster_port: u16,
}

/// One `acefleet serve` process of a bed.
#[derive(Debug)]
pub struct Node {
    plan: NodePlan,
    address: Ipv4Addr,
    data: PathBuf,
    process: Process,
    client: NodeClient,
}

impl Node {
    /// Prepares the node; starts nothing.
    pub(super) fn prepare(
        plan: &NodePlan,
        host: &Host,
        peers: &str,
        bin: &Path,
        options: &BedOptions,
    ) -> Result<Self> {
        let data = match &options.keep_data {
            Some(dir) => std::path::absolute(dir)?.join(&plan.name),
            None => host.data_dir().join(format!("node-{}", plan.name)),
        };
        let address = host.address();
        let mut env = BTreeMap::new();
        let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
        set("ACEFLEET_NODE_NAME", plan.name.clone());
        set("ACEFLEET_DATA_DIR", data.to_string_lossy().into_owned());
        set("ACEFLEET_HTTP_BIND", "0.0.0.0".to_owned());
        set("APP_PORT", plan.http_port.to_string());
        set("ACEFLEET_CLUSTER_BIND", format!("0.0.0.0:{}", plan.cluster_port));
        set("ACEFLEET_ADVERTISE", address.to_string());
        if !peers.is_empty() {
            set("ACEFLEET_PEERS", peers.to_owned());
        }
        set("ACEFLEET_CLUSTER_SECRET", CLUSTER_SECRET.to_owned());
        set("ACEFLEET_LOG", std::env::var("TEST_BED_LOG").unwrap_or_else(|_| "info".to_owned()));
        set("DOCKER_HOST", host.docker().url());
        set("API_KEY", options.api_key.clone());
        set("TARGET_IMAGE", ENGINE_IMAGE.to_owned());
        set("PORT_RANGE_HOST", PORT_RANGE.to_owned());
        // Engines come and go only by what a test does.
        set("MIN_REPLICAS", "0".to_owned());
        set("MAX_REPLICAS", "60".to_owned());
        set("AUTO_DELETE", "false".to_owned());
        env.extend(options.env.clone());
        let process = Process::new(Recipe {
            name: format!("acefleet {}", plan.name),
            namespace: Some(host.namespace().to_owned()),
            command: vec![bin.as_os_str().to_owned(), "serve".into()],
            env,
            dir: host.state_dir().join(format!("cwd-{}", plan.name)),
            log: host.state_dir().join(format!("acefleet-{}.log", plan.name)),
        });
        let base = format!("http://{address}:{}", plan.http_port);
        let client = NodeClient::new(&plan.name, &base, Some(&options.api_key))?;
        Ok(Self { plan: plan.clone(), address, data, process, client })
    }

    /// Name of the node.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Index of its host in the bed.
    pub fn host_index(&self) -> usize {
        self.plan.host
    }

    /// Address of its host on the bridge.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Port of its HTTP API.
    pub fn http_port(&self) -> u16 {
        self.plan.http_port
    }

    /// The node's data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// Client for its HTTP API, with the key.
    pub fn client(&self) -> &NodeClient {
        &self.client
    }

    /// The process: to kill, pause and resume it, or to change its environment before the next start.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// `host:port` of its cluster listener.
    pub fn cluster_address(&self) -> String {
        format!("{}:{}", self.address, self.plan.cluster_port)
    }

    /// Runs `acefleet` with these arguments to its end, on the node's host and with the node's settings.
    pub async fn acefleet(&self, args: &[&str]) -> Result<Output> {
        let mut recipe = self.process.recipe();
        recipe.command.truncate(1);
        recipe.command.extend(args.iter().map(std::ffi::OsString::from));
        std::fs::create_dir_all(&recipe.dir)?;
        let mut command = tokio::process::Command::from(recipe.build()?);
        command.current_dir(&recipe.dir).stdin(Stdio::null()).kill_on_drop(true);
        let shown = || format!("acefleet {} as {}", args.join(" "), self.name());
        let output = tokio::time::timeout(COMMAND, command.output()).await;
        output.with_context(|| format!("`{}` did not end within {COMMAND:?}", shown()))?.with_context(shown)
    }

    /// Starts the process without waiting for anything.
    pub fn spawn(&self) -> Result<()> {
        self.process.start().map(drop)
    }

    /// Waits until the API answers `/livez`; fails at once when the process ends.
    pub async fn wait_live(&self) -> Result<()> {
        wait_for(&format!("the API of {}", self.name()), START, || async {
            match self.process.expect_running() {
                Err(ended) => Ok(Err(ended)),
                Ok(_) => self.client.live().await.map(Ok),
            }
        })
        .await
        .with_context(|| {
            format!("end of {}:\n{}", self.process.log_path().display(), self.process.log_tail())
        })?
    }

    /// Starts the process and waits until its API answers.
    pub async fn start(&self) -> Result<()> {
        self.spawn()?;
        self.wait_live().await
    }

    /// SIGTERM, and the end of the process with exit code 0.
    pub async fn stop(&self) -> Result<()> {
        let status = self.process.stop(STOP).await?;
        anyhow::ensure!(
            status.code() == Some(0),
            "{} ended with {status} after SIGTERM; end of its log:\n{}",
            self.name(),
            self.process.log_tail()
        );
        Ok(())
    }

    /// SIGKILL; an error when it was not this signal that ended the process.
    pub async fn kill(&self) -> Result<()> {
        self.process.kill().await
    }
}
