//! Answers of nodes: read as what they should be, and printed.

use std::fmt::Display;

use reqwest::Url;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::exit_code::INTERNAL;
use super::failed::{Failed, finish, without_parameters};
use super::output::{self, Printed};
use super::target::Target;

/// What a node answered.
pub(super) struct Answer {
    from: Url,
    value: Value,
}

impl Answer {
    /// What came from this address.
    pub fn new(from: Url, value: Value) -> Self {
        Self { from, value }
    }

    /// The answer as what it should be.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failed> {
        T::deserialize(&self.value).map_err(|error| strange(&self.from, error))
    }

    /// A part of the answer.
    ///
    /// # Errors
    /// When it has none of this name.
    pub fn part(mut self, name: &str) -> Result<Self, Failed> {
        match self.value.get_mut(name) {
            Some(part) => Ok(Self { value: part.take(), from: self.from }),
            None => Err(strange(&self.from, format_args!("missing field `{name}`"))),
        }
    }

    /// The parts of a list.
    ///
    /// # Errors
    /// When it is no list.
    pub fn list(self) -> Result<Vec<Self>, Failed> {
        let Self { from, value } = self;
        match value {
            Value::Array(all) => {
                Ok(all.into_iter().map(|value| Self { from: from.clone(), value }).collect())
            }
            _ => Err(strange(&from, "it is no list")),
        }
    }

    /// Keeps those parts of this list alone.
    pub fn retain(&mut self, list: &str, is_kept: impl Fn(&Value) -> bool) {
        if let Some(all) = self.value.get_mut(list).and_then(Value::as_array_mut) {
            all.retain(is_kept);
        }
    }

    /// Of a list, keeps those parts alone of which this says so.
    pub fn keep(&mut self, wanted: impl IntoIterator<Item = bool>) {
        let mut wanted = wanted.into_iter();
        if let Value::Array(all) = &mut self.value {
            all.retain(|_| wanted.next().unwrap_or_default());
        }
    }

    /// A list, with those parts alone that have this text in this field.
    ///
    /// # Errors
    /// When it is no list.
    pub fn with(mut self, field: &str, text: &str) -> Result<Self, Failed> {
        match self.value.as_array_mut() {
            Some(all) => all.retain(|part| part[field] == text),
            None => return Err(strange(&self.from, "it is no list")),
        }
        Ok(self)
    }

    /// The answer as it came.
    pub fn into_value(self) -> Value {
        self.value
    }

    /// Prints it for programs, in one line.
    pub fn print_line(&self) -> Printed {
        output::write(&self.value.to_string())
    }

    /// Prints it for programs.
    fn print(&self) -> u8 {
        output::print(&format!("{:#}", self.value))
    }
}

/// An answer that is none of a node of this version.
pub(super) fn strange(from: &Url, why: impl Display) -> Failed {
    let (from, version) = (without_parameters(from), env!("CARGO_PKG_VERSION"));
    Failed::new(
        INTERNAL,
        format!(
            "{from} answers what acefleet {version} does not understand: {why}; is it a node, and of this version?"
        ),
    )
}

/// Prints an answer, as JSON or as text for people, or why there is none. Programs do not get what is no answer of a node either.
pub(super) fn show<T: DeserializeOwned>(
    answer: Result<Answer, Failed>,
    target: &Target,
    human: impl FnOnce(T) -> String,
) -> u8 {
    finish(answer.and_then(|answer| print(answer, target, human, Ok)))
}

/// The same of an answer of which programs get a part alone.
pub(super) fn show_part<T: DeserializeOwned>(
    answer: Result<Answer, Failed>,
    part: &str,
    target: &Target,
    human: impl FnOnce(T) -> String,
) -> u8 {
    finish(answer.and_then(|answer| print(answer, target, human, |answer| answer.part(part))))
}

fn print<T: DeserializeOwned>(
    answer: Answer,
    target: &Target,
    human: impl FnOnce(T) -> String,
    part: impl FnOnce(Answer) -> Result<Answer, Failed>,
) -> Result<u8, Failed> {
    let read = answer.read()?;
    Ok(if target.wants_json() { part(answer)?.print() } else { output::print(&human(read)) })
}
