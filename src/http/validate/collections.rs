//! Objects and lists whose entries are alike, bounded in number.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::http::validate::{Checker, Fields, NOTHING, Place};

impl<'a> Place<'a> {
    /// An object whose entries are all of one kind; none when absent. `read` checks one entry.
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

    /// Texts by name, keys and values bounded.
    pub fn strings(&self, checker: &mut Checker, max: usize, longest: usize) -> BTreeMap<String, String> {
        self.entries(checker, max, |checker, key, place| {
            if key.len() > longest {
                place.refuse(checker, "the name is too long");
            }
            if key.contains('\0')
                || place.value.and_then(Value::as_str).is_some_and(|text| text.contains('\0'))
            {
                place.refuse(checker, "NUL characters are not allowed");
            }
            place.string(checker, longest)
        })
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
