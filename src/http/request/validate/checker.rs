//! Collects the violations of a request.

use serde_json::Value;

use crate::http::answer::problem::{Problem, Violation};

/// Violations that are listed at the most.
pub(super) const VIOLATIONS_MAX: usize = 100;
/// Longest input that is sent back, in bytes.
const ECHO_MAX: usize = 2_048;

/// Collects violations.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    pub(super) found: Vec<Violation>,
}

impl Checker {
    /// Notes a violation.
    pub fn add(
        &mut self,
        kind: &str,
        loc: &[Value],
        msg: impl Into<String>,
        input: &Value,
        ctx: Option<Value>,
    ) {
        if self.found.len() < VIOLATIONS_MAX {
            let violation = Violation {
                kind: kind.to_owned(),
                loc: loc.to_vec(),
                msg: msg.into(),
                input: echo(input),
                ctx,
            };
            self.found.push(violation);
        }
    }

    /// Whether nothing is wrong so far.
    pub fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// Ends the check.
    ///
    /// # Errors
    /// 422 if there are violations.
    pub fn finish(self) -> Result<(), Problem> {
        match self.found.is_empty() {
            true => Ok(()),
            false => Err(self.problem()),
        }
    }

    /// A 422 with the violations.
    pub fn problem(self) -> Problem {
        Problem::invalid(self.found)
    }
}

fn echo(input: &Value) -> Value {
    let long = match input {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.len() > ECHO_MAX,
        Value::Array(_) | Value::Object(_) => input.to_string().len() > ECHO_MAX,
    };
    if long { Value::Null } else { input.clone() }
}
