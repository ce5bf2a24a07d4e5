//! Text of others that is written to terminals, logs and pages: what containers, engines and Gluetun say. No IO.

/// Format characters: they have no shape of their own, and some turn the order of the characters around them.
const FORMATS: [(char, char); 9] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{e0000}', '\u{e007f}'),
];

/// False for characters that control a terminal, or change how others are shown.
pub(super) fn is_plain(c: char) -> bool {
    !c.is_control() && !FORMATS.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// The first `most` characters of a text, without those that are not plain.
pub(super) fn shortened(text: &str, most: usize) -> String {
    text.chars().filter(|c| is_plain(*c)).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_there() {
        let hostile = "a\u{202e}b\u{1b}[31m\u{200b}c\u{2066}d\u{feff}\u{e0041}";
        assert_eq!(shortened(hostile, 64), "ab[31mcd");
        assert_eq!(shortened("dl 日本 é e\u{301} ✓", 64), "dl 日本 é e\u{301} ✓");
        assert_eq!(shortened(hostile, 2), "ab");
    }
}
