//! Logs as a Docker daemon sends them: how they are asked for, and lines of its messages. No IO.

use bollard::container::LogOutput;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use jiff::Timestamp;

use crate::peers::log::LINE_MAX;
use crate::peers::{LogLine, LogStream};

/// Which part of a log is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// The newest lines alone: so many.
    pub tail: Option<u32>,
    /// From then on, in nanoseconds. Docker is asked for whole seconds, so a second's earlier lines come along.
    pub since_ns: u64,
    /// Later lines, too, as they come.
    pub follow: bool,
}

/// The question for a part.
pub(super) fn options(part: Part) -> LogsOptions {
    let tail = part.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    let since = i32::try_from(part.since_ns / 1_000_000_000).unwrap_or(i32::MAX);
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true);
    options.since(since).tail(&tail).follow(part.follow).build()
}

/// The lines of one message. Docker makes several messages of a line that is longer than 16 KiB.
pub(super) fn lines(message: LogOutput) -> Vec<LogLine> {
    let stream = match message {
        LogOutput::StdErr { .. } => LogStream::Stderr,
        LogOutput::StdOut { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. } => LogStream::Stdout,
    };
    let bytes = message.into_bytes();
    let lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes).split(|byte| *byte == b'\n');
    lines.map(|line| stamped(stream, line)).collect()
}

/// A line behind its time stamp; one without a stamp gets none.
fn stamped(stream: LogStream, line: &[u8]) -> LogLine {
    let blank = line.iter().position(|byte| *byte == b' ');
    let (stamp, text) = blank.map_or((line, &[][..]), |at| (&line[..at], &line[at + 1..]));
    let at_ns = std::str::from_utf8(stamp).ok().and_then(|stamp| stamp.parse::<Timestamp>().ok());
    let at_ns = at_ns.and_then(|at| u64::try_from(at.as_nanosecond()).ok());
    let text = if at_ns.is_some() { text } else { line };
    let text = String::from_utf8_lossy(&text[..text.len().min(LINE_MAX)]).into_owned();
    LogLine { at_ns: at_ns.unwrap_or(0), stream, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<LogLine> {
        lines(LogOutput::StdErr { message: text.to_owned().into() })
    }

    #[test]
    fn messages_are_read_as_docker_stamps_them() {
        let line = |at_ns, text: &str| LogLine { at_ns, stream: LogStream::Stderr, text: text.to_owned() };
        let at = 1_759_427_980_118_273_645;
        assert_eq!(read("2025-10-02T17:59:40.118273645Z one two\n"), [line(at, "one two")]);
        assert_eq!(read("2025-10-02T17:59:40.118273645Z \n"), [line(at, "")]);
        assert_eq!(read("2025-10-02T17:59:40.118273645Z half"), [line(at, "half")], "a part of a long line");
        assert_eq!(read("no stamp\n"), [line(0, "no stamp")]);
        let both = read("2025-10-02T17:59:40.118273645Z a\n2025-10-02T19:59:40.118273646+02:00 b\n");
        assert_eq!(both, [line(at, "a"), line(at + 1, "b")]);
        let long = read(&format!("2025-10-02T17:59:40Z {}\n", "x".repeat(LINE_MAX * 2)));
        assert_eq!(long[0].text.len(), LINE_MAX);
        assert_eq!(lines(LogOutput::Console { message: "x".into() })[0].stream, LogStream::Stdout);
        assert_eq!(lines(LogOutput::StdOut { message: vec![0xff].into() })[0].text, "\u{fffd}");
    }

    #[test]
    fn whole_seconds_are_asked_for() {
        let part = Part { tail: Some(7), since_ns: 1_759_427_980_999_999_999, follow: true };
        let asked = options(part);
        assert_eq!((asked.since, asked.tail.as_str(), asked.follow), (1_759_427_980, "7", true));
        assert_eq!(options(Part { since_ns: u64::MAX, ..Part::default() }).since, i32::MAX);
        assert_eq!(options(Part::default()).tail, "all");
    }
}
