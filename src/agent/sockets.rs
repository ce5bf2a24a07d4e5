//! TCP connections in the network of a container, as the kernel lists them.

use std::collections::{BTreeMap, BTreeSet};

/// The other end of a connection, in the kernel's words.
pub type Peer = String;

/// Established connections, by the port on this side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets(BTreeMap<u16, BTreeSet<Peer>>);

/// The kernel's word for an established connection.
const ESTABLISHED: &str = "01";

impl Sockets {
    /// Reads `/proc/…/net/tcp` and `/proc/…/net/tcp6`. Lines of another form are passed over.
    #[must_use]
    pub fn read(tables: &[String]) -> Self {
        let mut found: BTreeMap<u16, BTreeSet<Peer>> = BTreeMap::new();
        for line in tables.iter().flat_map(|table| table.lines()) {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let (Some(own), Some(peer), Some(ESTABLISHED)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let port = own.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
            if let Some(port) = port {
                found.entry(port).or_default().insert(peer.to_owned());
            }
        }
        Self(found)
    }

    /// Who is connected to this port.
    #[must_use]
    pub fn peers(&self, port: u16) -> BTreeSet<Peer> {
        self.0.get(&port).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn established_connections_are_read_by_their_port() {
        let v4 = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:4A38 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n   \
            1: 020011AC:4A38 010011AC:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1\n   \
            2: 020011AC:4A38 010011AC:D2F2 06 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1\n";
        let v6 = "   0: 0000000000000000FFFF0000020011AC:4A38 0000000000000000FFFF0000010011AC:D2F4 01 0:0 0:0 0\n\
            garbage\n   1: nonsense 1 01\n";
        let sockets = Sockets::read(&[v4.to_owned(), v6.to_owned()]);
        let peers = ["0000000000000000FFFF0000010011AC:D2F4", "010011AC:D2F0"].map(str::to_owned);
        assert_eq!(sockets.peers(19_000), peers.into(), "a listener or a closed connection counts");
        assert_eq!(sockets.peers(53_984), BTreeSet::new(), "the port of the other side counts");
    }
}
