//! Measures how long the disk needs to make a small write durable.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const SAMPLES: usize = 16;

/// The slowest of a few small synced writes, which stands for the 99th percentile. Blocks.
pub(crate) fn measure(dir: &Path) -> io::Result<Duration> {
    let path = dir.join("fsync-probe.tmp");
    let mut file = File::create(&path)?;
    let mut slowest = Duration::ZERO;
    for _ in 0..SAMPLES {
        let begun = Instant::now();
        file.write_all(&[0x5a; 512])?;
        file.sync_data()?;
        slowest = slowest.max(begun.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(slowest)
}
