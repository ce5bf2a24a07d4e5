//! What a member signs for callers of the API, and every other member knows again: by a key that each derives from the secret. It is no key of
//! the cluster port, and says nothing about the secret.

use std::fmt;

use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;

use super::secret::ClusterSecret;
use crate::errors::StartError;

/// Bytes of a signature.
pub const TAG_BYTES: usize = 32;
/// What keys of this purpose are derived with.
const SALT: &[u8] = b"acefleet sessions v1";

/// Signs (HMAC-SHA-256), and knows what a member with the same secret has signed.
#[derive(Clone)]
pub struct Signing {
    newest: hmac::Key,
    /// That of the secret before, while the secret is changed.
    before: Option<hmac::Key>,
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signing(…)")
    }
}

impl Signing {
    /// With the key that this secret gives. What was signed with `before` counts, too.
    ///
    /// # Errors
    /// [`StartError::Internal`] when the key cannot be derived: never, for its length.
    pub fn of(secret: &ClusterSecret, before: Option<&ClusterSecret>) -> Result<Self, StartError> {
        Ok(Self { newest: derived(secret)?, before: before.map(derived).transpose()? })
    }

    /// The signature under a text.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> [u8; TAG_BYTES] {
        let mut tag = [0; TAG_BYTES];
        // Both have the length of SHA-256.
        tag.copy_from_slice(hmac::sign(&self.newest, text).as_ref());
        tag
    }

    /// Whether a member with one of these secrets has signed this text. Its time says nothing about the right signature.
    #[must_use]
    pub fn has_signed(&self, text: &[u8], tag: &[u8; TAG_BYTES]) -> bool {
        let is_of = |key: &hmac::Key| hmac::verify(key, text, tag).is_ok();
        is_of(&self.newest) || self.before.as_ref().is_some_and(is_of)
    }
}

fn derived(secret: &ClusterSecret) -> Result<hmac::Key, StartError> {
    let source = Salt::new(HKDF_SHA256, SALT).extract(secret.exposed());
    let okm = source.expand(&[b"hmac-sha256"], hmac::HMAC_SHA256);
    okm.map(hmac::Key::from)
        .map_err(|_| StartError::Internal("no key for signing can be derived from the secret".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(last: char) -> ClusterSecret {
        ClusterSecret::parse(&format!("0123456789abcdef0123456789abcde{last}")).unwrap()
    }

    #[test]
    fn members_know_what_one_of_their_secrets_has_signed() {
        let (old, new) = (secret('o'), secret('n'));
        let before = Signing::of(&old, None).unwrap();
        let between = Signing::of(&new, Some(&old)).unwrap();
        let after = Signing::of(&new, None).unwrap();
        let text = b"what a session says";
        assert!(before.has_signed(text, &Signing::of(&old, None).unwrap().sign(text)));
        assert!(between.has_signed(text, &before.sign(text)));
        assert!(after.has_signed(text, &between.sign(text)));
        assert!(!after.has_signed(text, &before.sign(text)), "the secret before is over");
        assert!(!before.has_signed(text, &between.sign(text)));
        assert!(!after.has_signed(b"what a session saya", &after.sign(text)));
        assert_eq!(format!("{after:?}"), "Signing(…)");
    }
}
