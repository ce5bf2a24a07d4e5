//! Commands of the `acefleet` program.
//!
//! - [`config`]: the commands `config check` and `config show`
//! - [`healthcheck`]: the `healthcheck` command
//! - [`members`]: commands that ask a node about the members and change them
//! - [`serve`]: the `serve` command
//! - [`output`]: standard output that may close early

mod config;
mod healthcheck;
mod members;
mod output;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

/// Settings or arguments are wrong (`EX_USAGE`): a restart does not help.
const CONFIGURATION: u8 = 64;
/// A fault inside or around the program (`EX_SOFTWARE`).
const INTERNAL: u8 = 70;
/// Not now (`EX_TEMPFAIL`): a repeat may help.
const TEMPORARY: u8 = 75;

/// Highly available orchestrator for AceStream engines.
#[derive(Parser)]
#[command(name = "acefleet", version, max_term_width = 100, subcommand_required = true)]
struct Cli {
    /// TOML file with settings; else ACEFLEET_CONFIG, ./acefleet.toml, /etc/acefleet/acefleet.toml.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the node until it is told to stop. Engines keep running.
    Serve,
    /// Ask the node that runs here with the same settings. Exit code 0 when it is healthy, else 1.
    Healthcheck(healthcheck::Healthcheck),
    /// Show the cluster and its members, as the node here sees them.
    Status(members::Look),
    /// Show the members.
    Members(members::Look),
    /// No new engines on a node; those that run stay.
    Cordon(members::Node),
    /// Take a cordoned or draining node into use again.
    Uncordon(members::Node),
    /// No new engines or streams on a node; its engines leave when their streams have ended.
    Drain(members::Drain),
    /// Take a member out of the cluster for good.
    Remove(members::Remove),
    /// Take the node that is asked out of the cluster for good.
    Leave(members::Leave),
    /// Look at the settings without starting anything.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the OpenAPI description of the HTTP API.
    Openapi,
    /// Print the version.
    Version,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print every problem and warning. Exit code 0, or 64 when there is a problem.
    Check,
    /// Print every setting with its value and source. Secrets are masked.
    Show(Show),
}

#[derive(Args)]
#[group(multiple = false)]
struct Show {
    /// Print the tables of docs/CONFIG.md instead.
    #[arg(long)]
    markdown: bool,
    /// Print an example .env file instead.
    #[arg(long)]
    env_example: bool,
    /// Print an example TOML file instead.
    #[arg(long)]
    toml_example: bool,
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
                _ => CONFIGURATION,
            };
            // Help goes to standard output, complaints to standard error; a closed pipe changes nothing.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let file = cli.config.as_deref();
    let code = match cli.command {
        Command::Serve => serve::serve(file),
        Command::Healthcheck(args) => healthcheck::healthcheck(file, &args),
        Command::Status(look) => members::status(file, &look),
        Command::Members(look) => members::members(file, &look),
        Command::Cordon(node) => members::set(file, &node, "cordon"),
        Command::Uncordon(node) => members::set(file, &node, "uncordon"),
        Command::Drain(args) => members::drain(file, &args),
        Command::Remove(args) => members::remove(file, &args),
        Command::Leave(args) => members::leave(file, &args),
        Command::Config(ConfigCommand::Check) => config::check(file),
        Command::Config(ConfigCommand::Show(show)) => config::show(file, &show),
        Command::Openapi => output::print(&acefleet::http::openapi_json()),
        Command::Version => output::print(&format!("acefleet {}", env!("CARGO_PKG_VERSION"))),
    };
    ExitCode::from(code)
}
