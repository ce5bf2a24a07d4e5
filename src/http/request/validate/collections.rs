//! Objects and lists whose entries are alike, bounded in number.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::http::request::validate::checker::Checker;
use crate::http::request::validate::place::{Fields, NOTHING, Place, has_controls};

/// Limits of an object of texts; all but `entries` in bytes.
pub(crate) struct TextLimits {
    /// Entries.
    pub entries: usize,
    /// Longest name.
    pub name: usize,
    /// Longest value.
    pub value: usize,
    /// Names and values together.
    pub total: usize,
}

impl<'a> Place<'a> {
    /// An object with entries of one kind; empty when absent. `read` checks one entry.
    pub fn entries<T>(
        &self,
        checker: &mut Checker,
        max: usize,
        mut read: impl FnMut(&mut Checker, &str, Place<'a>) -> T,
    ) -> BTreeMap<String, T> {
        let map = match self.value {
            None => return BTreeMap::new(),
            Some(Value::Object(map)) => map,
            Some(_) => {
                self.wrong(checker, "dict_type", "Input should be a valid dictionary", None);
                return BTreeMap::new();
            }
        };
        if self.is_too_long(checker, "Dictionary", map.len(), max) {
            return BTreeMap::new();
        }
        let whole = self.value.unwrap_or(&NOTHING);
        let fields = Fields { loc: self.loc.clone(), map: Some(map), whole };
        map.keys().map(|key| (key.clone(), read(checker, key, fields.at(key)))).collect()
    }

    /// Texts by name, within limits for each and for all.
    pub fn strings(&self, checker: &mut Checker, limits: &TextLimits) -> BTreeMap<String, String> {
        let mut total = 0;
        let texts = self.entries(checker, limits.entries, |checker, key, place| {
            if key.len() > limits.name {
                // At the object, as the place of the entry would contain the long name.
                self.refuse(checker, &format!("names should have at most {} bytes", limits.name));
            }
            if has_controls(key) {
                place.refuse(checker, "control characters are not allowed");
            }
            let text = place.string(checker, limits.value);
            total += key.len() + text.len();
            text
        });
        if total > limits.total {
            let reason = format!("names and values together should have at most {} bytes", limits.total);
            self.refuse(checker, &reason);
        }
        texts
    }

    /// A list; empty when absent. `read` checks one item.
    pub fn list<T>(
        &self,
        checker: &mut Checker,
        max: usize,
        mut read: impl FnMut(&mut Checker, Place<'a>) -> T,
    ) -> Vec<T> {
        let items = match self.value {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.wrong(checker, "list_type", "Input should be a valid list", None);
                return Vec::new();
            }
        };
        if self.is_too_long(checker, "List", items.len(), max) {
            return Vec::new();
        }
        let whole = self.value.unwrap_or(&NOTHING);
        let place = |(index, item)| {
            let mut loc = self.loc.clone();
            loc.push(json!(index));
            Place { loc, value: Some(item), parent: whole }
        };
        items.iter().enumerate().map(place).map(|place| read(checker, place)).collect()
    }

    fn is_too_long(&self, checker: &mut Checker, what: &str, len: usize, max: usize) -> bool {
        if len > max {
            let msg = format!("{what} should have at most {max} items after validation, not {len}");
            let ctx = json!({ "field_type": what, "max_length": max, "actual_length": len });
            self.wrong(checker, "too_long", &msg, Some(ctx));
        }
        len > max
    }
}
