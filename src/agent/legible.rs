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

/// Longest sequence that sets a colour, in characters.
const LONGEST_COLOUR: usize = 64;
const ESCAPE: char = '\u{1b}';

/// A line as it is shown where colours are: without all that is not plain but the sequences that set them. A tab becomes a blank.
pub(super) fn coloured(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if c == ESCAPE {
            let (sequence, behind) = rest.split_at(sequence_len(rest));
            if sequence.starts_with("\u{1b}[") && sequence.ends_with('m') && sequence.len() <= LONGEST_COLOUR
            {
                text.push_str(sequence);
            }
            rest = behind;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '\t' => text.push(' '),
            c if is_plain(c) => text.push(c),
            _ => {}
        }
    }
    text
}

/// Bytes of the escape sequence with which a text begins.
fn sequence_len(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    let end = |found: Option<(usize, char)>| found.map_or(text.len(), |(at, c)| at + c.len_utf8());
    match chars.next() {
        // A control sequence: parameters, then one final character.
        Some((_, '[')) => match chars.find(|(_, c)| !matches!(c, ' '..='?')) {
            Some((at, c)) if !matches!(c, '@'..='~') => at,
            found => end(found),
        },
        // Titles, links and the like, up to a bell or the string terminator.
        Some((_, ']' | 'P' | 'X' | '^' | '_')) => {
            let mut before = ' ';
            end(chars.find(|(_, c)| {
                let ends = *c == '\u{7}' || before == ESCAPE && *c == '\\';
                before = *c;
                ends
            }))
        }
        Some((_, ' '..='/')) => end(chars.find(|(_, c)| !matches!(c, ' '..='/'))),
        other => end(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::log::without_colours;

    #[test]
    fn what_is_shown_is_what_is_there() {
        let hostile = "a\u{202e}b\u{1b}[31m\u{200b}c\u{2066}d\u{feff}\u{e0041}";
        assert_eq!(shortened(hostile, 64), "ab[31mcd");
        assert_eq!(shortened("dl 日本 é e\u{301} ✓", 64), "dl 日本 é e\u{301} ✓");
        assert_eq!(shortened(hostile, 2), "ab");
    }

    #[test]
    fn of_escape_sequences_only_colours_are_kept() {
        let both = |line: &str| (coloured(line), without_colours(&coloured(line)));
        let same = |text: &str| (text.to_owned(), text.to_owned());
        let red = "\u{1b}[1;31mred\u{1b}[0m end";
        assert_eq!(both(red), (red.to_owned(), "red end".to_owned()));
        assert_eq!(both("\u{1b}[2K\u{1b}[?25la\tb\r\u{8}\u{0}"), same("a b"));
        assert_eq!(both("\u{1b}]0;title\u{7}x\u{1b}]8;;http://a\u{1b}\\y"), same("xy"));
        assert_eq!(both("\u{1b}(B\u{1b}=\u{1b}Mz"), same("z"));
        for broken in ["\u{1b}", "\u{1b}[", "\u{1b}[31", "\u{1b}]0;x", "\u{1b}("] {
            assert_eq!(both(&format!("a{broken}")), same("a"), "{broken:?}");
        }
        assert_eq!(both("\u{1b}[3\u{1b}[31mx\u{e9}"), ("\u{1b}[31mx\u{e9}".to_owned(), "x\u{e9}".to_owned()));
        let long = format!("\u{1b}[{}mx", "1;".repeat(100));
        assert_eq!(both(&long), same("x"));
        assert_eq!(both("a\u{202e}b\u{9b}31mc"), same("ab31mc"), "one-byte sequences lose their first byte");
    }
}
