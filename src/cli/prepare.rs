//! `acefleet init` and `acefleet join`: choose the cluster of a node before its start.

use std::path::Path;

use acefleet::config::load;
use acefleet::node::raft_options;
use acefleet_raft::{JoinToken, Options, StartError, offline};
use clap::Args;

use super::exit_code::INTERNAL;
use super::output;

#[derive(Args)]
pub struct Join {
    /// Cluster address HOST:PORT of any running member (port 8001 by default).
    member: String,
    /// Join token, which `acefleet token create` on a member prints: in the place of the secret. ACEFLEET_JOIN_TOKEN does the same, and shows it to
    /// nobody who lists the processes of this host.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

/// Prepares a new cluster.
pub fn init(file: Option<&Path>) -> u8 {
    let options = match options(file) {
        Ok(options) => options,
        Err(code) => return code,
    };
    if options.peers.len() > 1 || !options.join.is_empty() {
        return refuse(&StartError::Config(
            "ACEFLEET_PEERS or ACEFLEET_JOIN says which cluster this node is to be in, and `init` makes one of this \
             node alone: remove the setting, or do without `init`"
                .into(),
        ));
    }
    match offline::init(&options) {
        Ok(founded) => output::print(&format!(
            "{} is ready to begin cluster {}.\nStart it: acefleet serve\nOthers join it by the line that `acefleet token create` prints here once it runs",
            options.node_name, founded.cluster_id
        )),
        Err(error) => refuse(&error),
    }
}

/// Prepares to join a cluster.
pub fn join(file: Option<&Path>, args: &Join) -> u8 {
    let options = match options(file) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let options = match args.token.as_deref().map(JoinToken::parse) {
        None => options,
        Some(Ok(token)) => Options { join_token: Some(token), ..options },
        Some(Err(why)) => return refuse(&StartError::Config(format!("--token: {why}"))),
    };
    let kept = || acefleet_raft::kept_secret(&options.data_dir);
    let is_unused = args.token.is_some() && (options.secret.is_some() || matches!(kept(), Ok(Some(_))));
    match run(offline::join(&options, &args.member)) {
        Ok(Ok(joining)) => output::print(&format!(
            "{} is ready to join cluster {} of {}.\nStart it: acefleet serve",
            options.node_name,
            joining.cluster_id,
            joining.members.join(", ")
        )),
        Ok(Err(error)) => {
            let code = refuse(&error);
            if is_unused {
                output::complain(
                    "the join token was not used, as this node has a secret: in ACEFLEET_CLUSTER_SECRET, or kept in its data directory. If that is \
                     of another cluster, take it away and repeat this",
                );
            }
            code
        }
        Err(code) => code,
    }
}

/// The settings of the node here, or the exit code when they are not valid.
pub fn options(file: Option<&Path>) -> Result<Options, u8> {
    match load(file) {
        Ok(loaded) => Ok(raft_options(&loaded.config)),
        Err(errors) => Err(output::refuse(&errors.problems)),
    }
}

/// Runs a future.
pub fn run<T>(work: impl Future<Output = T>) -> Result<T, u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => Ok(runtime.block_on(work)),
        Err(error) => {
            output::complain(&format!("cannot start the runtime: {error}"));
            Err(INTERNAL)
        }
    }
}

/// Prints why it was not done, and returns the exit code for it.
pub fn refuse(error: &StartError) -> u8 {
    output::complain(&error.to_string());
    error.exit_code()
}
