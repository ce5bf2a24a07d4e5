//! A join token: with it a node that has nothing else of a cluster may ask a member for the secret, and knows that it asks a member. It names the key
//! of the secret, which the member proves, and holds the seed of a key of its own, which the new node proves and whose public half the
//! registry knows.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use acefleet_registry::join_token::PublicKey;
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::secret::Seed;
use crate::errors::StartError;

/// What a token begins with, so that people and programs that look for secrets know it.
const PREFIX: &str = "acefleet-join-";
/// Bytes of the hash of a public key that name it.
pub(super) const NAME_BYTES: usize = 16;
/// Random bytes of a token.
const SEED_BYTES: usize = 16;
/// What keys of this purpose are derived with.
const SALT: &[u8] = b"acefleet join token v1";

/// A join token. Whoever has it gets the secret of the cluster while it counts.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Name of the key that members prove.
    pub(super) member: [u8; NAME_BYTES],
    seed: Arc<Zeroizing<[u8; SEED_BYTES]>>,
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(…)")
    }
}

/// A text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is no join token: one begins with {PREFIX} and has 64 hexadecimal digits after it, in one line; `acefleet token create` on a member makes one"
)]
pub struct NoJoinToken;

impl JoinToken {
    /// A new token by which members are known that have the key of this name.
    ///
    /// # Errors
    /// [`StartError::Internal`] when this host gives no random numbers.
    pub(super) fn new(member: [u8; NAME_BYTES]) -> Result<Self, StartError> {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        SystemRandom::new()
            .fill(&mut *seed)
            .map_err(|_| StartError::Internal("this host gives no random numbers".to_owned()))?;
        Ok(Self { member, seed: Arc::new(seed) })
    }

    /// The token that this text is; blanks around it do not count.
    ///
    /// # Errors
    /// [`NoJoinToken`], with what makes one.
    pub fn parse(text: &str) -> Result<Self, NoJoinToken> {
        let digits = text.trim().strip_prefix(PREFIX).ok_or(NoJoinToken)?.as_bytes();
        let mut bytes = Zeroizing::new([0; NAME_BYTES + SEED_BYTES]);
        if digits.len() != 2 * bytes.len() {
            return Err(NoJoinToken);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = pair
                .iter()
                .try_fold(0, |value, digit| Some(16 * value + value_of(*digit)?))
                .ok_or(NoJoinToken)?;
        }
        let (mut member, mut seed) = ([0; NAME_BYTES], Zeroizing::new([0; SEED_BYTES]));
        let (of_member, of_seed) = bytes.split_at(NAME_BYTES);
        member.copy_from_slice(of_member);
        seed.copy_from_slice(of_seed);
        Ok(Self { member, seed: Arc::new(seed) })
    }

    /// The token itself, for who asked for it.
    #[must_use]
    pub fn exposed(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 2 * (NAME_BYTES + SEED_BYTES)));
        text.push_str(PREFIX);
        for byte in self.member.iter().chain(self.seed.iter()) {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// The seed of the key that its holder proves.
    pub(super) fn key_seed(&self) -> Result<Zeroizing<[u8; 32]>, Unspecified> {
        let mut seed = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, SALT).extract(&**self.seed).expand(&[b"ed25519"], Seed)?.fill(&mut *seed)?;
        Ok(seed)
    }

    /// The public half of that key, by which the registry knows the token.
    ///
    /// # Errors
    /// [`StartError::Internal`]: never for a seed of this length.
    pub fn public(&self) -> Result<PublicKey, StartError> {
        let none = || StartError::Internal("no key can be derived of the join token".to_owned());
        let seed = self.key_seed().map_err(|_| none())?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| none())?;
        pair.public_key().as_ref().try_into().map(PublicKey).map_err(|_| none())
    }
}

/// Value of a hexadecimal digit.
fn value_of(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is_one() {
        let made = JoinToken::new([0xa7; NAME_BYTES]).unwrap();
        let text = made.exposed();
        assert_eq!(JoinToken::parse(&format!(" {}\n", *text)), Ok(made.clone()));
        assert_ne!(made.public().unwrap(), JoinToken::new([0xa7; NAME_BYTES]).unwrap().public().unwrap());
        assert!(!format!("{made:?}").contains("a7"));
        let cut = &text[..text.len() - 1];
        let longer = format!("{}0", *text);
        let odd = format!("{cut}g");
        let wide = format!("{}\u{e4}", &text[..text.len() - 2]);
        for bad in ["", "acefleet-join-", cut, &longer, &odd, &wide, &text[PREFIX.len()..]] {
            assert_eq!(JoinToken::parse(bad), Err(NoJoinToken), "{bad}");
        }
        assert!(NoJoinToken.to_string().contains("acefleet token create"));
    }
}
