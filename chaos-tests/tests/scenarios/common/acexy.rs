//! Simulated Acexys as processes on the hosts of a bed, each with one URL for its life: the node beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use acefleet_chaos::hosts::{Host, Node, TestHosts};
use acefleet_chaos::node::NodeClient;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

/// A whole run of a simulator, for the process.
const RUN: Duration = Duration::from_secs(240);

/// Calls to the orchestrator; the others go to engines.
const ORCHESTRATOR: [&str; 5] = ["engines", "streams", "provision", "stream_started", "stream_ended"];

/// What a simulator saw.
#[derive(Debug, Deserialize)]
pub struct Report {
    /// Its plays.
    pub plays: Vec<Play>,
    /// Plays that its deadline cut off.
    pub unfinished: usize,
    /// What was wrong with answers to its status polls.
    pub poll_complaints: Vec<Value>,
}

/// One play.
#[derive(Debug, Deserialize)]
pub struct Play {
    /// The content as asked for.
    pub content: String,
    /// What the player saw.
    pub outcome: Value,
    /// The engine, if it got one.
    pub engine: Option<PlayedOn>,
    /// Id of the stream, once there was a session.
    pub stream_id: Option<String>,
    /// After provisioning: whether the list showed the engine in time.
    pub listed_after_provisioning: Option<bool>,
    /// Bytes received.
    pub bytes: u64,
    /// From the start of the play to its first byte.
    pub first_byte_ms: Option<u64>,
    /// Every call.
    pub calls: Vec<Call>,
    /// What the real client would have rejected or mishandled.
    pub complaints: Vec<Value>,
}

/// The engine of a play.
#[derive(Debug, Deserialize)]
pub struct PlayedOn {
    /// Docker's id.
    pub container_id: String,
    /// Host that was dialled.
    pub host: String,
    /// Port that was dialled.
    pub port: u16,
    /// `listed` or `provisioned`.
    pub via: String,
}

/// One call.
#[derive(Debug, Deserialize)]
pub struct Call {
    /// Which.
    pub call: String,
    /// How long it took.
    pub elapsed_ms: u64,
    /// Its answer, if there was one.
    pub status: Option<u16>,
    /// Machine-readable reason of a refusal.
    pub code: Option<String>,
}

impl Call {
    /// A provisioning call that was told to come back for its engine.
    fn is_late(&self) -> bool {
        self.call == "provision" && self.status == Some(503) && self.code.as_deref() == Some("pending")
    }
}

/// Runs a simulator on the host of this node, against `localhost`, to its end.
pub async fn run(bed: &TestHosts, node: &Node, prefix: &str, more: &[&str]) -> Result<Report> {
    run_on(bed.host_of(node), node.http_port(), prefix, more).await
}

/// The same for any host and port.
pub async fn run_on(host: &Host, port: u16, prefix: &str, more: &[&str]) -> Result<Report> {
    let (report, is_ok) = any_on(host, port, prefix, more).await?;
    ensure!(is_ok, "{prefix} on {}: {}", host.name(), report.faults());
    Ok(report)
}

/// The same for players that may be refused; with the simulator's own verdict.
pub async fn any_on(host: &Host, port: u16, prefix: &str, more: &[&str]) -> Result<(Report, bool)> {
    let url = format!("http://127.0.0.1:{port}");
    let mut args = vec![
        "--url",
        &url,
        "--api-key",
        "test-key",
        "--content-prefix",
        prefix,
        "--deadline",
        "200s",
        "--json",
    ];
    args.extend(more);
    let output = host.run(env!("CARGO_BIN_EXE_acexy-sim"), &args, RUN).await?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report: Report = serde_json::from_str(&out).with_context(|| format!("no report: {out}{err}"))?;
    Ok((report, output.status.success()))
}

impl Report {
    /// Nothing that the real client would reject or mishandle.
    pub fn is_without_complaint(&self) -> bool {
        self.poll_complaints.is_empty() && self.plays.iter().all(|play| play.complaints.is_empty())
    }

    /// What is wrong in it, without the hundreds of timings.
    pub fn faults(&self) -> String {
        let mut lines = vec![format!("unfinished {}, polls {:?}", self.unfinished, self.poll_complaints)];
        for play in self.plays.iter().filter(|play| !play.complaints.is_empty() || play.bytes == 0) {
            lines.push(format!("{} {} {:?} {:?}", play.content, play.outcome, play.engine, play.complaints));
        }
        lines.join("\n")
    }

    /// Calls to the orchestrator.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        let all = self.plays.iter().flat_map(|play| &play.calls);
        all.filter(|call| ORCHESTRATOR.contains(&call.call.as_str()))
    }

    /// An error unless every call to the orchestrator was answered 2xx and every player saw something. Provisioning calls may
    /// have been told to come back, as often as is returned.
    pub fn told_to_wait(&self) -> Result<usize> {
        let good = |call: &Call| call.status.is_some_and(|status| (200..300).contains(&status));
        let bad = self.calls().find(|call| !good(call) && !call.is_late());
        ensure!(bad.is_none(), "a client saw an error: {bad:?}");
        let unplayed = self.plays.iter().any(|play| play.stream_id.is_none() || play.bytes == 0);
        ensure!(!unplayed, "a player saw nothing: {}", self.faults());
        Ok(self.calls().filter(|call| call.is_late()).count())
    }

    /// Every stream was reported as started and as ended and has to be found so, once, at this node.
    pub async fn expect_ended(&self, node: &NodeClient) -> Result<()> {
        let shown = node.all_streams().await?;
        for play in &self.plays {
            let id = play.stream_id.as_ref().with_context(|| format!("{} has no stream", play.content))?;
            let stream = shown.get(id).with_context(|| format!("{} lost {id}", node.name()))?;
            ensure!(stream.status == "ended", "{} shows {stream:?}", node.name());
        }
        Ok(())
    }
}

/// Longest wait for each kind of call, in milliseconds.
#[derive(Debug, Default)]
pub struct Longest(BTreeMap<String, u64>);

impl Longest {
    /// Takes the calls of a report into account.
    pub fn add(&mut self, report: &Report) {
        for call in report.calls() {
            let longest = self.0.entry(call.call.clone()).or_default();
            *longest = call.elapsed_ms.max(*longest);
        }
    }
}

impl std::fmt::Display for Longest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(call, ms)| format!("{call} {ms} ms")).collect();
        write!(f, "longest waits: {}", all.join(", "))
    }
}
