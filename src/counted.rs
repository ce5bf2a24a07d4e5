//! Numbers of things, in words.

/// So many of these: `1 engine`, `2 engines`.
#[must_use]
pub fn counted(number: u64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|number| counted(number, "engine")), ["0 engines", "1 engine", "2 engines"]);
    }
}
