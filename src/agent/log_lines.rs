//! Lines of logs: their order, what is shown of them, and how much. No IO.

use crate::agent::legible::coloured;
use crate::peers::LogLine;

/// Gives lines positions that grow. Docker stamps standard output and standard error apart, so neighbours may have the same time, or the
/// later one the earlier time: such a line comes a nanosecond behind the one before it. Reading the same lines again gives the same
/// positions.
#[derive(Debug, Default)]
pub(super) struct Order {
    last: u64,
}

impl Order {
    /// The line at its position.
    pub fn position(&mut self, line: LogLine) -> LogLine {
        self.last = line.at_ns.max(self.last.saturating_add(1));
        LogLine { at_ns: self.last, ..line }
    }

    /// The line as it is shown, at its position.
    pub fn place(&mut self, line: LogLine) -> LogLine {
        let line = self.position(line);
        LogLine { text: coloured(&line.text), ..line }
    }
}

/// Lines that harm no terminal, in order. Colours are kept.
pub(super) fn legible(lines: Vec<LogLine>) -> Vec<LogLine> {
    let mut order = Order::default();
    lines.into_iter().map(|line| order.place(line)).collect()
}

/// Bytes that lines take.
pub(super) fn bytes_of(lines: &[LogLine]) -> usize {
    lines.iter().map(bytes).sum()
}

/// Bytes that one line takes.
pub(super) fn bytes(line: &LogLine) -> usize {
    size_of::<LogLine>() + line.text.len()
}

/// Drops the oldest lines until the others fit. The newest one stays, whatever its length.
pub(super) fn keep_newest(lines: &mut Vec<LogLine>, most: usize) {
    let mut taken = 0;
    let fits = |line: &&LogLine| {
        taken += bytes(line);
        taken <= most
    };
    let kept = lines.iter().rev().take_while(fits).count().max(1);
    lines.drain(..lines.len().saturating_sub(kept));
}

/// Drops the newest lines until the others fit. The oldest one stays, whatever its length.
pub(super) fn keep_oldest(lines: &mut Vec<LogLine>, most: usize) {
    let mut taken = 0;
    let fits = |line: &&LogLine| {
        taken += bytes(line);
        taken <= most
    };
    let kept = lines.iter().take_while(fits).count().max(1);
    lines.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at_ns: u64) -> LogLine {
        LogLine { at_ns, text: format!("{at_ns}"), ..LogLine::default() }
    }

    #[test]
    fn positions_grow_and_are_the_same_when_lines_are_read_again() {
        let stamps = [5, 5, 4, 9, 9, 0, 20];
        let placed = |from: usize| -> Vec<u64> {
            let lines = stamps[from..].iter().map(|at| line(*at)).collect();
            legible(lines).iter().map(|line| line.at_ns).collect()
        };
        assert_eq!(placed(0), [5, 6, 7, 9, 10, 11, 20]);
        assert_eq!(placed(3), [9, 10, 11, 20], "from the middle");
    }

    #[test]
    fn the_wanted_end_stays_within_the_bytes() {
        let all: Vec<LogLine> = (10..20).map(line).collect();
        let most = 3 * bytes(&all[0]);
        let times = |lines: &[LogLine]| lines.iter().map(|line| line.at_ns).collect::<Vec<_>>();
        let (mut newest, mut oldest) = (all.clone(), all.clone());
        keep_newest(&mut newest, most);
        keep_oldest(&mut oldest, most);
        assert_eq!((times(&newest), times(&oldest)), (vec![17, 18, 19], vec![10, 11, 12]));
        keep_newest(&mut newest, 1);
        keep_oldest(&mut oldest, 1);
        assert_eq!((times(&newest), times(&oldest)), (vec![19], vec![10]));
        let mut none = Vec::new();
        keep_newest(&mut none, 1);
        keep_oldest(&mut none, 1);
        assert_eq!(none, []);
    }
}
