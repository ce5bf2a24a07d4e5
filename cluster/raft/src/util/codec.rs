//! One encoding for everything on disk and on the wire: MessagePack with field names, so that a node one version apart skips
//! unknown fields.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How deep values may be nested. Samples of all formats have eight levels; each costs the decoder stack, and whoever runs out of stack
/// ends the process.
const DEPTH_MAX: usize = 64;

pub(crate) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    rmp_serde::to_vec_named(value).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))
}

/// Encodes piece by piece.
pub(crate) fn encode_to<T: Serialize + ?Sized>(mut to: impl io::Write, value: &T) -> io::Result<()> {
    rmp_serde::encode::write_named(&mut to, value).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))
}

/// Decodes and refuses bytes that remain.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    decode_from(bytes)
}

/// Decodes piece by piece, and refuses bytes that remain. Reads a few bytes at once: use a buffer.
pub(crate) fn decode_from<T: DeserializeOwned>(mut from: impl io::Read) -> io::Result<T> {
    let invalid = |e: String| io::Error::new(io::ErrorKind::InvalidData, e);
    let mut decoder = rmp_serde::Deserializer::new(&mut from);
    decoder.set_max_depth(DEPTH_MAX);
    let value = T::deserialize(&mut decoder).map_err(|e| invalid(e.to_string()))?;
    drop(decoder);
    match io::copy(&mut from, &mut io::sink())? {
        0 => Ok(value),
        left => Err(invalid(format!("{left} bytes follow the value"))),
    }
}

/// Encodes behind one byte that names the format.
pub(crate) fn encode_tagged<T: Serialize>(tag: u8, value: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![tag];
    rmp_serde::encode::write_named(&mut bytes, value)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    Ok(bytes)
}

/// Decodes the output of `encode_tagged`; another tag comes from a newer version.
pub(crate) fn decode_tagged<T: DeserializeOwned>(tag: u8, bytes: &[u8]) -> io::Result<T> {
    match bytes.split_first() {
        Some((found, rest)) if *found == tag => decode(rest),
        Some((found, _)) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("format tag {found} where {tag} was expected"),
        )),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "no bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        let nested = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
        assert!(decode::<serde::de::IgnoredAny>(&nested(DEPTH_MAX - 1)).is_ok());
        let refused = decode::<serde::de::IgnoredAny>(&nested(DEPTH_MAX)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{refused}");
        assert!(decode::<serde::de::IgnoredAny>(&nested(1 << 20)).is_err());
    }

    #[test]
    fn round_trip_and_strictness() {
        let bytes = encode_tagged(1, &("a", 7_u64)).unwrap();
        assert_eq!(decode_tagged::<(String, u64)>(1, &bytes).unwrap(), ("a".into(), 7));
        assert!(decode_tagged::<(String, u64)>(2, &bytes).is_err());
        assert!(decode_tagged::<(String, u64)>(1, &[]).is_err());
        let mut longer = bytes;
        longer.push(0);
        assert!(decode_tagged::<(String, u64)>(1, &longer).is_err());
    }
}
