//! Problems and warnings, as lines for people. No line ever holds a secret.

use std::fmt;

use super::layer::Source;

/// A problem or a warning, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The setting or file that it is about.
    pub setting: String,
    /// The line; it names the setting.
    pub line: String,
}

impl Finding {
    /// A finding; line breaks and control characters in `line` are escaped.
    #[must_use]
    pub fn new(setting: impl Into<String>, line: impl AsRef<str>) -> Self {
        let escaped = line.as_ref().chars().fold(String::new(), |mut text, c| {
            if c.is_control() {
                text.extend(c.escape_default())
            } else {
                text.push(c)
            }
            text
        });
        Self { setting: setting.into(), line: escaped }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// One setting as `config show` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Name of the setting.
    pub name: &'static str,
    /// Its value as text; masked when it is a secret.
    pub value: String,
    /// Where it comes from.
    pub source: Source,
}

/// All problems, at least one, which keep the node from starting.
#[derive(Clone, Debug)]
pub struct ConfigErrors {
    /// What has to be corrected.
    pub problems: Vec<Finding>,
    /// All warnings.
    pub warnings: Vec<Finding>,
    /// Every setting as it was found, wrong ones included.
    pub shown: Vec<Shown>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Problems and warnings while they are collected.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What keeps the node from starting.
    pub problems: Vec<Finding>,
    /// What does not.
    pub warnings: Vec<Finding>,
}

impl Findings {
    /// Notes a problem.
    pub fn problem(&mut self, setting: &str, line: impl AsRef<str>) {
        self.problems.push(Finding::new(setting, line));
    }

    /// Notes a warning.
    pub fn warning(&mut self, setting: &str, line: impl AsRef<str>) {
        self.warnings.push(Finding::new(setting, line));
    }
}
