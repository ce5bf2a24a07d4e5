//! Which names callers may have containers get: none that this host knows a VPN container by, or engines would join their network.

use acefleet_registry::engine::EngineSpec;

use crate::agent::allowed::NotAllowed;
use crate::config::Config;

/// What is wrong with the prefix of a name, if anything is.
pub(super) fn fault(spec: &EngineSpec, config: &Config) -> Option<NotAllowed> {
    let prefix = &spec.name_prefix;
    let is_counted = |name: &str| {
        let count = name.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('-'));
        count.is_some_and(|count| !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut vpns = config.vpn.iter().flat_map(|vpn| &vpn.containers).map(|vpn| &vpn.container);
    let name = vpns.find(|name| is_counted(name))?;
    Some(NotAllowed::VpnName { prefix: prefix.clone(), container: name.clone() })
}
