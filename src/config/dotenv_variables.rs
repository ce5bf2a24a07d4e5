//! Which `$` of a `.env` file begin a variable: those outside single quotes and comments, and not behind a backslash. The reader of lines
//! would fill them in without a limit, so they are hidden from it and filled in here.

use std::collections::BTreeMap;

use super::interpolate::{Filled, interpolate};

/// Stands for a `$` that begins a variable. It is for private use, so no text has it by chance.
const MARK: char = '\u{F0024}';

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Nothing,
    Comment,
    Single,
    Double,
}

/// The text with these `$` hidden; `None` when the text has the character that stands for them.
pub(super) fn hidden(text: &str) -> Option<String> {
    if text.contains(MARK) {
        return None;
    }
    let (mut within, mut before) = (Within::Nothing, '\n');
    let hide = |c: char| {
        let is_escaped = before == '\\' && within != Within::Single;
        let shown = if c == '$' && !is_escaped && matches!(within, Within::Nothing | Within::Double) {
            MARK
        } else {
            c
        };
        within = match (within, c) {
            (Within::Comment, '\n') => Within::Nothing,
            (Within::Nothing, '#') if before.is_whitespace() => Within::Comment,
            (Within::Nothing, '\'') if !is_escaped => Within::Single,
            (Within::Nothing, '"') if !is_escaped => Within::Double,
            (Within::Single, '\'') => Within::Nothing,
            (Within::Double, '"') if !is_escaped => Within::Nothing,
            (same, _) => same,
        };
        // Of two backslashes, the second escapes nothing.
        before = if c == '\\' && is_escaped { ' ' } else { c };
        shown
    };
    Some(text.chars().map(hide).collect())
}

/// A value as the file has it, for messages and names.
pub(super) fn shown(value: &str) -> String {
    value.replace(MARK, "$")
}

/// A value with its variables filled in.
///
/// # Errors
/// When it cannot be read, is too long, or asks for a variable that is not set.
pub(super) fn filled(value: &str, variables: &BTreeMap<String, String>) -> Result<Filled, String> {
    if !value.contains(MARK) {
        return Ok(Filled { text: value.to_owned(), ..Filled::default() });
    }
    interpolate(&value.replace('$', "$$").replace(MARK, "$"), variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_a_variable_is_hidden() {
        for (text, marked) in [
            ("A=$B", "A=*B"),
            ("A='$B' # it's $C\nD=\"$E\"", "A='$B' # it's $C\nD=\"*E\""),
            ("A=\\$B\\\\$C", "A=\\$B\\\\*C"),
            ("A=\"\\\"$B\"", "A=\"\\\"*B\""),
            ("A=x#$B", "A=x#*B"),
            ("# don't\nA=$B", "# don't\nA=*B"),
        ] {
            assert_eq!(hidden(text).unwrap().replace(MARK, "*"), marked, "{text}");
        }
        assert_eq!(hidden("\u{F0024}"), None);
    }
}
