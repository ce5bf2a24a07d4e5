//! How many connections the process may relay, given its limit of open files.

use crate::sockets::{FILES_ENOUGH, files};

/// Files of a connection: two sockets, and a pipe for each direction.
const FILES_EACH: u64 = 6;
/// Files for the rest of the node: store, API, cluster, Docker.
const REST: u64 = 512;

/// Connections at the same time.
#[must_use]
pub fn connections() -> usize {
    of_files(files())
}

/// When files are few, the rest of the node gets at least half of them.
fn of_files(files: u64) -> usize {
    let share = files.min(FILES_ENOUGH);
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
        assert_eq!(of_files(u64::MAX), of_files(FILES_ENOUGH));
    }

    #[test]
    fn the_limit_of_this_process_allows_some() {
        assert!(connections() > 1);
    }
}
