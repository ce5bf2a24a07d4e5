//! Which `$` of a `.env` file begin a variable: those outside single quotes and comments, and not behind a backslash. The reader of lines
//! would fill them in without a limit, and from the environment. So each `$` is hidden from it, and those are filled in here.

use std::collections::BTreeMap;

use super::interpolate::{Filled, interpolate};

/// Stands for a `$` that begins a variable. It is for private use, so no text has it by chance.
const MARK: char = '\u{F0024}';
/// Stands for any other `$`.
const LITERAL: char = '\u{F0025}';

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Nothing,
    Comment,
    Single,
    Double,
}

/// The text without a `$`; `None` when it has one of the characters that stand for them.
pub(super) fn hidden(text: &str) -> Option<String> {
    if text.contains([MARK, LITERAL]) {
        return None;
    }
    let (mut within, mut before) = (Within::Nothing, '\n');
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let is_escaped = before == '\\' && matches!(within, Within::Nothing | Within::Double);
        match (c, within) {
            ('$', Within::Nothing | Within::Double) if is_escaped => {
                // The backslash has done what it is for.
                out.pop();
                out.push(LITERAL);
            }
            ('$', Within::Nothing | Within::Double) => out.push(MARK),
            ('$', Within::Single | Within::Comment) => out.push(LITERAL),
            _ => out.push(c),
        }
        within = match (within, c) {
            (Within::Comment, '\n') => Within::Nothing,
            (Within::Nothing, '#') if matches!(before, ' ' | '\t' | '\n') => Within::Comment,
            (Within::Nothing, '\'') if !is_escaped => Within::Single,
            (Within::Nothing, '"') if !is_escaped => Within::Double,
            (Within::Single, '\'') => Within::Nothing,
            (Within::Double, '"') if !is_escaped => Within::Nothing,
            (same, _) => same,
        };
        // What was escaped is an ordinary character.
        before = if is_escaped { 'x' } else { c };
    }
    Some(out)
}

/// A value as the file has it, for messages and names.
pub(super) fn shown(value: &str) -> String {
    value.replace([MARK, LITERAL], "$")
}

/// A value with its variables filled in.
///
/// # Errors
/// When it cannot be read, is too long, or asks for a variable that is not set.
pub(super) fn filled(value: &str, variables: &BTreeMap<String, String>) -> Result<Filled, String> {
    if !value.contains(MARK) {
        return Ok(Filled { text: shown(value), ..Filled::default() });
    }
    let mut text = String::with_capacity(value.len());
    let mut rest = value.chars().peekable();
    while let Some(c) = rest.next() {
        let begins = rest.peek().is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, '_' | '{'));
        match c {
            MARK if begins => text.push('$'),
            MARK | LITERAL => text.push_str("$$"),
            _ => text.push(c),
        }
    }
    interpolate(&text, variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_a_variable_is_hidden() {
        for (text, marked) in [
            ("A=$B", "A=*B"),
            ("A='$B' # it's $C\nD=\"$E\"", "A='!B' # it's !C\nD=\"*E\""),
            ("A=x\\\\#$B", "A=x\\\\#*B"),
            ("A=x\u{a0}#$B", "A=x\u{a0}#*B"),
            ("A=\\$B\\\\$C", "A=!B\\\\*C"),
            ("A=\"\\\"$B\"", "A=\"\\\"*B\""),
            ("A=x#$B", "A=x#*B"),
            ("# don't\nA=$B", "# don't\nA=*B"),
        ] {
            assert_eq!(hidden(text).unwrap().replace(MARK, "*").replace(LITERAL, "!"), marked, "{text}");
        }
        assert_eq!((hidden("\u{F0024}"), hidden("\u{F0025}")), (None, None));
    }

    #[test]
    fn a_dollar_before_another_one_begins_nothing() {
        let variables = [("B".to_owned(), "b".to_owned())].into();
        let read = |text: &str| filled(&hidden(text).unwrap(), &variables).unwrap().text;
        for (text, value) in [("$\\$B", "$$B"), ("$$B", "$b"), ("$B$", "b$"), ("5$", "5$"), ("${B}\\$", "b$")]
        {
            assert_eq!(read(text), value, "{text}");
        }
    }
}
