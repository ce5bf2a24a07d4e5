//! Plays streams through an orchestrator as the real Acexy would, and reports every answer that
//! the real one would reject or mishandle.
//!
//! Exit codes: 0 all streams played and no complaint, 1 otherwise, 64 for a bad setting.

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use acefleet_chaos::acexy::{Acexy, Config, Content, Load, LoadReport, PlaySpec, Version, load};
use clap::{Parser, ValueEnum};

#[derive(Debug, Parser)]
#[command(name = "acexy-sim", version, about = "A strict simulation of the Acexy proxy")]
struct Args {
    /// Base URL of the orchestrator, for example http://127.0.0.1:8000
    #[arg(long, env = "ACEXY_ORCH_URL", value_parser = base_url)]
    url: String,
    /// API key, sent as Bearer token
    #[arg(long, env = "ACEXY_ORCH_APIKEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Acexy's own container id, echoed in the events
    #[arg(long, env = "ACEXY_CONTAINER_ID")]
    container_id: Option<String>,
    /// Which version to be
    #[arg(long, value_enum, default_value_t = Version::December)]
    client: Version,
    /// All players ask for the same content
    #[arg(long)]
    same_content: bool,
    /// Number of plays
    #[arg(long, default_value_t = 1)]
    streams: usize,
    /// How long each player stays after the first byte: 500ms, 3s, 2m
    #[arg(long, default_value = "3s", value_parser = duration)]
    hold: Duration,
    /// Pause between two starts
    #[arg(long, default_value = "0s", value_parser = duration)]
    ramp: Duration,
    /// Streams after which an engine counts as full
    #[arg(long, env = "ACEXY_MAX_STREAMS_PER_ENGINE", default_value_t = 1)]
    max_streams_per_engine: usize,
    /// Contents are this with a number appended
    #[arg(long, default_value = "acexy-sim-")]
    content_prefix: String,
    /// How the content is named; for infohash the prefix must be hexadecimal
    #[arg(long, value_enum, default_value_t = KeyType::Id)]
    key_type: KeyType,
    /// Where `localhost:<port>` of a provisioned engine is dialled
    #[arg(long, default_value = "127.0.0.1")]
    localhost_addr: IpAddr,
    /// Dial a name at this address: name=address, may be repeated
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = resolve)]
    resolve: Vec<(String, IpAddr)>,
    /// Fallback engine, used when the orchestrator gives no list: host:port
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
    fallback: Option<(String, u16)>,
    /// Pause between two status polls
    #[arg(long, default_value = "30s", value_parser = duration)]
    poll: Duration,
    /// Wait after a provisioning success
    #[arg(long, default_value = "5s", value_parser = duration)]
    after_provision: Duration,
    /// Cut off what is not through by then
    #[arg(long, default_value = "10m", value_parser = duration)]
    deadline: Duration,
    /// Die this long after provisioning began
    #[arg(long, value_parser = duration)]
    abort_provisioning: Option<Duration>,
    /// Die while playing: no stop command, no ended event
    #[arg(long)]
    crash: bool,
    /// Send the started event twice
    #[arg(long)]
    duplicate_started: bool,
    /// Send an ended event before the started event
    #[arg(long)]
    ended_first: bool,
    /// Print the whole report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KeyType {
    Id,
    Infohash,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Nothing is left to do when even this cannot be printed.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    let json = args.json;
    let report = play(args).await;
    if json {
        match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("acexy-sim: report: {error}"),
        }
    } else {
        summary(&report);
    }
    if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn play(args: Args) -> LoadReport {
    let mut config = Config::new(args.url);
    config.version = args.client;
    config.api_key = args.api_key.filter(|key| !key.is_empty());
    config.container_id = args.container_id.filter(|id| !id.is_empty());
    config.max_streams_per_engine = args.max_streams_per_engine;
    config.fallback = args.fallback;
    config.resolve.extend(args.resolve);
    config.resolve.insert("localhost".to_owned(), args.localhost_addr);
    config.timers.poll = args.poll;
    config.timers.after_provision = args.after_provision;

    let content = match args.key_type {
        KeyType::Id => Content::Id(args.content_prefix),
        KeyType::Infohash => Content::Infohash(args.content_prefix),
    };
    let mut spec = PlaySpec::new(content, args.hold);
    spec.abort_provisioning = args.abort_provisioning;
    spec.crash = args.crash;
    spec.duplicate_started = args.duplicate_started;
    spec.ended_first = args.ended_first;
    let load = Load {
        streams: args.streams,
        ramp: args.ramp,
        spec,
        same_content: args.same_content,
        deadline: args.deadline,
    };
    load::run(&Acexy::start(config), load).await
}

fn summary(report: &LoadReport) {
    for play in &report.plays {
        let engine = play.engine.as_ref().map_or_else(
            || "no engine".to_owned(),
            |e| format!("{}:{} ({:?}) {}", e.host, e.port, e.via, e.container_id),
        );
        let slowest = play.calls.iter().max_by_key(|call| call.elapsed_ms);
        let slowest = slowest.map_or_else(String::new, |call| {
            format!(", slowest call {:?} {} ms", call.call, call.elapsed_ms)
        });
        let first =
            play.first_byte_ms.map_or_else(|| "no byte".to_owned(), |ms| format!("first byte {ms} ms"));
        println!("{}: {:?} {engine}, {} bytes, {first}{slowest}", play.content, play.outcome, play.bytes);
    }
    for complaint in report.complaints() {
        let status = complaint.status.map_or("-".to_owned(), |s| s.to_string());
        println!(
            "COMPLAINT {:?} status {status} after {} ms: {} | {}",
            complaint.call, complaint.elapsed_ms, complaint.reason, complaint.body
        );
    }
    println!(
        "{} of {} streams played, {} refused, {} unfinished, {} complaints",
        report.played(),
        report.plays.len() + report.unfinished,
        report.refused(),
        report.unfinished,
        report.complaints().count()
    );
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(split.unwrap_or(text.len()));
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err("expected a number with ms, s or m, for example 500ms".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(number * factor).map_err(|e| e.to_string())
}

fn base_url(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|e| format!("{e}, expected http://host:port"))?;
    if url.scheme() != "http" || !url.username().is_empty() || url.query().is_some() {
        return Err("expected http://host:port without user, password and query".to_owned());
    }
    Ok(text.to_owned())
}

fn resolve(text: &str) -> Result<(String, IpAddr), String> {
    let (name, address) = text.split_once('=').ok_or("expected name=address")?;
    let address = address.parse().map_err(|_| format!("{address:?} is no IP address"))?;
    Ok((name.to_owned(), address))
}

fn host_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("expected host:port")?;
    let port = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    Ok((host.to_owned(), port))
}
