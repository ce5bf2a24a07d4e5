//! Commands of the `acefleet` program.
//!
//! - [`target`]: which nodes are asked; [`ask`]: a call to a node; [`answer`]: what it answers
//! - [`table`]: tables; [`words`]: what others wrote
//! - [`engines`], [`streams`], [`events`]: the commands of these names, and `vpn`; [`engine_logs`]; [`feed`]: what nodes stream
//! - [`backup`]: the `backup` commands; [`restore`]: the `restore` command
//! - [`config`]: the commands `config check` and `config show`
//! - [`debug`]: the `debug` commands
//! - [`healthcheck`]: the `healthcheck` command
//! - [`key`]: the `key` command; [`named_keys`]: those below it; [`tokens`]: `token`; [`time_span`]: how long either lasts
//! - [`maintenance`]: the `maintenance` commands; [`patience`]: commands that wait
//! - [`manual`]: the `man` command
//! - [`members`]: commands that ask a node about the members and change them
//! - [`migrate`]: the `migrate` command
//! - [`prepare`]: the commands `init` and `join`
//! - [`recover`]: the `recover` command
//! - [`settings`]: the `settings` commands
//! - [`since`]: times in arguments
//! - [`serve`]: the `serve` command; [`logs`]: its log
//! - [`new_file`]: files that commands make
//! - [`output`]: standard output that may close early; [`failed`]: why there is no answer; [`exit_code`]

mod answer;
mod ask;
mod backup;
mod client;
mod config;
mod core_dumps;
mod debug;
mod engine_logs;
mod engines;
mod events;
mod exit_code;
mod failed;
mod feed;
mod healthcheck;
mod key;
mod log_filter;
mod logs;
mod maintenance;
mod manual;
mod members;
mod migrate;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod named_commands_tests;
mod named_keys;
mod new_file;
mod output;
mod patience;
mod prepare;
mod private_files;
mod recover;
mod restore;
mod secret;
mod serve;
mod settings;
mod since;
mod streams;
mod table;
mod target;
mod time_span;
mod tokens;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use exit_code::CONFIGURATION;

const EXIT_CODES: &str = "Exit codes: 0 done; 64 settings, arguments or a refusal; 70 internal; 75 not now, a repeat may help; \
    77 this node was removed from its cluster. A second SIGTERM or SIGINT ends `serve` at once, by that signal (143, 130).";

/// Highly available orchestrator for AceStream engines.
#[derive(Parser)]
#[command(
    name = "acefleet",
    version,
    max_term_width = 100,
    subcommand_required = true,
    after_help = EXIT_CODES
)]
struct Cli {
    /// TOML file with settings; else ACEFLEET_CONFIG, ./acefleet.toml, /etc/acefleet/acefleet.toml.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the node until a signal stops it. Engines keep running.
    ///
    /// With an empty data directory it forms its own cluster, or that of ACEFLEET_PEERS, or joins that of ACEFLEET_JOIN. `init` and
    /// `join` make the same choice beforehand.
    Serve,
    /// Prepare the empty data directory of this host for a new cluster, which the next `serve` starts.
    ///
    /// The node is its only member; others join with `join`. Refused when the directory belongs to a cluster.
    Init,
    /// Prepare the empty data directory of this host for joining a cluster, which the next `serve` does.
    ///
    /// Asks the member whether it would accept this node: whether the name is free and the versions fit. Nothing changes before
    /// `serve`. Then the node gets the log and, while there are fewer than five voters, a vote.
    Join(prepare::Join),
    /// Make a new cluster of this node alone when the majority of its cluster is lost for good.
    ///
    /// Run it on one survivor, the one with the newest last entry, while the node is stopped. Prints what it has and what may be lost,
    /// and asks before it does anything. The cluster gets a new id, so members of the old one are refused until they join again with
    /// empty directories.
    Recover(recover::Recover),
    /// Save all that the cluster knows to a file, or look into such a file.
    ///
    /// Any node makes one while it runs. The file holds streams, addresses, settings and the hash of the API key, but neither that key nor the secret of
    /// the nodes: keep those beside it. It is readable for its owner alone.
    Backup(backup::Backup),
    /// Make a new cluster of this node alone from a backup, when all of the old one is lost.
    ///
    /// Run it with an empty data directory. Prints what is in the backup and what may be lost, and asks before it does anything. The cluster gets a
    /// new id, so members of the old one are refused until they join again with empty directories. A node with the name of an old member takes its
    /// place, and its engines that still run.
    Restore(restore::Restore),
    /// Ask the node that runs here with the same settings. Exit code 0 when it is healthy, else 1.
    Healthcheck(healthcheck::Healthcheck),
    /// Show the cluster and its members, as the node here sees them.
    Status(members::Look),
    /// Show the members.
    Members(members::Look),
    /// List, start, stop or replace engines, and show their logs.
    #[command(subcommand, alias = "engines")]
    Engine(engines::Engines),
    /// List or stop streams.
    #[command(subcommand, alias = "streams")]
    Stream(streams::Streams),
    /// Show what happened, who did it and why.
    Events(events::Events),
    /// Show the VPN containers of all hosts.
    Vpn(streams::Vpns),
    /// Let a member lead.
    Lead(members::Node),
    /// No new engines on a node; those that run stay.
    Cordon(members::Node),
    /// Use a cordoned or draining node again.
    Uncordon(members::Node),
    /// No new engines or streams on a node; each engine stops when its streams have ended.
    Drain(members::Drain),
    /// Empty a node before its host is rebooted or its Docker is upgraded, and take it back afterwards.
    #[command(subcommand)]
    Maintenance(maintenance::Maintenance),
    /// Remove a member from the cluster for good.
    Remove(members::Remove),
    /// Adopt the engines that an earlier life of a host left behind; `status` shows them.
    ///
    /// They have the labels of another node or cluster, because the data directory of the host was lost or its name was another one.
    /// They keep their names and ports.
    Adopt(members::Adopt),
    /// Remove the node that answers from the cluster for good.
    Leave(members::Leave),
    /// Show the key of the API, on the host whose node made it; or make, list and revoke named keys.
    ///
    /// A new cluster without API_KEY and ACEFLEET_OPEN makes a key on the node that forms it. Only the user of that node can read it
    /// there; the other nodes know its hash.
    Key(key::Key),
    /// Make, list and revoke tokens by which further nodes join.
    #[command(subcommand)]
    Token(tokens::Tokens),
    /// Show the secret that a further node needs to speak to this one, on the host of a node.
    ///
    /// That of ACEFLEET_CLUSTER_SECRET, else what the node keeps in its data directory: the secret with which it ran last.
    Secret,
    /// Show and change the settings of the cluster.
    #[command(subcommand)]
    Settings(settings::Settings),
    /// Check or show the settings of this node without starting anything.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show what the files of the orchestrator of before mean here, what of it runs on this host, and what is to be done.
    ///
    /// Changes nothing. Reads its .env and compose file, says for each line what a node does with it, and asks Docker for its engines, its network
    /// and its ports. Settings of this shell and of TOML files do not count. Exit code 0 when a node would start with these settings, else 64.
    Migrate(migrate::Migrate),
    /// Collect what helps to find a fault.
    #[command(subcommand)]
    Debug(debug::Debug),
    /// Print the OpenAPI description of the HTTP API.
    Openapi,
    /// Print a script that lets this shell complete the arguments.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print a manual page, or write all of them.
    Man(manual::Manual),
    /// Print the version.
    Version,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print every problem and warning. Exit code 0, or 64 when there is a problem.
    Check,
    /// Print every setting with its value and source. Secrets are masked.
    Show(config::Show),
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    if let Err(error) = core_dumps::forbid() {
        output::complain(&format!(
            "a crash could write keys to the disk, as core dumps cannot be forbidden: {error}"
        ));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
                _ => CONFIGURATION,
            };
            // Help goes to standard output, errors to standard error; a closed pipe changes nothing.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let file = cli.config.as_deref();
    if matches!(
        cli.command,
        Command::Serve | Command::Init | Command::Join(_) | Command::Recover(_) | Command::Restore(_)
    ) {
        private_files::by_default();
    }
    let code = match cli.command {
        Command::Serve => serve::serve(file),
        Command::Init => prepare::init(file),
        Command::Join(args) => prepare::join(file, &args),
        Command::Recover(args) => recover::recover(file, &args),
        Command::Backup(args) => backup::backup(file, &args),
        Command::Restore(args) => restore::restore(file, &args),
        Command::Healthcheck(args) => healthcheck::healthcheck(file, &args),
        Command::Status(look) => members::status(file, &look),
        Command::Members(look) => members::members(file, &look),
        Command::Engine(command) => engines::run(file, &command),
        Command::Stream(command) => streams::run(file, &command),
        Command::Events(args) => events::events(file, &args),
        Command::Vpn(args) => streams::vpns(file, &args),
        Command::Lead(node) => members::set(file, &node, "lead"),
        Command::Cordon(node) => members::set(file, &node, "cordon"),
        Command::Uncordon(node) => members::set(file, &node, "uncordon"),
        Command::Drain(args) => members::drain(file, &args),
        Command::Maintenance(command) => maintenance::maintenance(file, &command),
        Command::Remove(args) => members::remove(file, &args),
        Command::Adopt(args) => members::adopt(file, &args),
        Command::Leave(args) => members::leave(file, &args),
        Command::Key(args) => key::run(file, &args),
        Command::Token(command) => tokens::run(file, &command),
        Command::Secret => secret::secret(file),
        Command::Settings(command) => settings::settings(file, &command),
        Command::Config(ConfigCommand::Check) => config::check(file),
        Command::Config(ConfigCommand::Show(show)) => config::show(file, &show),
        Command::Migrate(args) => migrate::migrate(&args),
        Command::Debug(command) => debug::debug(file, &command),
        Command::Openapi => output::print(&acefleet::http::openapi_json()),
        Command::Completions { shell } => completions(shell),
        Command::Man(args) => manual::manual(&args),
        Command::Version => output::print(&format!("acefleet {}", env!("CARGO_PKG_VERSION"))),
    };
    ExitCode::from(code)
}

fn completions(shell: clap_complete::Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "acefleet", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
