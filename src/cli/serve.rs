//! `acefleet serve`: settings, logger, runtime, node.

use std::io::IsTerminal;
use std::path::Path;

use acefleet::config::{Config, Loaded, LogFormat, load};
use tracing_subscriber::EnvFilter;

use super::{CONFIGURATION, INTERNAL, config, output};

/// Fewer would let one blocking call hold up the heartbeats.
const MIN_WORKERS: usize = 2;

/// Runs the node. Returns the exit code.
pub fn serve(file: Option<&Path>) -> u8 {
    let Loaded { config, warnings, .. } = match load(file) {
        Ok(loaded) => loaded,
        Err(errors) => {
            config::warn(&errors.warnings);
            return config::refuse(&errors.problems);
        }
    };
    if let Err(message) = start_logging(&config) {
        output::complain(&message);
        return CONFIGURATION;
    }
    for warning in &warnings {
        tracing::warn!(setting = %warning.setting, "{warning}");
    }
    std::panic::set_hook(Box::new(|panic| {
        output::complain(&format!("internal error, please report it: {panic}").replace('\n', " "));
    }));
    let workers = std::thread::available_parallelism().map_or(MIN_WORKERS, |n| n.get().max(MIN_WORKERS));
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                output::complain(&format!("cannot start worker threads: {error}"));
                return INTERNAL;
            }
        };
    // The node runs as a task: a panic in it becomes an exit code instead of an abort of this thread.
    match runtime.block_on(runtime.spawn(acefleet::node::run(config))) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            output::complain(&error.to_string().replace('\n', " "));
            error.exit_code()
        }
        // The hook above has said why.
        Err(_) => INTERNAL,
    }
}

/// The filter that was asked for, without the Raft library's own messages unless it names them.
fn filter(wanted: &str) -> String {
    match wanted.contains("openraft") {
        true => wanted.to_owned(),
        false => format!("{},{wanted}", acefleet_raft::LOG_FILTER),
    }
}

fn start_logging(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::builder()
        .parse(filter(&config.log_filter))
        .map_err(|error| format!("ACEFLEET_LOG={:?}: {error}", config.log_filter))?;
    // https://no-color.org
    let colour =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.log_format {
        LogFormat::Text => builder.with_ansi(colour).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("cannot start the logger: {error}"))
}
