//! `acefleet serve`: settings, logger, runtime, node.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use acefleet::config::{Config, Finding, Loaded, LogFormat, load};
use acefleet::own_log::OwnLog;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::exit_code::{CONFIGURATION, INTERNAL};
use super::log_filter;
use super::logs::Logs;
use super::output;

/// With one worker, a blocking call would delay heartbeats.
const MIN_WORKERS: usize = 2;
/// Time for the last log lines.
const LAST_LINES: Duration = Duration::from_secs(1);
/// Time for blocking work after the node has stopped. All data is on disk by then; only a question to a dead resolver takes longer.
const BLOCKING_WORK: Duration = Duration::from_secs(1);

/// Runs the node. Returns the exit code.
pub fn serve(file: Option<&Path>) -> u8 {
    let Loaded { config, warnings, .. } = match load(file) {
        Ok(loaded) => loaded,
        Err(errors) => {
            output::warn(&errors.warnings);
            return output::refuse(&errors.problems);
        }
    };
    let kept = OwnLog::default();
    let logs = match Logs::start(std::io::stderr(), kept.clone()) {
        Ok(logs) => logs,
        Err(error) => {
            output::complain(&format!("cannot start the logger: {error}"));
            return INTERNAL;
        }
    };
    let code = match start_logging(&config, &logs) {
        Ok(()) => run(config, &warnings, &logs, kept),
        Err(message) => {
            logs.complain(&message);
            CONFIGURATION
        }
    };
    logs.flush(LAST_LINES);
    code
}

fn run(config: Config, warnings: &[Finding], logs: &Logs, kept: OwnLog) -> u8 {
    for warning in warnings {
        tracing::warn!(setting = %warning.setting, "{warning}");
    }
    let panics = logs.clone();
    std::panic::set_hook(Box::new(move |panic| {
        panics.complain(&format!("internal error, please report it: {panic}"));
    }));
    let workers = std::thread::available_parallelism().map_or(MIN_WORKERS, |n| n.get().max(MIN_WORKERS));
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                logs.complain(&format!("cannot start worker threads: {error}"));
                return INTERNAL;
            }
        };
    // The node runs as a task, so that a panic in it becomes an exit code.
    let ended = runtime.block_on(runtime.spawn(acefleet::node::run(config, kept)));
    runtime.shutdown_timeout(BLOCKING_WORK);
    match ended {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            logs.complain(&error.to_string());
            error.exit_code()
        }
        // The hook above has logged it.
        Err(_) => INTERNAL,
    }
}

fn start_logging(config: &Config, logs: &Logs) -> Result<(), String> {
    let filter = log_filter::of(&config.log_filter)
        .map_err(|error| format!("ACEFLEET_LOG={:?}: {error}", config.log_filter))?;
    let colour = std::io::stderr().is_terminal() && !output::no_colours_wanted();
    let lines = tracing_subscriber::fmt::layer().with_writer(logs.clone());
    let lines = match config.log_format {
        LogFormat::Text => lines.with_ansi(colour).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let started = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    started.map_err(|error| format!("cannot start the logger: {error}"))
}
