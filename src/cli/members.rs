//! `acefleet status`, `members`, `cordon`, `uncordon`, `drain`, `remove`, `leave`: ask a node over its HTTP API, by
//! default the one that runs here. Nothing is decided here.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use acefleet::config::load;
use clap::Args;
use reqwest::{Client, Method, StatusCode, Url, redirect};
use serde_json::{Value, json};

use super::{CONFIGURATION, INTERNAL, TEMPORARY, healthcheck, output};

/// A node takes no longer than 20 s for anything.
const LIMIT: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// As much of a bad answer as fits into one line.
const LONGEST_ANSWER: usize = 600;

/// Which node is asked, and how it answers.
#[derive(Args)]
pub struct Target {
    /// Base URL of a node; else the node that runs here with the same settings.
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    /// Key of the API; else API_KEY from the settings. Other users of this host can see arguments.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Look {
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Node {
    /// Name of the member.
    node: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Drain {
    #[command(flatten)]
    node: Node,
    /// Cut off streams that still run after so many seconds; without it they may take as long as they like.
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<u32>,
}

#[derive(Args)]
pub struct Remove {
    #[command(flatten)]
    node: Node,
    #[command(flatten)]
    force: Force,
}

#[derive(Args)]
pub struct Leave {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    force: Force,
}

#[derive(Args)]
struct Force {
    /// Although it runs engines, or has to vote itself out. A majority that is not there cannot be forced.
    #[arg(long)]
    force: bool,
}

/// Why there is no answer, with the exit code.
type Failed = (u8, String);

/// Prints the cluster and its members.
pub fn status(file: Option<&Path>, look: &Look) -> u8 {
    let target = &look.target;
    show(ask(file, target, Method::GET, &["cluster"], None, false), target, |answer| {
        format!("{}\n{}", summary(answer), table(nodes(answer)))
    })
}

/// Prints the members.
pub fn members(file: Option<&Path>, look: &Look) -> u8 {
    let target = &look.target;
    let answer = ask(file, target, Method::GET, &["cluster"], None, false);
    show(answer.map(|mut answer| answer["nodes"].take()), target, |nodes| {
        table(nodes.as_array().map(Vec::as_slice).unwrap_or_default())
    })
}

/// Performs `cordon` or `uncordon` and prints the member.
pub fn set(file: Option<&Path>, node: &Node, action: &str) -> u8 {
    let path = ["cluster", "nodes", &node.node, action];
    let answer = ask(file, &node.target, Method::POST, &path, None, false);
    show(answer, &node.target, |answer| table(std::slice::from_ref(answer)))
}

/// Begins a drain and prints the member.
pub fn drain(file: Option<&Path>, args: &Drain) -> u8 {
    let Node { node, target } = &args.node;
    let body = args.deadline.map(|seconds| json!({ "deadline_seconds": seconds }));
    let answer = ask(file, target, Method::POST, &["cluster", "nodes", node, "drain"], body, false);
    show(answer, target, |answer| table(std::slice::from_ref(answer)))
}

/// Removes a member.
pub fn remove(file: Option<&Path>, args: &Remove) -> u8 {
    let Node { node, target } = &args.node;
    show(delete(file, target, node, &args.force), target, removed)
}

/// Removes the node that is asked.
pub fn leave(file: Option<&Path>, args: &Leave) -> u8 {
    let Leave { target, force } = args;
    let answer = ask(file, target, Method::GET, &["cluster"], None, false).and_then(|answer| {
        let name = answer["node"].as_str().ok_or((INTERNAL, "the node does not say its name".to_owned()))?;
        delete(file, target, name, force)
    });
    show(answer, target, removed)
}

fn delete(file: Option<&Path>, target: &Target, node: &str, force: &Force) -> Result<Value, Failed> {
    ask(file, target, Method::DELETE, &["cluster", "nodes", node], None, force.force)
}

fn removed(answer: &Value) -> String {
    let said = format!("{} is no member any more.", text(&answer["removed"]));
    match &answer["votes"] {
        Value::String(votes) => format!("{said}\n{votes}"),
        _ => said,
    }
}

fn show(answer: Result<Value, Failed>, target: &Target, human: impl FnOnce(&Value) -> String) -> u8 {
    match answer {
        Ok(answer) if target.json => output::print(&format!("{answer:#}")),
        Ok(answer) => output::print(&human(&answer)),
        Err((code, message)) => {
            output::complain(&message.replace('\n', " "));
            code
        }
    }
}

/// Base URL and key. Settings that cannot be read matter only where the arguments do not replace them.
fn address(file: Option<&Path>, target: &Target) -> Result<(Url, Option<String>), Failed> {
    if let (Some(url), Some(key)) = (&target.url, &target.api_key) {
        return Ok((url.clone(), Some(key.clone())));
    }
    let loaded = load(file);
    let own_key = |config: &acefleet::config::Config| config.api_key.as_ref().map(|key| key.0.clone());
    let key = target.api_key.clone().or_else(|| own_key(&loaded.as_ref().ok()?.config));
    if let Some(url) = &target.url {
        return Ok((url.clone(), key));
    }
    let config = loaded.map_err(|errors| {
        let lines: Vec<_> = errors.problems.into_iter().map(|problem| problem.line).collect();
        (
            CONFIGURATION,
            format!("the settings are not valid, so use --url and --api-key: {}", lines.join("; ")),
        )
    })?;
    let url = format!("http://{}/", healthcheck::local(config.config.http_bind));
    let url = Url::parse(&url).map_err(|error| (INTERNAL, format!("{url}: {error}")))?;
    Ok((url, key))
}

fn ask(
    file: Option<&Path>,
    target: &Target,
    method: Method,
    path: &[&str],
    body: Option<Value>,
    force: bool,
) -> Result<Value, Failed> {
    let (mut url, key) = address(file, target)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err((CONFIGURATION, format!("--url {url}: it is no http:// or https:// address")));
    }
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    if force {
        url.query_pairs_mut().append_pair("force", "true");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| (INTERNAL, format!("cannot start the runtime: {error}")))?;
    runtime.block_on(call(method, url, key, body))
}

async fn call(method: Method, url: Url, key: Option<String>, body: Option<Value>) -> Result<Value, Failed> {
    // A proxy from the environment would ask another host, and a redirect would carry the key there.
    let client = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_LIMIT)
        .timeout(LIMIT)
        .build()
        .map_err(|error| (INTERNAL, error.to_string()))?;
    let mut request = client.request(method, url.clone());
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let unreachable = |error: reqwest::Error| {
        let error = anyhow::Error::from(error);
        (TEMPORARY, format!("{url} does not answer, try another node with --url: {error:#}"))
    };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let body = response.text().await.map_err(unreachable)?;
    let answer = serde_json::from_str::<Value>(&body).ok();
    if status.is_success() {
        return answer.ok_or_else(|| (INTERNAL, format!("{url} answers something that is not JSON")));
    }
    let code = match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => TEMPORARY,
        _ if status.is_client_error() => CONFIGURATION,
        _ => INTERNAL,
    };
    Err((code, complaint(&url, status, answer.as_ref(), &body)))
}

fn complaint(url: &Url, status: StatusCode, answer: Option<&Value>, body: &str) -> String {
    let detail = answer.map_or(&Value::Null, |answer| &answer["detail"]);
    let said = detail.as_str().or_else(|| detail["message"].as_str()).or_else(|| detail[0]["msg"].as_str());
    let said: String = said.unwrap_or(body).chars().take(LONGEST_ANSWER).collect();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!("{url}: {said}; set API_KEY or --api-key to the key of the cluster")
        }
        _ if detail.is_string() => said,
        _ => format!("{url} answers {}: {said}", status.as_u16()),
    }
}

fn nodes(answer: &Value) -> &[Value] {
    answer["nodes"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A cell: texts as they are, nothing as a dash.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.chars().filter(|c| !c.is_control()).collect(),
        other => other.to_string(),
    }
}

fn summary(answer: &Value) -> String {
    let mut lines = String::new();
    for (title, field) in [
        ("cluster", "cluster_id"),
        ("leader", "leader"),
        ("term", "term"),
        ("revision", "revision"),
        ("voters", "voters"),
        ("answered by", "node"),
        ("answers are old by", "staleness_ms"),
    ] {
        let unit = if field == "staleness_ms" { " ms" } else { "" };
        // Writing to a text does not fail.
        let _ = writeln!(lines, "{:<20}{}{unit}", format!("{title}:"), text(&answer[field]));
    }
    lines
}

fn table(nodes: &[Value]) -> String {
    let titles =
        ["NAME", "ROLE", "AVAILABILITY", "ADDRESS", "DOCKER", "ENGINES", "STREAMS", "HEARD", "VERSION"];
    let mut rows = vec![titles.map(str::to_owned)];
    for node in nodes {
        let heard = match node["last_contact_ms"].as_u64() {
            Some(ms) => format!("{ms} ms ago"),
            None => "-".to_owned(),
        };
        rows.push([
            text(&node["name"]),
            text(&node["role"]),
            text(&node["availability"]),
            text(&node["address"]),
            text(&node["docker"]),
            text(&node["engines"]),
            text(&node["streams"]),
            heard,
            text(&node["version"]),
        ]);
    }
    let mut widths = [0; 9];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; 9]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_aligned_columns_and_no_control_characters() {
        let node = json!({"name": "node-\u{1b}[31ma", "role": "voter", "engines": 12, "last_contact_ms": 38});
        let table = table(&[node]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].find("ROLE"), lines[1].find("voter"));
        assert_eq!(lines[0].find("ENGINES"), lines[1].find("12"));
        assert!(lines[1].contains("38 ms ago") && !table.contains('\u{1b}'));
    }

    #[test]
    fn refusals_are_said_in_the_words_of_the_node() {
        let url = Url::parse("http://localhost:8000/cluster").unwrap();
        for (status, body, expected) in [
            (409, json!({"detail": "drain it first"}), "drain it first"),
            (503, json!({"detail": {"message": "no leader"}}), "answers 503: no leader"),
            (422, json!({"detail": [{"msg": "too small"}]}), "answers 422: too small"),
            (401, json!({"detail": "missing bearer token"}), "API_KEY"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let line = complaint(&url, status, Some(&body), &body.to_string());
            assert!(line.contains(expected), "{line}");
        }
        let line = complaint(&url, StatusCode::BAD_GATEWAY, None, "no such route");
        assert!(line.contains("502: no such route"), "{line}");
    }
}
