//! Patterns of label keys, as `ACEFLEET_ALLOWED_LABELS` lists them.

use acefleet_registry::rules::settings::OWN_LABELS;

use super::wildcard;

/// Longest pattern, in bytes.
const LONGEST: usize = 256;

/// Which keys are meant: one, or with `*` all that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelPattern(String);

/// Why a text is no pattern of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Nothing, or too much.
    #[error("a key has 1 to 256 bytes")]
    Length,
    /// There is a value, too.
    #[error("write the key alone, without = and a value")]
    Value,
    /// White space or control characters.
    #[error("there is white space in it, or a control character")]
    Blank,
    /// The cluster sets these itself.
    #[error("keys that begin with acefleet., acestream. or host. are set by the cluster alone")]
    Own,
}

impl LabelPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(BadPattern::Length);
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(BadPattern::Blank);
        }
        if text.contains('=') {
            return Err(BadPattern::Value);
        }
        if OWN_LABELS.iter().any(|own| text.starts_with(own)) {
            return Err(BadPattern::Own);
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it means this key.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        wildcard::matches(&self.0, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_meant_one_by_one_or_by_a_star() {
        let means = |pattern: &str, key: &str| LabelPattern::parse(pattern).unwrap().matches(key);
        assert!(
            means("stream_id", "stream_id") && means("team.*", "team.red") && means("*", "traefik.enable")
        );
        assert!(!means("stream_id", "stream_id2") && !means("team.*", "team") && !means("a.b", "a.b.c"));
        for (text, why) in [
            ("", BadPattern::Length),
            ("a b", BadPattern::Blank),
            ("a=b", BadPattern::Value),
            ("acefleet.node", BadPattern::Own),
            ("acestream.*", BadPattern::Own),
            ("host.http_port", BadPattern::Own),
        ] {
            assert_eq!(LabelPattern::parse(text), Err(why), "{text:?}");
        }
    }
}
