//! TCP ports on which something listens on this host.

use std::collections::BTreeSet;
use std::fs;

/// The state of a listening socket in the tables of the kernel.
const LISTENS: &str = "0A";

/// Ports that are listened on; none where the kernel does not say.
pub(super) fn ports() -> BTreeSet<u16> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| listening(table)).collect()
}

fn listening(table: &str) -> Vec<u16> {
    let ports = table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _, state) = (words.next()?, words.next()?, words.next()?);
        (state == LISTENS).then(|| u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok())?
    });
    ports.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_found_and_connections_are_not() {
        let table = "  sl  local_address rem_address   st tx_queue\n   \
                     0: 0100007F:4A38 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n   \
                     1: 0100007F:4A39 0100007F:1F40 01 00000000:00000000 00:00000000 00000000 0 0 1\n   nonsense\n";
        assert_eq!(listening(table), [19_000]);
        let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(ports().contains(&own.local_addr().unwrap().port()));
    }
}
