//! Errors with their causes, for people: the outermost text alone says little.

use std::error::Error;

/// An error and its causes, without those that a text before them repeats.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot ask: {0}")]
    struct Outer(#[from] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("no connection")]
    struct Middle(#[source] std::io::Error);

    #[test]
    fn each_cause_is_told_once() {
        let error = Outer(Middle(std::io::Error::other("refused")));
        assert_eq!(with_causes(&error), "cannot ask: no connection: refused");
    }
}
