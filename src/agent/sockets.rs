//! TCP connections in the network of a container, as the kernel lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The other end of a connection, in the kernel's words.
pub type Peer = String;

/// Connections, by the port on this side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    established: Peers,
    over: Peers,
}

type Peers = BTreeMap<u16, BTreeSet<Peer>>;

/// The kernel's word for an established connection.
const ESTABLISHED: &str = "01";
/// Its word for one that is over. The side that closed first remembers it, for a minute.
const TIME_WAIT: &str = "06";

impl Sockets {
    /// Reads `/proc/…/net/tcp` and `/proc/…/net/tcp6`. Lines of another form are passed over, and connections with `own` addresses when
    /// they are over: all of those, where the own addresses are not known.
    #[must_use]
    pub fn read(tables: &[String], own: Option<&BTreeSet<IpAddr>>) -> Self {
        let mut found = Self::default();
        for line in tables.iter().flat_map(|table| table.lines()) {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let (Some(here), Some(peer), Some(state)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let peers = match state {
                ESTABLISHED => &mut found.established,
                TIME_WAIT if own.zip(address(peer)).is_some_and(|(own, address)| !own.contains(&address)) => {
                    &mut found.over
                }
                _ => continue,
            };
            let port = here.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
            if let Some(port) = port {
                peers.entry(port).or_default().insert(peer.to_owned());
            }
        }
        found
    }

    /// True when nobody is connected, and nobody was lately.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.established.is_empty() && self.over.is_empty()
    }

    /// Who is connected to this port.
    #[must_use]
    pub fn peers(&self, port: u16) -> BTreeSet<Peer> {
        self.established.get(&port).cloned().unwrap_or_default()
    }

    /// Whose connection to this port was over within the last minute, and was closed first on this side.
    #[must_use]
    pub fn gone(&self, port: u16) -> BTreeSet<Peer> {
        self.over.get(&port).cloned().unwrap_or_default()
    }
}

/// How many TCP sockets a network has: to be had at once, while a list of them takes the kernel a walk through all of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    v4: u32,
    v6: u32,
    over: u32,
}

impl Counts {
    /// Reads `/proc/…/net/sockstat` and `/proc/…/net/sockstat6`, which is not there without IPv6. `None` for files of another form.
    #[must_use]
    pub fn read(v4: &str, v6: Option<&str>) -> Option<Self> {
        let of = |text: &str, line: &str, word: &str| {
            let fields = text.lines().find_map(|text| text.strip_prefix(line))?;
            let mut fields = fields.split_ascii_whitespace().skip_while(|field| *field != word);
            fields.nth(1)?.parse().ok()
        };
        let v6 = match v6 {
            Some(text) => of(text, "TCP6:", "inuse")?,
            None => 0,
        };
        Some(Self { v4: of(v4, "TCP:", "inuse")?, v6, over: of(v4, "TCP:", "tw")? })
    }
}

/// The address of a peer. The kernel prints each four bytes of it as one number.
fn address(peer: &str) -> Option<IpAddr> {
    let (hex, _) = peer.rsplit_once(':')?;
    let words = hex
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok().map(u32::to_ne_bytes));
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(Ipv4Addr::from(v4).into());
    }
    let v6 = <[u8; 16]>::try_from(bytes.as_slice()).ok()?;
    Some(Ipv6Addr::from(v6).to_canonical())
}

/// The addresses of a host, from its `/proc/net/fib_trie` and `/proc/net/if_inet6`.
#[must_use]
pub fn addresses(routes: &str, v6: &str) -> BTreeSet<IpAddr> {
    let mut found = BTreeSet::new();
    let mut leaf = None;
    for line in routes.lines().map(str::trim_start) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<IpAddr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(leaf);
        }
    }
    let of_line = |line: &str| u128::from_str_radix(line.split_ascii_whitespace().next()?, 16).ok();
    found.extend(v6.lines().filter_map(of_line).map(|bits| IpAddr::from(Ipv6Addr::from(bits))));
    found
}

/// The routers in a `/proc/…/net/route`: behind Docker's bridge, calls of the host have its address.
#[must_use]
pub fn routers(table: &str) -> BTreeSet<IpAddr> {
    let of_line = |line: &str| {
        let hex = line.split_ascii_whitespace().nth(2)?;
        let router = Ipv4Addr::from(u32::from_str_radix(hex, 16).ok()?.to_ne_bytes());
        (!router.is_unspecified()).then_some(IpAddr::from(router))
    };
    table.lines().skip(1).filter_map(of_line).collect()
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
        let sockets = Sockets::read(&[v4.to_owned(), v6.to_owned()], Some(&BTreeSet::new()));
        let peers = ["0000000000000000FFFF0000010011AC:D2F4", "010011AC:D2F0"].map(str::to_owned);
        assert_eq!(sockets.peers(19_000), peers.into(), "a listener or a closed connection counts");
        assert_eq!(sockets.peers(53_984), BTreeSet::new(), "the port of the other side counts");
    }

    #[test]
    fn counts_are_those_of_tcp() {
        let v4 = "sockets: used 8\nTCP: inuse 3 orphan 0 tw 2 alloc 1 mem 93\nUDP: inuse 7 mem 0\n";
        let v6 = "TCP6: inuse 4\nUDP6: inuse 9\n";
        assert_eq!(Counts::read(v4, Some(v6)), Some(Counts { v4: 3, v6: 4, over: 2 }));
        assert_eq!(Counts::read(v4, None), Some(Counts { v4: 3, v6: 0, over: 2 }));
        for (v4, v6) in [("", v6), (v4, ""), ("TCP: inuse x tw 2", v6), ("TCP: inuse 3 tw", v6)] {
            assert_eq!(Counts::read(v4, Some(v6)), None, "{v4} {v6}");
        }
        let nobody = "head\n 0: 0100007F:4A38 00000000:0000 0A\n".to_owned();
        assert!(Sockets::read(&[nobody], None).is_empty());
        let somebody = "head\n 0: 0100007F:4A38 0100007F:D2F0 01\n".to_owned();
        assert!(!Sockets::read(&[somebody], None).is_empty());
    }

    #[test]
    fn addresses_of_a_host_are_those_that_are_local() {
        let routes = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
            Local:\n     +-- 127.0.0.0/8 2 0 2\n        |-- 127.0.0.0\n           /8 host LOCAL\n\
            \x20       |-- 127.0.0.1\n           /32 host LOCAL\n        |-- 172.17.255.255\n           /32 link BROADCAST\n\
            \x20       |-- 172.17.0.1\n           /32 host LOCAL\n        |-- nonsense\n           /32 host LOCAL\n";
        let v6 = "00000000000000000000000000000001 01 80 10 80       lo\nx\n";
        let wanted: [IpAddr; 3] = [[127, 0, 0, 1].into(), [172, 17, 0, 1].into(), Ipv6Addr::LOCALHOST.into()];
        assert_eq!(addresses(routes, v6), wanted.into());
    }

    #[test]
    fn connections_that_are_over_are_those_of_others() {
        let v4 = "head\n\
            0: 020011AC:4A38 010011AC:D2F0 06 0:0\n 1: 020011AC:4A38 090011AC:D2F2 06 0:0\n\
            2: 020011AC:4A38 070011AC:D2F3 01 0:0\n 3: 020011AC:4A38 070011AC:D2F4 08 0:0\n";
        let v6 = "head\n\
            0: 0000000000000000FFFF0000020011AC:4A38 0000000000000000FFFF0000010011AC:D2F5 06 0:0\n\
            1: 0000000000000000FFFF0000020011AC:4A38 0000000000000000FFFF0000080011AC:D2F6 06 0:0\n\
            2: x:4A38 nonsense 06\n 3: x:4A38 010011AC010011AC:1 06\n";
        let route = "Iface Destination Gateway Flags\neth0 00000000 010011AC 0003\neth0 000011AC 00000000 0001\nx y\n";
        let own = routers(route);
        assert_eq!(own, [IpAddr::from([172, 17, 0, 1])].into());
        let sockets = Sockets::read(&[v4.to_owned(), v6.to_owned()], Some(&own));
        let others = ["0000000000000000FFFF0000080011AC:D2F6", "090011AC:D2F2"].map(str::to_owned);
        assert_eq!(sockets.gone(19_000), others.into(), "calls of this node count, or others do not");
    }
}
