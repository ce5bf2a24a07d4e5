//! Which engine a stream event means. Events say how the proxy reached the engine (`localhost`, an
//! address, a container name); they never change what the registry knows of an engine.

use std::sync::Arc;

use url::Url;

use crate::address::{bare, is_loopback};
use crate::container_id::stands_for;
use crate::records::engine::Engine;
use crate::records::stream::StreamStart;
use crate::state::State;

/// Host and port of an `http(s)` URL; host lower-cased by the parser.
fn authority(url: &str) -> Option<(String, u16)> {
    let url = Url::parse(url).ok()?;
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}

/// True when `host` is a name under which `engine` is reached: any loopback or any node's address or
/// name (its host port is unique in the cluster, and every node can relay it), its container's name
/// or id, the VPN container in whose network it runs.
fn is_name_of(state: &State, engine: &Engine, host: &str) -> bool {
    let host = bare(host);
    let of_node = state.nodes().any(|node| {
        host.eq_ignore_ascii_case(bare(&node.info.advertise_host))
            || host.eq_ignore_ascii_case(&node.info.name)
    });
    let of_container =
        engine.container_id.as_ref().is_some_and(|id| stands_for(&host.to_ascii_lowercase(), id));
    of_node
        || of_container
        || is_loopback(host)
        || host.eq_ignore_ascii_case("host.docker.internal")
        || host.eq_ignore_ascii_case(&engine.container_name)
        || engine.address.as_deref().is_some_and(|address| host.eq_ignore_ascii_case(address))
        || engine.vpn.as_deref().is_some_and(|vpn| host.eq_ignore_ascii_case(vpn))
}

/// The live engine that a started event means, if it is one of ours: by its Docker id, else by the
/// address in `stat_url` (or `command_url`, when there is no other), else by the address that the proxy
/// selected. A draining engine counts too: its streams must end with it.
pub(crate) fn engine_of<'a>(state: &'a State, event: &StreamStart) -> Option<&'a Arc<Engine>> {
    let by_id = full_id(event).and_then(|id| state.engine_by_container(id));
    if let Some(engine) = by_id.filter(|engine| engine.is_acestream()) {
        return Some(engine);
    }
    addresses(event).find_map(|(host, port)| {
        let engine = state.engine_by_port(port)?;
        let ran = engine.is_acestream() && engine.container_id.is_some();
        (ran && is_name_of(state, engine, &host)).then_some(engine)
    })
}

/// The engine that it means when that one has ended: the newest with this Docker id, or at this address if nothing has its port now.
pub(crate) fn ended_engine_of<'a>(state: &'a State, event: &StreamStart) -> Option<&'a Arc<Engine>> {
    let id = full_id(event);
    let free = |(_, port): &(String, u16)| state.engine_by_port(*port).is_none();
    let addresses: Vec<_> = addresses(event).filter(free).collect();
    let means = |engine: &Engine| {
        let is_at =
            |(host, port): &(String, u16)| *port == engine.ports.host_http && is_name_of(state, engine, host);
        let ran = engine.is_acestream() && engine.container_id.is_some();
        ran && ((id.is_some() && engine.container_id.as_deref() == id) || addresses.iter().any(is_at))
    };
    let mut ended = state.index.ended_engines.iter().rev().filter_map(|(_, id)| state.engine(*id));
    ended.find(|engine| means(engine))
}

fn full_id(event: &StreamStart) -> Option<&str> {
    event.container_id.as_deref().filter(|id| id.len() == 64)
}

/// Host and port of the session, then those that the proxy selected.
fn addresses(event: &StreamStart) -> impl Iterator<Item = (String, u16)> {
    let of_session = authority(&event.stat_url).or_else(|| authority(&event.command_url));
    of_session.into_iter().chain([(event.engine_host.clone(), event.engine_port)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_has_the_default_port() {
        assert_eq!(authority("http://EXAMPLE/x"), Some(("example".to_owned(), 80)));
        assert_eq!(authority("http://a:19001/ace/stat/x"), Some(("a".to_owned(), 19001)));
        assert_eq!(authority(""), None);
    }
}
