//! Lives of players with random faults, several at once. When all are over, nothing is left of them on any node: no port, reservation,
//! stream, mark, promise or container.
//!
//! | variable | meaning |
//! |---|---|
//! | `TEST_LIFE_CYCLES` | number of lives |
//! | `TEST_LIFE_SEED` | the seed, which is printed, to have the same faults again |

mod draw;
mod harm;
mod leaks;
mod life;

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{conclude, turn};
use acefleet_chaos::hosts::{BedOptions, TestHosts};
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use tokio::time::Instant;

use draw::Fault;
use life::World;

/// Lives in the everyday check: each fault once, without those that take minutes to be over.
const LIVES: usize = draw::FAULTS.len();
const LONG: [Fault; 2] = [Fault::Away, Fault::HostHung];
/// So many at a time.
const AT_ONCE: usize = 8;
/// Engines that the floor keeps.
const FLOOR: usize = 3;
/// Engines that there may be.
const MOST: usize = 16;
/// Host ports of engines: few, so that a leak of any shows.
const PORTS: RangeInclusive<u16> = 19_000..=19_023;

fn number(variable: &str) -> Result<Option<u64>> {
    let Ok(text) = std::env::var(variable) else { return Ok(None) };
    text.parse().map(Some).with_context(|| format!("{variable} is no number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_with_random_faults_leave_nothing_behind() -> Result<()> {
    let _turn = turn().await?;
    let asked = number("TEST_LIFE_CYCLES")?.map(|lives| lives as usize);
    let seed = number("TEST_LIFE_SEED")?.unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0));
    let mut faults = draw::faults(seed, asked.unwrap_or(LIVES));
    faults.retain(|fault| asked.is_some() || !LONG.contains(fault));
    let lives = faults.len();
    eprintln!("{lives} lives; TEST_LIFE_SEED={seed} has the same faults again");
    let options = BedOptions::new(3)
        .env("AUTO_DELETE", "true")
        .env("ENGINE_GRACE_PERIOD_S", "5")
        .env("MIN_REPLICAS", &FLOOR.to_string())
        .env("MAX_REPLICAS", &MOST.to_string())
        .env("PORT_RANGE_HOST", &format!("{}-{}", PORTS.start(), PORTS.end()))
        // Engines that are broken on purpose open the breaker again and again.
        .env("CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S", "10");
    conclude(TestHosts::start(options).await?, async |bed| {
        let world = World::new(bed);
        let begun = Instant::now();
        let next = AtomicUsize::new(0);
        let player = async || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(fault) = faults.get(number) else { return anyhow::Ok(()) };
                world.live(seed, number, *fault).await?;
            }
        };
        try_join_all((0..AT_ONCE).map(|_| player())).await?;
        let lived = begun.elapsed();
        let cleared = leaks::expect_none(&world).await;
        show(&world, &faults)?;
        let cleared = cleared?;
        leaks::expect_all_to_be_had(bed).await?;
        eprintln!(
            "{lives} lives in {:.0} s, {AT_ONCE} at once; nothing was left of them {:.0} s later",
            lived.as_secs_f64(),
            cleared.as_secs_f64()
        );
        costs(bed, lives)
    })
    .await
}

/// Prints what happened; an error when a fault that was drawn was not made.
fn show(world: &World, faults: &[Fault]) -> Result<()> {
    let mut drawn: BTreeMap<Fault, usize> = BTreeMap::new();
    for fault in faults {
        *drawn.entry(*fault).or_default() += 1;
    }
    let seen = world.seen();
    for (fault, drawn) in &drawn {
        let made = seen.made.get(fault).copied().unwrap_or_default();
        eprintln!("{:13} drawn {drawn:4}  made {made:4}", format!("{fault:?}"));
        ensure!(made == *drawn, "{fault:?} was drawn {drawn} times and made {made} times");
    }
    eprintln!("{} streams were taken in; {} events found no node", seen.started.len(), seen.untaken);
    for (why, times) in &seen.anew {
        eprintln!("begun anew {times:4} times: {why}");
    }
    Ok(())
}

/// Prints what the nodes cost.
fn costs(bed: &TestHosts, lives: usize) -> Result<()> {
    for node in bed.nodes() {
        let pid = node.process().expect_running()?;
        let log = node.process().log()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
        eprintln!(
            "{}: {} bytes of log, {:.1} lines a life; {} files open; {resident}",
            node.name(),
            log.len(),
            log.lines().count() as f64 / lives as f64,
            fs::read_dir(format!("/proc/{pid}/fd"))?.count()
        );
    }
    Ok(())
}
