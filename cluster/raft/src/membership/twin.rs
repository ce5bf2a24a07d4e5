//! Two processes with one identity: the data directory was copied, or two hosts share it on a file system without locks. The
//! cluster would take both for one member, which votes twice. The one that started later stops.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::errors::Failure;
use crate::replica::core::Core;
use crate::transport::CALL_LIMIT;

/// How often a node looks whether it is alone: soon after its start, and later, when a cut between the two may have ended.
const EVERY: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];
/// How often it looks soon after its start.
const SOON: usize = 15;
/// A process that is just ending still answers: it is asked again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// Looks until the node stops. Whoever answers under this node's id, where the cluster or the settings say that this node is,
/// and is another process, was there before.
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
    let founding = own.founders.iter().find(|founder| founder.id == own.node_id);
    let places = [
        core.recorded(own.node_id).map(|member| member.address),
        founding.map(|founder| founder.address.clone()),
        Some(own_address.clone()),
    ];
    let places: BTreeSet<String> = places.into_iter().flatten().collect();
    for address in places {
        match core.wire.hello_once(&address, own_address, CALL_LIMIT).await {
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
