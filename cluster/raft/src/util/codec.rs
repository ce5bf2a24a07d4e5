//! One encoding for everything on disk and on the wire: MessagePack with field names, so that a node one version apart skips
//! unknown fields.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

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
    let value = rmp_serde::from_read(&mut from).map_err(|e| invalid(e.to_string()))?;
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
