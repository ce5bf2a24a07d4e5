//! How many connections the process may relay, given its limit of open files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files of a connection in full swing: two sockets, and a pipe for each direction.
const FILES_EACH: u64 = 6;
/// Files that are left to the rest of the node: store, API, cluster, Docker.
const REST: u64 = 512;
/// More files than this are never asked for; nothing here needs them.
const ENOUGH: u64 = 65_536;
/// Assumed when the limit cannot be read; the usual soft limit.
const USUAL: u64 = 1_024;

/// Connections at the same time. Raises the soft limit of open files as far as the hard one allows.
#[must_use]
pub fn connections() -> usize {
    let files = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) => raise(soft, hard),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be read");
            USUAL
        }
    };
    of_files(files)
}

fn raise(soft: u64, hard: u64) -> u64 {
    let wanted = hard.min(ENOUGH);
    if wanted <= soft {
        return soft;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::debug!(%error, soft, "the limit of open files cannot be raised");
            soft
        }
    }
}

/// At least half of the files are left to the rest of the node when there are few.
fn of_files(files: u64) -> usize {
    let share = files.min(ENOUGH);
    let share = share.saturating_sub(REST).max(share / 2);
    usize::try_from((share / FILES_EACH).max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_node_keeps_its_files() {
        for files in [0, 10, 256, 1_024, 4_096, 65_536, u64::MAX] {
            let connections = of_files(files) as u64;
            let left = files.saturating_sub(connections * FILES_EACH);
            assert!(connections >= 1, "{files}");
            assert!(files < 12 || left >= REST.min(files / 2), "{files}: {connections}");
        }
        assert_eq!(of_files(u64::MAX), of_files(ENOUGH));
    }

    #[test]
    fn the_limit_of_this_process_allows_some() {
        assert!(connections() > 1);
    }
}
