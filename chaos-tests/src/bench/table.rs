//! The table that `make bench` prints.

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What is measured.
    pub work: String,
    /// Our figure, with its unit.
    pub ours: String,
    /// The figure of what it is measured against.
    pub beside: String,
    /// Median of the pairwise ratios, ours to theirs.
    pub ratio: Option<f64>,
    /// The goal in words.
    pub goal: String,
    /// Whether it was met; `None` for lines that only inform.
    pub met: Option<bool>,
}

impl Row {
    /// A line that only informs so far.
    pub fn new(work: impl Into<String>, ours: impl Into<String>) -> Self {
        Self {
            work: work.into(),
            ours: ours.into(),
            beside: "–".to_owned(),
            ratio: None,
            goal: "–".to_owned(),
            met: None,
        }
    }

    /// What it is measured against.
    pub fn beside(mut self, beside: impl Into<String>) -> Self {
        self.beside = beside.into();
        self
    }

    /// Ours to theirs.
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = Some(ratio);
        self
    }

    /// A goal, and whether it was met.
    pub fn goal(mut self, goal: impl Into<String>, met: bool) -> Self {
        self.goal = goal.into();
        self.met = Some(met);
        self
    }

    /// The line as it is printed.
    pub fn line(&self) -> String {
        let ratio = self.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        let verdict = match self.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "–",
        };
        cells(&[&self.work, &self.ours, &self.beside, &ratio, &self.goal, verdict])
    }
}

/// The first two lines of the table; it is Markdown, so that it can be pasted into a document.
pub fn head() -> String {
    let titles = cells(&["work", "ours", "beside", "ratio", "goal", "verdict"]);
    let rules = WIDTHS.map(|width| "-".repeat(width));
    format!("{titles}\n| {} |", rules.join(" | "))
}

const WIDTHS: [usize; 6] = [52, 32, 36, 5, 22, 7];

fn cells(texts: &[&str; 6]) -> String {
    let padded: Vec<String> =
        texts.iter().zip(WIDTHS).map(|(text, width)| format!("{text:<width$}")).collect();
    format!("| {} |", padded.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_columns_of_the_head() {
        let row = Row::new("a", "1 ms").beside("2 ms").ratio(0.5).goal("≤ 1", true);
        let line = row.line();
        assert!(line.contains("| 0.50") && line.contains("| met"), "{line}");
        assert!(Row::new("a", "1").goal("2", false).line().contains("MISSED"));
        let columns = |line: &str| line.matches('|').count();
        let head = head();
        assert!(head.lines().all(|of_head| columns(of_head) == columns(&line)), "{head}");
        assert_eq!(head.lines().next().map(|line| line.chars().count()), Some(line.chars().count()));
    }
}
