//! What the nodes say for a bundle. All are asked at the same time, each until its deadline. Those that were named are shown the key, for clusters
//! whose reads need one; nothing that is asked for shows a secret.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::contents::{ALL_MAX, Contents, PART_MAX};
use crate::cli::ask::Call;
use crate::cli::ask::with_key;
use crate::cli::client::{Bounds, Caller, Client, Unanswered};
use crate::cli::failed::Failed;
use crate::cli::target::Nodes;

/// Versions of the nodes that answered.
pub(super) type Answered = BTreeMap<String, Option<String>>;

/// Parts that each node has, by the paths that it is asked for, in this order.
const QUESTIONS: [(&str, &str); 9] = [
    ("cluster.json", "cluster"),
    ("metrics.txt", "metrics"),
    ("status.json", "orchestrator/status"),
    ("plan.json", "orchestrator/plan"),
    ("health.json", "health/status"),
    ("widget.json", "widget"),
    ("ready.json", "readyz"),
    ("settings.json", "settings"),
    ("events.json", "events?limit=1000"),
];
/// Nodes that are asked. A cluster has no more.
const NODES_MAX: usize = 64;

/// What is read of `GET /cluster`.
#[derive(Deserialize)]
struct Cluster {
    /// The node that answers.
    node: String,
    nodes: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    name: String,
    http_address: Option<String>,
    /// Nodes of earlier versions do not say it.
    url: Option<String>,
    version: Option<String>,
}

/// A part, or why there is none.
type Part = (String, Result<String, String>);

/// Asks these nodes for the members, and all members for the rest.
pub(super) async fn all(
    nodes: &Nodes,
    within: Duration,
    contents: &mut Contents,
) -> Result<Answered, Failed> {
    let room = Cell::new(ALL_MAX);
    let (mut members, mut versions) = (BTreeMap::new(), BTreeMap::new());
    for (url, said) in
        join_all(nodes.urls.iter().map(|url| members_of(nodes.caller(), url, within, &room))).await
    {
        match said {
            Ok(cluster) => {
                for Member { name, http_address, url: said, version } in cluster.nodes {
                    let said = said.or_else(|| http_address.map(|at| format!("http://{at}")));
                    let told = said.and_then(|said| Url::parse(&said).ok());
                    // Where it was reached is better than what others say of it.
                    let reached = (name == cluster.node).then(|| url.clone());
                    let known = members.entry(name.clone()).or_insert(None);
                    *known = reached.or(known.take()).or(told);
                    versions.insert(name, version);
                }
            }
            Err(why) => contents.leave_out(format!("what {} says", place(url)), why),
        }
    }
    for (name, _) in members.iter().skip(NODES_MAX) {
        contents.leave_out(folder(name), "there are too many nodes");
    }
    let asked = members.iter().take(NODES_MAX);
    let parts = asked.map(async |(name, url)| (name, node(nodes, name, url.as_ref(), within, &room).await));
    let mut answered = Answered::new();
    for (name, parts) in join_all(parts).await {
        for (path, said) in parts {
            match said {
                Ok(text) => {
                    answered.insert(name.clone(), versions.get(name).cloned().flatten());
                    contents.add(path, text);
                }
                Err(why) => contents.leave_out(path, why),
            }
        }
    }
    let asked = members.iter().take(NODES_MAX);
    let logs = asked.map(async |(name, url)| (name, log(nodes, name, url.as_ref(), within, &room).await));
    for (name, said) in join_all(logs).await {
        let path = format!("{}/node.log", folder(name));
        match said {
            Ok(text) => contents.add(path, text),
            // That it does not answer was told.
            Err(why) if answered.contains_key(name) => contents.leave_out(path, why),
            Err(_) => {}
        }
    }
    Ok(answered)
}

/// What a node wrote to its own log last. Those that were named may be shown the key, so they are asked, the node itself first.
async fn log(
    nodes: &Nodes,
    name: &str,
    own: Option<&Url>,
    within: Duration,
    room: &Cell<usize>,
) -> Result<String, String> {
    let until = Instant::now() + within;
    let (itself, others): (Vec<&Url>, Vec<&Url>) = nodes.urls.iter().partition(|url| Some(*url) == own);
    let mut missing = "no node was named that could be asked for it".to_owned();
    for url in itself.into_iter().chain(others) {
        let at = Call::get(&["cluster", "nodes", name, "log"]).address(url);
        match get(nodes.caller(), at, until, within, room).await {
            Ok((status, text)) if status.is_success() => return Ok(text),
            Ok((StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _)) => {
                missing = "it needs a key: name one with --api-key".to_owned();
            }
            Ok((status, _)) => missing = refusal(status),
            Err(lack) => missing = lack.why,
        }
    }
    Err(missing)
}

async fn members_of<'a>(
    caller: Caller<'_>,
    url: &'a Url,
    within: Duration,
    room: &Cell<usize>,
) -> (&'a Url, Result<Cluster, String>) {
    let until = Instant::now() + within;
    let said = get(caller, Call::get(&["cluster"]).address(url), until, within, room).await;
    let read = said.map_err(|lack| lack.why).and_then(|(status, text)| match status.is_success() {
        true => {
            serde_json::from_str(&text).map_err(|error| format!("what it answers is not understood: {error}"))
        }
        false => Err(refusal(status)),
    });
    (url, read)
}

/// All that one node says. When it falls silent, the rest is not asked for.
async fn node(
    nodes: &Nodes,
    name: &str,
    url: Option<&Url>,
    within: Duration,
    room: &Cell<usize>,
) -> Vec<Part> {
    let folder = folder(name);
    let Some(url) = url else { return vec![(folder, Err("it has not said its address yet".to_owned()))] };
    let until = Instant::now() + within;
    let mut parts = Vec::new();
    for (file, path) in QUESTIONS {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut at = Call::get(&path.split('/').collect::<Vec<_>>()).address(url);
        at.set_query(Some(query).filter(|query| !query.is_empty()));
        match get(nodes.caller_for(url), at, until, within, room).await {
            // Nodes that are not ready say why with 503.
            Ok((status, text)) if status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE => {
                parts.push((format!("{folder}/{file}"), Ok(text)));
            }
            Ok((status, _)) => parts.push((format!("{folder}/{file}"), Err(refusal(status)))),
            Err(lack) if lack.is_silent => {
                let which = if parts.is_empty() { folder } else { format!("{folder}/{file} and the rest") };
                parts.push((which, Err(format!("{} does not answer: {}", place(url), lack.why))));
                break;
            }
            Err(lack) => parts.push((format!("{folder}/{file}"), Err(lack.why))),
        }
    }
    parts
}

/// Why there is no answer.
struct Lack {
    why: String,
    /// The node says nothing more.
    is_silent: bool,
}

/// One answer, whatever its status, if there is room for it.
async fn get(
    caller: Caller<'_>,
    url: Url,
    until: Instant,
    within: Duration,
    room: &Cell<usize>,
) -> Result<(StatusCode, String), Lack> {
    let silent = |error: Unanswered| Lack { why: error.to_string(), is_silent: true };
    let large = |why: &str| Lack { why: why.to_owned(), is_silent: false };
    let read = async {
        let request = with_key(Client::request(Method::GET, &url), caller.key);
        let bounds = Bounds::of(within, None);
        let mut response = caller.client.send(request, Bytes::new(), bounds).await.map_err(silent)?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(silent)? {
            let left = room.get().checked_sub(piece.len()).ok_or_else(|| large("the bundle is full"))?;
            room.set(left);
            body.extend_from_slice(&piece);
            if body.len() > PART_MAX {
                return Err(large("it is too long"));
            }
        }
        Ok((response.status, String::from_utf8_lossy(&body).into_owned()))
    };
    let late = || Lack { why: format!("it was not done within {} s", within.as_secs()), is_silent: true };
    timeout_at(until, read).await.unwrap_or_else(|_| Err(late()))
}

/// Why an answer is none.
fn refusal(status: StatusCode) -> String {
    match status {
        StatusCode::UNAUTHORIZED => {
            format!("it answers {status}: reads need a key there, so name this node with --url, and the key")
        }
        status => format!("it answers {status}"),
    }
}

fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The folder of a node. Its name comes from others, and must not lead out of the bundle.
fn folder(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let plain = |c: char| if is_plain(c) || c == '.' { c } else { '_' };
    let name: String = name.chars().take(63).map(plain).collect();
    match name.contains(is_plain) {
        true => format!("nodes/{name}"),
        false => "nodes/_".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_bundle() {
        for (name, expected) in [
            ("node-a.1", "nodes/node-a.1"),
            ("..", "nodes/_"),
            ("../../etc", "nodes/.._.._etc"),
            ("/x", "nodes/_x"),
            ("", "nodes/_"),
        ] {
            assert_eq!(folder(name), expected);
        }
    }
}
