//! Keeps the mark close behind the store, in a thread of its own: no write waits for it.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::mark::MarkFile;
use super::position::Positions;

/// Rest between two updates. With the time that one takes, the mark trails by less than a second.
const PAUSE: Duration = Duration::from_millis(500);

/// The thread. It ends when this is dropped; what it had not written by then is not written.
pub(crate) struct Marker {
    file: MarkFile,
    positions: Arc<Positions>,
    broken: watch::Receiver<Option<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Marker {
    /// Starts the thread.
    pub fn spawn(file: MarkFile, positions: Arc<Positions>) -> io::Result<Self> {
        let (report, broken) = watch::channel(None);
        let (own, moves) = (file.clone(), positions.clone());
        let thread = std::thread::Builder::new().name("mark".into()).spawn(move || {
            while moves.wait_moved() {
                if let Err(error) = own.update() {
                    report.send_replace(Some(error.to_string()));
                    return;
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
    pub fn broken(&self) -> watch::Receiver<Option<String>> {
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

impl Drop for Marker {
    fn drop(&mut self) {
        self.end();
    }
}
