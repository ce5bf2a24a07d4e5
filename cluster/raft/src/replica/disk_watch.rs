//! Watches the free space of the data directory, and stops the node before there is none.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::errors::Failure;
use crate::replica::core::Core;
use crate::store::disk::{DiskSpace, STOP_BYTES, SpaceLevel};
use crate::util::blocking;

/// How often a node looks.
const EVERY: Duration = Duration::from_secs(2);

/// The failure of a node whose storage or Raft core failed: lack of space, if there is none.
pub(crate) async fn or_full(core: &Core, why: String) -> Failure {
    let dir = core.options.data_dir.clone();
    let looked = {
        let dir = dir.clone();
        blocking(move || DiskSpace::of(&dir)).await
    };
    match looked {
        Ok(space) if space.level() == SpaceLevel::Full => Failure::Refused(space.full(&dir)),
        _ => Failure::Fatal(why),
    }
}

/// Runs until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    let dir = core.options.data_dir.clone();
    watch(&core, move || DiskSpace::of(&dir)).await;
}

async fn watch(core: &Core, look: impl Fn() -> io::Result<DiskSpace> + Clone + Send + 'static) {
    let mut warned = false;
    loop {
        let space = blocking(look.clone()).await;
        core.disk.set(space.as_ref().ok().copied());
        if let Ok(space) = space {
            let dir = &core.options.data_dir;
            match space.level() {
                SpaceLevel::Full => return core.fail(Failure::Refused(space.full(dir))),
                SpaceLevel::Low if !warned => tracing::warn!(
                    free_mib = space.free_bytes >> 20,
                    total_mib = space.total_bytes >> 20,
                    stops_below_mib = STOP_BYTES >> 20,
                    dir = %dir.display(),
                    "the disk of the data directory is nearly full: free some space, or this node will stop"
                ),
                SpaceLevel::Enough if warned => {
                    tracing::info!("the disk of the data directory has space again")
                }
                SpaceLevel::Low | SpaceLevel::Enough => {}
            }
            warned = space.is_low();
        }
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::single_node;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_nearly_full_disk_is_a_warning_and_a_full_one_stops_the_node() {
        let dir = tempfile::tempdir().unwrap();
        let cluster = single_node(dir.path()).await;
        let low = DiskSpace { free_bytes: 100 * MIB, total_bytes: GIB };
        let looks = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counted = looks.clone();
        let look = move || {
            let nth = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Ok(if nth == 0 { low } else { DiskSpace { free_bytes: MIB, ..low } })
        };
        watch(cluster.core(), look).await;
        assert_eq!(looks.load(std::sync::atomic::Ordering::SeqCst), 2, "it stopped while there was space");
        let failure = cluster.failed().await;
        assert_eq!(failure.exit_code(), 75);
        assert!(failure.to_string().contains("has 1 MiB free"), "{failure}");
        cluster.shutdown().await;
    }
}
