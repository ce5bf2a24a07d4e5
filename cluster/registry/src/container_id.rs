//! Ids of containers as people and proxies give them: whole, or their beginning, as Docker shows it.

/// From so many characters on, as many as `docker ps` shows, the beginning of an id stands for the container.
const SHORT: usize = 12;

/// Whether a text stands for the container with this id.
#[must_use]
pub fn stands_for(text: &str, id: &str) -> bool {
    id == text || (text.len() >= SHORT && id.starts_with(text))
}

/// The only one of these; none if there are several, because nobody knows which of them is meant.
pub fn only<T>(mut found: impl Iterator<Item = T>) -> Option<T> {
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_named_by_its_id_or_a_beginning_that_is_long_enough() {
        let id = "0123456789abcdef";
        for (text, expected) in [
            (id, true),
            (&id[..12], true),
            (&id[..11], false),
            ("", false),
            ("0123456789abcdef0", false),
            ("123456789abcdef", false),
        ] {
            assert_eq!(stands_for(text, id), expected, "{text}");
        }
        assert!(stands_for("short", "short"));
    }

    #[test]
    fn of_several_none_is_meant() {
        assert_eq!(only([1].into_iter()), Some(1));
        assert_eq!(only([1, 2].into_iter()), None);
        assert_eq!(only(std::iter::empty::<u8>()), None);
    }
}
