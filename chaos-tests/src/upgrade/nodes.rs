//! Three nodes on addresses of the loopback, each of which may run either version.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::hosts::process::{Process, Recipe};
use crate::node::NodeClient;
use crate::wait::wait_for;

/// Nodes of the cluster.
const NAMES: [&str; 3] = ["a", "b", "c"];
const KEY: &str = "a-key-for-an-upgrade";
const SECRET: &str = "what-all-nodes-of-an-upgrade-share-0123456789";
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// Which of the two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The one that is there before.
    Old,
    /// The one that takes its place.
    New,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Old => "old",
            Self::New => "new",
        })
    }
}

/// What became of a start.
#[derive(Debug)]
pub enum Started {
    /// Its API answers.
    Serves,
    /// It ended by itself, with this as its last line.
    Refused(String),
}

/// The two programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The one that is there before.
    pub old: PathBuf,
    /// The one that takes its place.
    pub new: PathBuf,
}

/// How nodes speak with each other. A program refuses settings that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// Both versions with TLS alone.
    Tls,
    /// The old one without; the new one with both.
    PlainBefore,
    /// The old one without; the new one with TLS alone, so they do not understand each other.
    PlainNoMore,
}

impl Speech {
    /// Settings of a node of this version.
    fn settings(self, version: Version) -> Vec<(&'static str, &'static str)> {
        let secret = ("ACEFLEET_CLUSTER_SECRET", SECRET);
        match (self, version) {
            (Self::PlainBefore | Self::PlainNoMore, Version::Old) => Vec::new(),
            (Self::PlainBefore, Version::New) => vec![secret, ("ACEFLEET_CLUSTER_PLAIN", "true")],
            (Self::Tls, _) | (Self::PlainNoMore, Version::New) => vec![secret],
        }
    }
}

/// Nodes that end with this.
#[derive(Debug)]
pub struct Nodes {
    nodes: Vec<(Recipe, Process, NodeClient)>,
    programs: Programs,
    speech: Speech,
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for (_, process, _) in &self.nodes {
            process.discard();
        }
    }
}

impl Nodes {
    /// Prepares the nodes, with data and logs below `dir`; starts nothing.
    pub fn prepare(dir: &Path, programs: Programs, speech: Speech) -> Result<Self> {
        let addresses: Vec<Ipv4Addr> = (1..).map(own_address).take(NAMES.len()).collect();
        let peers: Vec<String> =
            NAMES.iter().zip(&addresses).map(|(name, at)| format!("{name}={at}:8001")).collect();
        let nodes = NAMES.iter().zip(&addresses).map(|(name, at)| {
            let recipe = Recipe {
                name: format!("acefleet {name}"),
                namespace: None,
                command: Vec::new(),
                env: settings(name, *at, &dir.join(name), &peers.join(",")),
                dir: dir.join(format!("cwd-{name}")),
                log: dir.join(format!("{name}.log")),
            };
            let client = NodeClient::new(name, &format!("http://{at}:8000"), Some(KEY))?;
            Ok((recipe.clone(), Process::new(recipe), client))
        });
        Ok(Self { nodes: nodes.collect::<Result<_>>()?, programs, speech })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Name of a node.
    pub fn name(&self, node: usize) -> &str {
        self.nodes[node].2.name()
    }

    /// A client for each node.
    pub fn clients(&self) -> Vec<NodeClient> {
        self.nodes.iter().map(|(_, _, client)| client.clone()).collect()
    }

    /// Whether its process runs.
    pub fn runs(&self, node: usize) -> bool {
        self.nodes[node].1.pid().is_some()
    }

    /// From the next start of each on, nodes speak so.
    pub fn speak(&mut self, speech: Speech) {
        self.speech = speech;
    }

    /// How they speak.
    pub fn speech(&self) -> Speech {
        self.speech
    }

    /// Starts a node and waits for nothing.
    pub fn spawn(&self, node: usize, version: Version) -> Result<()> {
        let program = match version {
            Version::Old => &self.programs.old,
            Version::New => &self.programs.new,
        };
        let (recipe, process, _) = &self.nodes[node];
        let mut recipe = recipe.clone();
        recipe.command = vec![program.into(), "serve".into()];
        let own = self.speech.settings(version);
        recipe.env.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        process.change(|current| *current = recipe);
        process.start().map(drop)
    }

    /// Starts a node that may refuse what it finds, and waits for either outcome.
    pub async fn try_start(&self, node: usize, version: Version) -> Result<Started> {
        self.spawn(node, version)?;
        let (_, process, client) = &self.nodes[node];
        wait_for(&format!("{} to serve or to end", client.name()), START, || async {
            match process.exit_status() {
                Some(_) => {
                    let log = process.log()?;
                    Ok(Started::Refused(log.lines().last().unwrap_or_default().to_owned()))
                }
                None => client.ready().await.map(|()| Started::Serves),
            }
        })
        .await
    }

    /// SIGTERM, and the end with exit code 0.
    pub async fn stop(&self, node: usize) -> Result<()> {
        let process = &self.nodes[node].1;
        let status = process.stop(STOP).await?;
        ensure!(
            status.code() == Some(0),
            "{} ended with {status} after SIGTERM: {}",
            self.name(node),
            process.log_tail()
        );
        Ok(())
    }

    /// Waits until all are ready, agree on who leads, and see all others up.
    pub async fn settled(&self) -> Result<()> {
        let mut leaders = Vec::new();
        for (_, process, client) in &self.nodes {
            let what = format!("{} to be settled", client.name());
            let settled = wait_for(&what, START, || async {
                if let Err(ended) = process.expect_running() {
                    return Ok(Err(ended));
                }
                client.ready().await?;
                let view: serde_json::Value = client.get("/cluster").await?;
                let members = view["nodes"].as_array().context("no members")?;
                ensure!(members.len() == NAMES.len(), "{} members", members.len());
                let away =
                    members.iter().find(|member| member["state"] != "up" || member["role"] == "learner");
                ensure!(away.is_none(), "{}", away.map(ToString::to_string).unwrap_or_default());
                Ok(Ok(view["leader"].as_str().context("no leader")?.to_owned()))
            });
            leaders.push(settled.await.with_context(|| process.log_tail())??);
        }
        ensure!(leaders.iter().all(|leader| *leader == leaders[0]), "they follow {leaders:?}");
        Ok(())
    }
}

fn settings(name: &str, at: Ipv4Addr, data: &Path, peers: &str) -> BTreeMap<String, String> {
    [
        ("ACEFLEET_NODE_NAME", name.to_owned()),
        ("ACEFLEET_DATA_DIR", data.display().to_string()),
        ("ACEFLEET_HTTP_BIND", at.to_string()),
        ("APP_PORT", "8000".to_owned()),
        ("ACEFLEET_CLUSTER_BIND", format!("{at}:8001")),
        ("ACEFLEET_ADVERTISE", at.to_string()),
        ("ACEFLEET_PEERS", peers.to_owned()),
        ("ACEFLEET_RELAY", "false".to_owned()),
        ("API_KEY", KEY.to_owned()),
        ("DOCKER_HOST", "unix:///does/not/exist.sock".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// An address of the loopback that no other run uses.
fn own_address(number: u8) -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 128 + (high % 16) * 4 + number % 4, middle, low)
}
