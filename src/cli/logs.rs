//! Log lines for standard error, written by their own thread. The rest of the program never waits for the reader of a pipe and never
//! fails when it goes away. Lines that do not fit into the queue are dropped and counted.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use acefleet::own_log::OwnLog;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of queued lines. As many again may be on their way to the reader.
const WAITING_MAX: usize = 1 << 20;
/// Pause before another attempt when the reader takes nothing and the system does not report when it will.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Handle on the queue of lines; clones share it.
#[derive(Clone)]
pub struct Logs {
    shared: Arc<Shared>,
    kept: OwnLog,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    /// The thread is writing lines that it took.
    writing: bool,
    dropped: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic elsewhere leaves bytes and a number that are still consistent.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines and takes them all. Returns how many were dropped before them.
    fn take(&self, spare: &mut Vec<u8>) -> u64 {
        let mut queue = self.lock();
        queue.writing = false;
        self.changed.notify_all();
        while queue.waiting.is_empty() {
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.writing = true;
        std::mem::swap(&mut queue.waiting, spare);
        std::mem::take(&mut queue.dropped)
    }
}

impl Logs {
    /// Starts the thread that writes to `out`. The newest lines are kept, too.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn start(out: impl Write + Send + 'static, kept: OwnLog) -> io::Result<Self> {
        let logs = Self { shared: Arc::default(), kept };
        let shared = Arc::clone(&logs.shared);
        thread::Builder::new().name("logs".to_owned()).spawn(move || write_all(&shared, out))?;
        Ok(logs)
    }

    /// Adds a line, or drops it when the queue is full. Never waits.
    fn push(&self, line: &[u8]) {
        self.kept.push(line);
        let mut queue = self.shared.lock();
        if queue.waiting.len() + line.len() > WAITING_MAX {
            queue.dropped += 1;
            return;
        }
        queue.waiting.extend_from_slice(line);
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// One line of the program itself.
    pub fn complain(&self, line: &str) {
        self.push(format!("acefleet: {}\n", line.replace('\n', " ")).as_bytes());
    }

    /// Waits until every line has been written, for at most `limit`.
    pub fn flush(&self, limit: Duration) {
        let left = |queue: &mut Queue| queue.writing || !queue.waiting.is_empty();
        // The process ends, whether or not all lines were written.
        drop(self.shared.changed.wait_timeout_while(self.shared.lock(), limit, left));
    }
}

/// Writes lines until the process ends.
fn write_all(shared: &Shared, mut out: impl Write) {
    let mut lines = Vec::new();
    loop {
        lines.clear();
        let dropped = shared.take(&mut lines);
        write_lines(&mut out, &lines);
        if dropped > 0 {
            tracing::warn!(
                lines = dropped,
                "standard error took nothing for a while: log lines were dropped"
            );
        }
    }
}

/// Writes as much as the reader takes. A reader that is gone cannot be reported anywhere.
fn write_lines(out: &mut impl Write, mut lines: &[u8]) {
    while !lines.is_empty() {
        match out.write(lines) {
            Ok(0) => return,
            Ok(written) => lines = &lines[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN_AFTER),
            Err(_) => return,
        }
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// The subscriber writes each line with one call.
impl Write for &Logs {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;
    use std::time::Instant;

    use super::*;

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let (mut reader, writer) = io::pipe().unwrap();
        let logs = Logs::start(writer, OwnLog::default()).unwrap();
        logs.complain("one\ntwo");
        logs.complain("three");
        let expected = "acefleet: one two\nacefleet: three\n";
        let mut text = vec![0; expected.len()];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn a_reader_that_takes_nothing_costs_lines_but_no_time() {
        let (reader, writer) = io::pipe().unwrap();
        let logs = Logs::start(writer, OwnLog::default()).unwrap();
        let began = Instant::now();
        let line = "x".repeat(1_000);
        for _ in 0..10_000 {
            logs.complain(&line);
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        let queue = logs.shared.lock();
        assert!(queue.waiting.len() <= WAITING_MAX && queue.dropped > 7_000, "{}", queue.dropped);
        drop(queue);
        logs.flush(Duration::from_millis(50));
        // Further lines go nowhere, without a failure.
        drop(reader);
        logs.flush(Duration::from_secs(20));
        let queue = logs.shared.lock();
        assert!(queue.waiting.is_empty() && !queue.writing);
    }
}
