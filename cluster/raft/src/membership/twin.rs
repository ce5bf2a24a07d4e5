//! Two processes with one identity: the data directory was copied, or hosts share it without locks. One member would vote
//! twice, so the process that started later stops.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::errors::Failure;
use crate::replica::core::Core;
use crate::transport::CALL_LIMIT;

/// How often a node checks: at first, and later, when a partition between the two may have ended.
const EVERY: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];
/// Number of checks at the first interval.
const SOON: usize = 15;
/// A stopping process still answers: check again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs until the node stops. Another process that answers under this id, at a recorded or listed address, was there first.
pub(crate) async fn watch(core: Arc<Core>) {
    for look in 0.. {
        if let Some(address) = found(&core).await {
            let gone = tokio::select! {
                () = core.stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => found(&core).await.is_none(),
            };
            if !gone {
                return core.fail(Failure::Twin(message(&core, &address)));
            }
        }
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY[usize::from(look > SOON)]) => {}
        }
    }
}

/// Where another process with this node's identity answers, if anywhere.
pub(crate) async fn found(core: &Core) -> Option<String> {
    let own = core.identity.load();
    let own_address = &core.options.advertise;
    let key = core.known(own.node_id).and_then(|known| known.key);
    let founding = own.founders.iter().find(|founder| founder.id == own.node_id);
    let places = [
        core.recorded(own.node_id).map(|member| member.address),
        founding.map(|founder| founder.address.clone()),
        Some(own_address.clone()),
    ];
    let places: BTreeSet<String> = places.into_iter().flatten().collect();
    for address in places {
        match core.wire.hello_proved(&address, own_address, key, CALL_LIMIT).await {
            Ok(hello) if hello.node_id == own.node_id && hello.instance != core.instance => {
                return Some(address);
            }
            _ => {}
        }
    }
    None
}

fn message(core: &Core, address: &str) -> String {
    let own = core.identity.load();
    format!(
        "{} (id {}) runs at {address} already, and this process at {} has the same data directory, or a copy of it: stop one of \
         them for good. A second node needs an empty directory and a name of its own",
        own.node_name, own.node_id, core.options.advertise
    )
}
