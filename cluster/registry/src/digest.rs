//! A digest of the state that replicas compare. It stands for what the state holds and not for how a version writes it down:
//! fields count by name in any order, and what is zero, empty or absent does not count at all, so that a version with one more
//! field comes to the same digest as long as nobody has used the field. A new field whose default is anything else must be left
//! out of the encoding while it has it (`skip_serializing_if`).

use std::fmt::Display;
use std::hash::Hasher;

use serde::Serialize;
use serde::ser::{self, Serializer};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::state::State;

/// Digest of a state.
pub type Digest = u128;

/// What a value adds; nothing when it is as if it were not there.
type Part = Option<u128>;

/// Stands for an empty value where its presence counts, as in a list.
const EMPTY: u128 = 1;

#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Bool,
    Unsigned,
    Signed,
    Float,
    Text,
    Some,
    Variant,
    List,
    Pair,
    Map,
    Record,
    Field,
}

impl State {
    /// The digest of this state: the same on all replicas of one level that applied the same writes. Takes time in proportion
    /// to the state.
    ///
    /// # Errors
    /// When a record cannot be encoded, which none of ours does.
    pub fn digest(&self) -> Result<Digest, Undigestible> {
        digest(&self.tables)
    }
}

/// The digest of any value.
fn digest(value: &impl Serialize) -> Result<Digest, Undigestible> {
    Ok(value.serialize(Parts)?.unwrap_or(EMPTY))
}

/// Why there is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state cannot be digested: {0}")]
pub struct Undigestible(String);

impl ser::Error for Undigestible {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

fn mix(kind: Kind, write: impl FnOnce(&mut SipHasher13)) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write_u8(kind as u8);
    write(&mut hasher);
    hasher.finish128().as_u128()
}

fn put(hasher: &mut SipHasher13, part: u128) {
    hasher.write(&part.to_le_bytes());
}

/// Digests one value.
struct Parts;

/// Digests values in their order.
struct Ordered {
    hasher: SipHasher13,
    name: Option<&'static str>,
    len: u64,
    fixed: bool,
}

impl Ordered {
    fn new(name: Option<&'static str>, fixed: bool) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write_u8(Kind::List as u8);
        Self { hasher, name, len: 0, fixed }
    }

    fn add<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Undigestible> {
        put(&mut self.hasher, value.serialize(Parts)?.unwrap_or(EMPTY));
        self.len += 1;
        Ok(())
    }

    fn done(mut self) -> Part {
        if self.len == 0 && !self.fixed {
            return None;
        }
        self.hasher.write(&self.len.to_le_bytes());
        let list = self.hasher.finish128().as_u128();
        Some(self.name.map_or(list, |name| variant(name, list)))
    }
}

fn variant(name: &str, inner: u128) -> u128 {
    mix(Kind::Variant, |hasher| {
        hasher.write(name.as_bytes());
        put(hasher, inner);
    })
}

/// Digests entries and fields, whose order does not count.
struct Unordered {
    name: Option<&'static str>,
    kind: Kind,
    key: u128,
    sum: u128,
    len: u64,
}

impl Unordered {
    fn new(kind: Kind, name: Option<&'static str>) -> Self {
        Self { name, kind, key: 0, sum: 0, len: 0 }
    }

    fn entry(&mut self, value: u128) {
        let key = self.key;
        let pair = mix(Kind::Pair, |hasher| {
            put(hasher, key);
            put(hasher, value);
        });
        self.sum = self.sum.wrapping_add(pair);
        self.len += 1;
    }

    fn field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<(), Undigestible> {
        if let Some(part) = value.serialize(Parts)? {
            self.key = mix(Kind::Field, |hasher| hasher.write(name.as_bytes()));
            self.entry(part);
        }
        Ok(())
    }

    fn done(self) -> Part {
        if self.len == 0 && self.name.is_none() {
            return None;
        }
        let all = mix(self.kind, |hasher| {
            put(hasher, self.sum);
            hasher.write(&self.len.to_le_bytes());
        });
        Some(self.name.map_or(all, |name| variant(name, all)))
    }
}

macro_rules! numbers {
    ($($name:ident: $number:ty => $kind:ident as $wide:ty),* $(,)?) => {$(
        fn $name(self, value: $number) -> Result<Part, Undigestible> {
            let wide = <$wide>::from(value);
            Ok((wide != <$wide>::default()).then(|| mix(Kind::$kind, |hasher| hasher.write(&wide.to_le_bytes()))))
        }
    )*};
}

impl Serializer for Parts {
    type Ok = Part;
    type Error = Undigestible;
    type SerializeSeq = Ordered;
    type SerializeTuple = Ordered;
    type SerializeTupleStruct = Ordered;
    type SerializeTupleVariant = Ordered;
    type SerializeMap = Unordered;
    type SerializeStruct = Unordered;
    type SerializeStructVariant = Unordered;

    numbers! {
        serialize_u8: u8 => Unsigned as u128,
        serialize_u16: u16 => Unsigned as u128,
        serialize_u32: u32 => Unsigned as u128,
        serialize_u64: u64 => Unsigned as u128,
        serialize_u128: u128 => Unsigned as u128,
        serialize_i8: i8 => Signed as i128,
        serialize_i16: i16 => Signed as i128,
        serialize_i32: i32 => Signed as i128,
        serialize_i64: i64 => Signed as i128,
        serialize_i128: i128 => Signed as i128,
        serialize_f32: f32 => Float as f64,
        serialize_f64: f64 => Float as f64,
    }

    fn serialize_bool(self, value: bool) -> Result<Part, Undigestible> {
        Ok(value.then(|| mix(Kind::Bool, |_| {})))
    }

    fn serialize_char(self, value: char) -> Result<Part, Undigestible> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<Part, Undigestible> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Part, Undigestible> {
        Ok((!value.is_empty()).then(|| mix(Kind::Text, |hasher| hasher.write(value))))
    }

    fn serialize_none(self) -> Result<Part, Undigestible> {
        Ok(None)
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<Part, Undigestible> {
        let inner = value.serialize(Parts)?.unwrap_or(EMPTY);
        Ok(Some(mix(Kind::Some, |hasher| put(hasher, inner))))
    }

    fn serialize_unit(self) -> Result<Part, Undigestible> {
        Ok(None)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Part, Undigestible> {
        Ok(None)
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        name: &'static str,
    ) -> Result<Part, Undigestible> {
        Ok(Some(variant(name, EMPTY)))
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<Part, Undigestible> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _name: &'static str,
        _index: u32,
        name: &'static str,
        value: &T,
    ) -> Result<Part, Undigestible> {
        Ok(Some(variant(name, value.serialize(Parts)?.unwrap_or(EMPTY))))
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Ordered, Undigestible> {
        Ok(Ordered::new(None, false))
    }

    fn serialize_tuple(self, _len: usize) -> Result<Ordered, Undigestible> {
        Ok(Ordered::new(None, true))
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Ordered, Undigestible> {
        Ok(Ordered::new(None, true))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        name: &'static str,
        _len: usize,
    ) -> Result<Ordered, Undigestible> {
        Ok(Ordered::new(Some(name), true))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Unordered, Undigestible> {
        Ok(Unordered::new(Kind::Map, None))
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Unordered, Undigestible> {
        Ok(Unordered::new(Kind::Record, None))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        name: &'static str,
        _len: usize,
    ) -> Result<Unordered, Undigestible> {
        Ok(Unordered::new(Kind::Record, Some(name)))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! ordered {
    ($($of:ident: $method:ident),* $(,)?) => {$(
        impl ser::$of for Ordered {
            type Ok = Part;
            type Error = Undigestible;

            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Undigestible> {
                self.add(value)
            }

            fn end(self) -> Result<Part, Undigestible> {
                Ok(self.done())
            }
        }
    )*};
}

ordered! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field,
}

macro_rules! records {
    ($($of:ident),*) => {$(
        impl ser::$of for Unordered {
            type Ok = Part;
            type Error = Undigestible;

            fn serialize_field<T: ?Sized + Serialize>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Undigestible> {
                self.field(name, value)
            }

            fn end(self) -> Result<Part, Undigestible> {
                Ok(self.done())
            }
        }
    )*};
}

records!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Unordered {
    type Ok = Part;
    type Error = Undigestible;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Undigestible> {
        self.key = key.serialize(Parts)?.unwrap_or(EMPTY);
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Undigestible> {
        let value = value.serialize(Parts)?.unwrap_or(EMPTY);
        self.entry(value);
        Ok(())
    }

    fn end(self) -> Result<Part, Undigestible> {
        Ok(self.done())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    struct Now {
        name: &'static str,
        size: u32,
        tags: Vec<&'static str>,
    }

    #[derive(Serialize)]
    struct Later {
        tags: Vec<&'static str>,
        since_ms: u64,
        note: Option<String>,
        name: &'static str,
        size: u64,
        more: BTreeMap<u8, u8>,
    }

    #[test]
    fn a_version_with_unused_fields_and_another_order_comes_to_the_same_digest() {
        let now = digest(&Now { name: "a", size: 7, tags: vec!["x", ""] }).unwrap();
        let later = |since_ms| Later {
            tags: vec!["x", ""],
            since_ms,
            note: None,
            name: "a",
            size: 7,
            more: BTreeMap::new(),
        };
        assert_eq!(digest(&later(0)).unwrap(), now);
        assert_ne!(digest(&later(1)).unwrap(), now, "a field that is used counts");
    }

    #[test]
    fn what_differs_has_another_digest() {
        let now = |name, size, tags| digest(&Now { name, size, tags }).unwrap();
        let all = [
            now("a", 7, vec!["x", ""]),
            now("a", 7, vec!["x"]),
            now("a", 7, vec!["", "x"]),
            now("a", 8, vec!["x", ""]),
            now("b", 7, vec!["x", ""]),
            now("", 7, vec!["x", ""]),
            digest(&BTreeMap::from([(1, 0)])).unwrap(),
            digest(&BTreeMap::from([(2, 0)])).unwrap(),
            digest(&BTreeMap::from([(0, 1)])).unwrap(),
            digest(&BTreeMap::<u8, u8>::new()).unwrap(),
            digest(&Some(0)).unwrap(),
            digest(&Some(1)).unwrap(),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
