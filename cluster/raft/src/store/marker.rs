//! Updates the mark in a thread of its own: no write waits for it.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use tokio::sync::watch;

use super::mark::MarkFile;
use super::position::Positions;

/// Pause between updates: with its own duration the mark trails by less than a second.
const PAUSE: Duration = Duration::from_millis(500);

/// How long missing file descriptors are waited for; until then the mark trails.
const FILES_BACK_WITHIN: Duration = Duration::from_secs(30);

/// Why the mark cannot be written any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// For people.
    pub why: String,
    /// An outside cause, such as a full disk, that may go away.
    pub passes: bool,
}

/// The thread. It ends when dropped, without a last write.
pub(crate) struct Marker {
    file: MarkFile,
    positions: Arc<Positions>,
    broken: watch::Receiver<Option<Broken>>,
    thread: Option<JoinHandle<()>>,
}

impl Marker {
    /// Starts the thread.
    pub fn spawn(file: MarkFile, positions: Arc<Positions>) -> io::Result<Self> {
        let (report, broken) = watch::channel(None);
        let (own, moves) = (file.clone(), positions.clone());
        let thread = std::thread::Builder::new().name("mark".into()).spawn(move || {
            let mut since = None;
            while moves.wait_moved() {
                match own.update() {
                    Ok(()) => since = None,
                    Err(error)
                        if lacks_files(&error)
                            && *since.get_or_insert_with(Instant::now) + FILES_BACK_WITHIN
                                > Instant::now() =>
                    {
                        tracing::debug!(%error, "the mark beside the store waits for a file");
                        std::thread::sleep(PAUSE);
                        moves.repeat();
                        continue;
                    }
                    Err(error) => {
                        let passes = lacks_files(&error) || lacks_space(&error);
                        report.send_replace(Some(Broken { why: error.to_string(), passes }));
                        return;
                    }
                }
                moves.pause(PAUSE);
            }
        })?;
        Ok(Self { file, positions, broken, thread: Some(thread) })
    }

    /// The file that it keeps.
    pub fn file(&self) -> &MarkFile {
        &self.file
    }

    /// Resolves with the reason when the mark cannot be written any more.
    pub fn broken(&self) -> watch::Receiver<Option<Broken>> {
        self.broken.clone()
    }

    /// Ends the thread and writes what the disk holds at the end. Blocks.
    pub fn finish(mut self) -> io::Result<()> {
        self.end();
        self.file.update()
    }

    fn end(&mut self) {
        self.positions.close();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::warn!("the thread that writes the mark panicked");
        }
    }
}

fn lacks_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EMFILE | Errno::ENFILE))
}

fn lacks_space(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOSPC | Errno::EDQUOT))
}

impl Drop for Marker {
    fn drop(&mut self) {
        self.end();
    }
}
