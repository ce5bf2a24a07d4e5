//! Where this node reaches its own engines. Addresses come from leases and settings, never from what
//! a client sent.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use acefleet_registry::address::join;
use acefleet_registry::{Engine, EngineId};
use url::Url;

use crate::agent::engine_network::EngineNetwork;
use crate::agent::lock::unpoisoned;
use crate::agent::runtime::Inspection;
use crate::agent::vpn::Networks;
use crate::config::{Config, docker};

/// Where clients reach an engine, from the inspection of its container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At its host, or by its name in a network with names.
    Usual,
    /// At this address alone.
    At(String),
    /// Nowhere: it publishes nothing and has no address.
    Nowhere,
}

impl Reach {
    /// The address, if it is a special one.
    #[must_use]
    pub fn address(self) -> Option<String> {
        match self {
            Self::At(address) => Some(address),
            Self::Usual | Self::Nowhere => None,
        }
    }

    /// `inside` is the port on which the engine listens.
    #[must_use]
    pub fn shown(found: &Inspection, inside: u16) -> Self {
        let network = found.network.as_deref().unwrap_or_default();
        if network == "host" || network.starts_with("container:") {
            return Self::Usual;
        }
        let own = || found.addresses.first().map_or(Self::Nowhere, |address| Self::At(address.clone()));
        let Some(bindings) = found.view.ports.get(&format!("{inside}/tcp")) else { return own() };
        let is_any = |ip: &str| ip.is_empty() || ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
        match bindings.iter().find(|binding| !is_any(&binding.host_ip)) {
            Some(one) if bindings.iter().all(|binding| !is_any(&binding.host_ip)) => {
                Self::At(one.host_ip.clone())
            }
            Some(_) | None => Self::Usual,
        }
    }
}

/// Addresses of own engines, and which of them answered last.
#[derive(Debug)]
pub struct Addresses {
    host: String,
    networked: bool,
    networks: Arc<Networks>,
    answering: Mutex<HashMap<EngineId, usize>>,
}

impl Addresses {
    /// Engines publish their ports on all addresses of the Docker host: the loopback, unless the
    /// daemon is on another host.
    #[must_use]
    pub fn new(config: &Config, networks: Arc<Networks>) -> Self {
        let remote = config.docker_host.as_deref().and_then(docker::daemon_host);
        Self {
            host: remote.unwrap_or_else(|| "127.0.0.1".to_owned()),
            networked: EngineNetwork::of(config).name().is_some(),
            networks,
            answering: Mutex::default(),
        }
    }

    /// Where ports that containers publish are reached.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Base addresses to try, the likeliest first. A node in a container of the engines' network reaches them by name, not on its
    /// loopback. Engines behind a VPN have the addresses of the VPN container.
    #[must_use]
    pub fn bases(&self, engine: &Engine) -> Vec<String> {
        let mut bases = vec![format!("http://{}:{}", self.host, engine.ports.host_http)];
        if let Some(address) = &engine.address {
            // The address may be that of the container, which listens on its own port; mostly both ports are the same.
            bases.push(format!("http://{}", join(address, engine.ports.container_http)));
        }
        if let Some(vpn) = &engine.vpn {
            let network = self.networks.of(vpn);
            let addresses = network.iter().flat_map(|network| &network.addresses);
            let at = |address: &String| format!("http://{}", join(address, engine.ports.container_http));
            bases.extend(addresses.map(at));
        } else if self.networked {
            bases.push(format!("http://{}:{}", engine.container_name, engine.ports.container_http));
        }
        let first = unpoisoned(&self.answering).get(&engine.id).copied().unwrap_or(0) % bases.len();
        bases.rotate_left(first);
        bases
    }

    /// The likeliest base address.
    #[must_use]
    pub fn base(&self, engine: &Engine) -> String {
        self.bases(engine).swap_remove(0)
    }

    /// Puts the candidate at `index` first: it answered, those before it did not.
    pub(super) fn prefer(&self, engine: EngineId, index: usize) {
        if index != 0 {
            *unpoisoned(&self.answering).entry(engine).or_default() += index;
        }
    }

    /// Forgets engines that have ended.
    pub(super) fn retain(&self, keep: impl Fn(EngineId) -> bool) {
        unpoisoned(&self.answering).retain(|id, _| keep(*id));
    }
}

/// The path and query of `url` at another base address, so that a caller's URL leads to the engine and nowhere else. A URL without
/// scheme and host counts as a path.
#[must_use]
pub fn rebase(base: &str, url: &str) -> Option<Url> {
    let base = Url::parse(base).ok()?;
    let given = base.join(url).ok().filter(|given| given.path().starts_with('/'))?;
    let mut target = base;
    target.set_path(given.path());
    target.set_query(given.query());
    Some(target)
}

/// The command URL's path at another base address, with `method=stop` as its only argument.
#[must_use]
pub fn stop_url(base: &str, command_url: &str) -> Option<Url> {
    let mut target = rebase(base, command_url)?;
    target.set_query(Some("method=stop"));
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_path_and_query_of_a_given_url_are_used() {
        let base = "http://127.0.0.1:19001";
        for (given, wanted) in [
            ("http://acestream-1:6878/ace/stat/a/b", "http://127.0.0.1:19001/ace/stat/a/b"),
            ("http://evil.example:80/ace/stat?x=1&y=2#z", "http://127.0.0.1:19001/ace/stat?x=1&y=2"),
            ("http://user:pw@169.254.169.254/latest", "http://127.0.0.1:19001/latest"),
            ("https://a/../../etc", "http://127.0.0.1:19001/etc"),
            ("//evil.example/x", "http://127.0.0.1:19001/x"),
            ("/ace/stat/a/b", "http://127.0.0.1:19001/ace/stat/a/b"),
        ] {
            assert_eq!(rebase(base, given).unwrap().as_str(), wanted, "{given}");
        }
        for bad in ["mailto:me", "data:text/plain,x", "http://[bad/"] {
            assert_eq!(rebase(base, bad), None, "{bad}");
        }
    }

    #[test]
    fn a_stop_has_one_argument() {
        let url = stop_url("http://127.0.0.1:19001", "http://e:1/ace/cmd/a/b?method=pause").unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:19001/ace/cmd/a/b?method=stop");
    }
}
