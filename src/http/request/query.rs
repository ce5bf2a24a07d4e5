//! Query parameters. Unknown ones are ignored, and none may be given twice.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use acefleet_registry::WallMs;
use serde_json::json;
use url::form_urlencoded;

use crate::http::answer::problem::Problem;
use crate::http::answer::time;
use crate::http::request::validate::{Checker, parse_integer};

/// The decoded parameters of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes a query; invalid UTF-8 becomes replacement characters.
    pub fn parse(raw: Option<&str>) -> Self {
        let raw = raw.unwrap_or_default().as_bytes();
        Self { pairs: form_urlencoded::parse(raw).into_owned().collect() }
    }

    /// The name that a query gives twice, if there is one: nobody knows which value is meant.
    pub fn doubled(&self) -> Option<&str> {
        let mut names = BTreeSet::new();
        self.pairs.iter().map(|(name, _)| name.as_str()).find(|name| !names.insert(*name))
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a parameter is present, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A parameter that must be present.
    pub fn require(&self, checker: &mut Checker, name: &str) -> String {
        let value = self.get(name);
        if value.is_none() {
            checker.add("missing", &[json!("query"), json!(name)], "Field required", &json!(null), None);
        }
        value.unwrap_or_default().to_owned()
    }

    /// One of a few words.
    ///
    /// # Errors
    /// 422 for any other word.
    pub fn one_of<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*value));
        }
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let pattern = format!("^({})$", words.join("|"));
        let msg = format!("String should match pattern '{pattern}'");
        let ctx = json!({ "pattern": pattern });
        Err(self.wrong(name, "string_pattern_mismatch", &msg, Some(ctx)))
    }

    /// A whole number, at least 0.
    ///
    /// # Errors
    /// 422 for anything else.
    pub fn unsigned(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = parse_integer(text).map_err(|(kind, msg)| self.wrong(name, kind, msg, None))?;
        match u64::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => {
                let msg = "Input should be greater than or equal to 0";
                Err(self.wrong(name, "greater_than_equal", msg, Some(json!({ "ge": 0 }))))
            }
        }
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// 422 for anything else.
    pub fn unsigned_within(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
        let Some(number) = self.unsigned(name)? else { return Ok(None) };
        let (low, high) = range.into_inner();
        if number < low {
            let msg = format!("Input should be greater than or equal to {low}");
            return Err(self.wrong(name, "greater_than_equal", &msg, Some(json!({ "ge": low }))));
        }
        if number > high {
            let msg = format!("Input should be less than or equal to {high}");
            return Err(self.wrong(name, "less_than_equal", &msg, Some(json!({ "le": high }))));
        }
        Ok(Some(number))
    }

    /// A moment.
    ///
    /// # Errors
    /// 422 for anything else.
    pub fn time(&self, name: &str) -> Result<Option<WallMs>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let msg = "Input should be a valid datetime, e.g. 2025-10-02T18:04:11Z";
        let wrong = || self.wrong(name, "datetime_from_date_parsing", msg, None);
        time::parse(text).ok_or_else(wrong).map(Some)
    }

    /// A 422 about one parameter.
    pub fn wrong(&self, name: &str, kind: &str, msg: &str, ctx: Option<serde_json::Value>) -> Problem {
        let mut checker = Checker::default();
        checker.add(kind, &[json!("query"), json!(name)], msg, &json!(self.get(name)), ctx);
        checker.problem()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse(Some("a=1&b=x%7Cy+z&flag&bad=%zz%ff"));
        assert_eq!(query.get("a"), Some("1"));
        assert_eq!(query.get("b"), Some("x|y z"));
        assert_eq!(query.get("flag"), Some(""));
        assert_eq!(query.get("none"), None);
        assert!(query.has("bad") && !query.has("none"));
        assert!(!Query::parse(None).has("a"));
    }

    #[test]
    fn a_parameter_that_is_given_twice_is_found_in_every_spelling() {
        for (query, doubled) in [
            ("", None),
            ("a=1&b=1", None),
            ("a=1&b=2&a=1", Some("a")),
            ("%61=1&a", Some("a")),
            ("a&&b", None),
        ] {
            assert_eq!(Query::parse(Some(query)).doubled(), doubled, "{query}");
        }
    }

    #[test]
    fn words_and_numbers_are_checked() {
        let query = Query::parse(Some("status=started&n=12&minus=-1&word=x"));
        assert_eq!(query.one_of("status", &[("started", 1), ("ended", 2)]).unwrap(), Some(1));
        assert_eq!(query.one_of("none", &[("started", 1)]).unwrap(), None);
        assert!(query.one_of("word", &[("started", 1)]).is_err());
        assert_eq!(query.unsigned("n").unwrap(), Some(12));
        assert!(query.unsigned("minus").is_err());
        assert!(query.unsigned("word").is_err());
    }
}
