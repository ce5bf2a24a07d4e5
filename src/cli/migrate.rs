//! `acefleet migrate`: what the orchestrator of before has left, in words. Nothing is changed.

use std::path::PathBuf;

use acefleet::agent::DockerRuntime;
use acefleet::config::{Config, Host};
use acefleet::migrate::{self, Judged, Line, Seen, Verdict, steps::steps};
use clap::Args;
use serde_json::json;

use super::exit_code::CONFIGURATION;
use super::table::{Cell, Tint, columns};
use super::words::shown;
use super::{config, output, prepare};

/// Longest value that the table shows.
const VALUE_MAX: usize = 40;

#[derive(Args)]
pub struct Migrate {
    /// Its .env file; else .env beside the compose file, or here.
    #[arg(long, value_name = "FILE")]
    env: Option<PathBuf>,
    /// Its compose file; else the one here, when no file is named.
    #[arg(long, value_name = "FILE")]
    compose: Option<PathBuf>,
    /// The service of the orchestrator in that file, where several look like it.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Print the settings that count, with secrets, as a .env file for a node.
    #[arg(long, conflicts_with = "json")]
    print_env: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What Docker said, or why it did not.
type Docker = Result<Seen, String>;

/// Prints the verdicts, what runs here, and the steps.
pub fn migrate(args: &Migrate) -> u8 {
    let given = match migrate::gather(args.env.as_deref(), args.compose.as_deref(), args.service.as_deref()) {
        Ok(given) => given,
        Err(fault) => {
            output::complain(&fault.to_string());
            return CONFIGURATION;
        }
    };
    if args.print_env {
        if !given.findings.problems.is_empty() {
            given.findings.problems.iter().for_each(|problem| output::complain(&problem.line));
            return CONFIGURATION;
        }
        return output::print(migrate::merged(&given.layers).trim_end());
    }
    let read = given.read.clone();
    let mut judged = migrate::judge(given, Host::here());
    let is_startable = match judged.config.as_ref().map(config::startable) {
        Some(Ok(None)) => true,
        Some(Ok(Some(fault))) => {
            judged.problems.push(fault);
            false
        }
        Some(Err(code)) => return code,
        None => false,
    };
    let docker = match judged.place.as_ref().map(docker) {
        Some(Ok(docker)) => docker,
        Some(Err(code)) => return code,
        None => Err("the settings that say where it is are wrong".to_owned()),
    };
    let steps = steps(&judged, is_startable, docker.as_ref().ok());
    let text = match args.json {
        true => as_json(&read, &judged, is_startable, &docker, &steps),
        false => as_text(&read, &judged, is_startable, &docker, &steps),
    };
    match (output::print(&text), is_startable) {
        (0, false) => CONFIGURATION,
        (code, _) => code,
    }
}

fn docker(config: &Config) -> Result<Docker, u8> {
    let runtime = DockerRuntime::new(config);
    prepare::run(async { migrate::look(&runtime, config).await.map_err(|error| error.to_string()) })
}

fn as_json(
    read: &[String],
    judged: &Judged,
    is_startable: bool,
    docker: &Docker,
    steps: &[String],
) -> String {
    let report = json!({
        "read": read,
        "settings": judged.lines,
        "problems": judged.problems,
        "warnings": judged.warnings,
        "would_start": is_startable,
        "docker": docker.as_ref().ok(),
        "docker_error": docker.as_ref().err(),
        "steps": steps,
    });
    format!("{report:#}")
}

fn as_text(
    read: &[String],
    judged: &Judged,
    is_startable: bool,
    docker: &Docker,
    steps: &[String],
) -> String {
    let list = |lines: &[String]| lines.iter().map(|line| format!("- {}", shown(line))).collect::<Vec<_>>();
    let mut parts = vec![format!("Read: {}", shown(&read.join(", ")))];
    let rows = judged.lines.iter().map(row);
    parts.push(columns(["SETTING", "VALUE", "HERE", "MORE"], rows));
    for (title, lines) in [("Refused as well:", &judged.problems), ("To know:", &judged.warnings)] {
        if !lines.is_empty() {
            parts.push(format!("{title}\n{}", list(lines).join("\n")));
        }
    }
    parts.push(match docker {
        Ok(seen) => of_host(seen),
        Err(why) => format!("Docker was not asked what runs here: {}", shown(why)),
    });
    let numbered = steps.iter().enumerate().map(|(at, step)| format!("{}. {}", at + 1, shown(step)));
    parts.push(format!(
        "What is to be done (docs/MIGRATION.md):\n{}",
        numbered.collect::<Vec<_>>().join("\n")
    ));
    parts.push(match is_startable {
        true => "A node would start with these settings.".to_owned(),
        false => "No node would start with these settings.".to_owned(),
    });
    parts.join("\n\n")
}

fn row(line: &Line) -> [Cell; 4] {
    let value = match line.value.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", &line.value[..end]),
        None => line.value.clone(),
    };
    let tint = match line.verdict {
        Verdict::Taken => Tint::Good,
        Verdict::Differs(_) | Verdict::NoEffect(_) => Tint::Odd,
        Verdict::Refused(_) => Tint::Bad,
    };
    let said = std::iter::once(line.verdict.words()).chain(line.remarks.iter().map(String::as_str));
    let said: Vec<&str> = said.filter(|words| !words.is_empty()).collect();
    [
        Cell::from(shown(&line.setting)),
        Cell::from(shown(&value)),
        Cell::of(line.verdict.title(), tint),
        Cell::from(shown(&said.join("; "))),
    ]
}

fn of_host(seen: &Seen) -> String {
    let mut lines = Vec::new();
    for found in &seen.orchestrators {
        lines.push(format!(
            "The orchestrator of before runs: {} ({})",
            shown(&found.name),
            shown(&found.image)
        ));
    }
    if let Some(network) = &seen.network {
        let is = if network.exists { "exists" } else { "does not exist" };
        lines.push(format!("The network {} (DOCKER_NETWORK) {is}.", shown(&network.name)));
    }
    for taken in &seen.taken {
        let by = taken.container.as_deref().map_or_else(
            || "a program of this host".to_owned(),
            |name| format!("the container {}", shown(name)),
        );
        lines.push(format!("Port {} of PORT_RANGE_HOST is taken by {by}.", taken.port));
    }
    let table = |all: &[migrate::Found]| {
        let rows = all.iter().map(|found| {
            let port = found.host_port.map_or_else(|| "-".to_owned(), |port| port.to_string());
            [shown(&found.name), port, shown(&found.image), "unknown".to_owned()]
        });
        columns(["ENGINE", "HOST PORT", "IMAGE", "STREAMS"], rows)
    };
    if !seen.unlabelled.is_empty() {
        lines.push(format!("Engines with another label than CONTAINER_LABEL:\n{}", table(&seen.unlabelled)));
    }
    let engines = match seen.engines.is_empty() {
        true if !seen.unlabelled.is_empty() => {
            "No engine with the label of these settings runs here.".to_owned()
        }
        true => "No engine with the old label runs here.".to_owned(),
        false => format!("Engines of before:\n{}", table(&seen.engines)),
    };
    lines.push(engines);
    lines.join("\n")
}
