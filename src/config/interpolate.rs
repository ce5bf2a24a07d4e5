//! Variables in the values of `.env` and compose files: `$NAME`, `${NAME}`, `${NAME:-other}` and the like.

use std::collections::{BTreeMap, BTreeSet};

/// Variables inside variables, at the most.
const DEPTH_MAX: usize = 8;
/// Longest value in bytes: variables that repeat others must not fill the memory.
const LONGEST: usize = 64 * 1024;

/// A text with its variables filled in.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// The text.
    pub text: String,
    /// Variables that nothing sets and for which it names nothing else. They are empty in it, as compose has it.
    pub unset: BTreeSet<String>,
}

/// Fills in the variables of a text.
///
/// # Errors
/// When it cannot be read, is too long then, or asks for a variable that is not set.
pub fn interpolate(text: &str, variables: &BTreeMap<String, String>) -> Result<Filled, String> {
    let mut unset = BTreeSet::new();
    let text = filled(text, variables, &mut unset, 0)?;
    Ok(Filled { text, unset })
}

fn filled(
    text: &str,
    variables: &BTreeMap<String, String>,
    unset: &mut BTreeSet<String>,
    depth: usize,
) -> Result<String, String> {
    if depth > DEPTH_MAX {
        return Err("variables are nested too deep".to_owned());
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let end = closing(inside).ok_or("a ${ is not closed")?;
            out.push_str(&value_of(&inside[..end], variables, unset, depth)?);
            rest = &inside[end + 1..];
        } else {
            let length = name_length(rest);
            match length {
                0 => out.push('$'),
                _ => out.push_str(&value_of(&rest[..length], variables, unset, depth)?),
            }
            rest = &rest[length..];
        }
        if out.len() > LONGEST {
            return Err("the value is too long".to_owned());
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the brace closes that is open at the beginning.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
        before = c;
    }
    None
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn value_of(
    inside: &str,
    variables: &BTreeMap<String, String>,
    unset: &mut BTreeSet<String>,
    depth: usize,
) -> Result<String, String> {
    let length = name_length(inside);
    let (name, modifier) = inside.split_at(length);
    if name.is_empty() {
        return Err("a ${ } names no variable".to_owned());
    }
    let set = variables.get(name);
    let filled_in = set.filter(|value| !value.is_empty());
    let mut other = |text: &str| filled(text, variables, unset, depth + 1);
    let kept = |value: Option<&String>| value.cloned();
    let missing = || Err(format!("it needs the variable {name}, which is not set"));
    match modifier {
        "" => {
            if set.is_none() {
                unset.insert(name.to_owned());
            }
            Ok(set.cloned().unwrap_or_default())
        }
        m if m.starts_with(":-") => kept(filled_in).map_or_else(|| other(&m[2..]), Ok),
        m if m.starts_with('-') => kept(set).map_or_else(|| other(&m[1..]), Ok),
        m if m.starts_with(":?") => kept(filled_in).map_or_else(missing, Ok),
        m if m.starts_with('?') => kept(set).map_or_else(missing, Ok),
        m if m.starts_with(":+") => filled_in.map_or_else(|| Ok(String::new()), |_| other(&m[2..])),
        m if m.starts_with('+') => set.map_or_else(|| Ok(String::new()), |_| other(&m[1..])),
        _ => Err(format!("what follows {name} in ${{ }} is unknown")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_as_compose_does() {
        let set = [("A", "1"), ("EMPTY", "")];
        let variables = set.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        for (text, expected) in [
            ("plain", "plain"),
            ("$A-${A}", "1-1"),
            ("$$A $", "$A $"),
            ("${B}${EMPTY}", ""),
            ("${B:-x}${EMPTY:-y}${EMPTY-z}", "xy"),
            ("${B-${A}}", "1"),
            ("${A:+yes}${EMPTY:+no}${EMPTY+set}", "yesset"),
            ("${A:?must}", "1"),
        ] {
            assert_eq!(interpolate(text, &variables).unwrap().text, expected, "{text}");
        }
        let unset = interpolate("$B${C}${D:-x}$EMPTY", &variables).unwrap().unset;
        assert_eq!(unset.into_iter().collect::<Vec<_>>(), ["B", "C"]);
        for text in ["${", "${A", "${}", "${A!}", "${B:?set it}", "${EMPTY:?set it}"] {
            assert!(interpolate(text, &variables).is_err(), "{text}");
        }
    }

    #[test]
    fn hostile_texts_end() {
        let deep = format!("{}x{}", "${A:-".repeat(5_000), "}".repeat(5_000));
        assert!(interpolate(&deep, &BTreeMap::new()).is_err());
        let variables = [("A".to_owned(), "x".repeat(10_000))].into();
        assert!(interpolate(&"$A".repeat(1_000), &variables).is_err());
    }
}
