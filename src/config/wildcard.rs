//! Patterns in which `*` stands for any run of characters, also for none. Nothing else has a meaning.

/// Whether a text is as a pattern says.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (between, last) = rest.rsplit_once('*').map_or((None, rest), |(between, last)| (Some(between), last));
    // Each as far to the front as it goes, which leaves the most for those behind it.
    for part in between.into_iter().flat_map(|between| between.split('*')) {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, text, is_so) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "a", true),
            ("a*", "xa", false),
            ("*a", "xa", true),
            ("*a", "ab", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("a**c", "abc", true),
            ("*b*", "abc", true),
            ("*b*b*", "abc", false),
            ("v1.*", "v1.2", true),
            ("v1.*", "v12", false),
            ("a*ä*c", "aäc", true),
            ("?", "x", false),
            ("[a]", "a", false),
        ] {
            assert_eq!(matches(pattern, text), is_so, "{pattern:?} {text:?}");
        }
    }
}
