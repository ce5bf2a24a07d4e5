//! Sessions: what a caller gets for a key that it has shown, and shows from then on. A session says whose key it is of and until when it lasts,
//! and is signed by a member, so every member knows it again and nobody keeps it. The signature covers the hash of the key: with
//! another key, be it of the same name, it is good for nothing. What the caller may do is in none: that is looked up with each call.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use acefleet_raft::{Signing, TAG_BYTES};
use acefleet_registry::{KeyHash, KeyName, WallMs};

use crate::config::Secret;

/// What a session begins with, so that people and programs that look for secrets know it.
const PREFIX: &str = "acefleet_session_";
/// The form of what follows. A later one gets another number.
const FORM: u8 = 1;
/// How long a session lasts.
const LIFE: Duration = Duration::from_secs(12 * 3_600);
/// For how long one can be renewed since its key was shown.
const RENEWED_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);
/// By how much the times of day of two members differ at the most. While there is no leader, a node may take that of its host, and sign sessions that would
/// last for too long.
const APART: Duration = Duration::from_secs(5 * 60);

/// What a session says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Name of its key; none for the API key.
    pub key: Option<KeyName>,
    /// When the key was shown, by the time of day of the cluster.
    pub since: WallMs,
    /// From when on it is over, by the same time.
    pub ends_at: WallMs,
}

/// A session as a caller shows it: nobody has looked at its signature yet.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    says: Session,
    signed: Vec<u8>,
    tag: [u8; TAG_BYTES],
}

impl Session {
    /// A session from now on of a key that ends then, if it does. `since`: when the key was shown.
    pub fn begun(key: Option<KeyName>, since: WallMs, now: WallMs, key_ends_at: Option<WallMs>) -> Self {
        let end = later(now, LIFE).min(later(since, RENEWED_FOR));
        Self { key, since, ends_at: key_ends_at.map_or(end, |key_ends_at| end.min(key_ends_at)) }
    }

    /// Whether it is over at this time of day, or says more than any member signs by a right clock.
    pub fn is_over(&self, now: WallMs) -> bool {
        let soon = later(now, APART);
        self.ends_at <= now || self.since > soon || self.ends_at > later(soon, LIFE)
    }

    /// What the caller shows from now on. `hash` is that of its key.
    pub fn seal(&self, hash: KeyHash, signing: &Signing) -> Secret {
        let text = self.text();
        let tag = signing.sign(&covered(&text, hash));
        let mut shown = PREFIX.to_owned();
        for byte in text.iter().chain(&tag) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "{byte:02x}");
        }
        Secret::new(shown)
    }

    fn text(&self) -> Vec<u8> {
        let name = self.key.as_ref().map_or("", KeyName::as_str);
        [&[FORM], &self.since.0.to_be_bytes()[..], &self.ends_at.0.to_be_bytes(), name.as_bytes()].concat()
    }

    fn read(text: &[u8]) -> Option<Self> {
        let (form, rest) = text.split_first()?;
        let (since, rest) = rest.split_first_chunk()?;
        let (ends_at, name) = rest.split_first_chunk()?;
        let key = match std::str::from_utf8(name).ok()? {
            "" => None,
            name => Some(KeyName::from_str(name).ok()?),
        };
        let [since, ends_at] = [since, ends_at].map(|bytes| WallMs(u64::from_be_bytes(*bytes)));
        (*form == FORM).then_some(Self { key, since, ends_at })
    }
}

impl Sealed {
    /// What a caller shows, if it has the form of a session.
    pub fn parse(shown: &[u8]) -> Option<Self> {
        let mut signed = bytes(shown.strip_prefix(PREFIX.as_bytes())?)?;
        let tag = *signed.last_chunk()?;
        signed.truncate(signed.len() - TAG_BYTES);
        Some(Self { says: Session::read(&signed)?, signed, tag })
    }

    /// Which key it says that it is of; none is the API key.
    pub fn key(&self) -> Option<&KeyName> {
        self.says.key.as_ref()
    }

    /// What it says, if a member has signed it for the key of this hash.
    pub fn opened(&self, hash: KeyHash, signing: &Signing) -> Option<&Session> {
        signing.has_signed(&covered(&self.signed, hash), &self.tag).then_some(&self.says)
    }
}

fn later(at: WallMs, by: Duration) -> WallMs {
    WallMs(at.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}

/// What a signature covers. The hash has always the same length, so no two of them are alike.
fn covered(text: &[u8], hash: KeyHash) -> Vec<u8> {
    [text, &hash.0].concat()
}

fn bytes(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks();
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(16 * digit(*high)? + digit(*low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use acefleet_raft::ClusterSecret;

    use super::*;
    use crate::access::hash;

    const NOW: WallMs = WallMs(1_760_000_000_000);

    fn signing(last: char) -> Signing {
        let secret = ClusterSecret::parse(&format!("0123456789abcdef0123456789abcde{last}")).unwrap();
        Signing::of(&secret, None).unwrap()
    }

    fn session(key: Option<&str>) -> Session {
        Session::begun(key.map(|name| name.parse().unwrap()), NOW, NOW, None)
    }

    #[test]
    fn a_session_is_known_again_by_the_secret_and_the_key_and_nothing_else() {
        let (ours, key) = (signing('x'), hash(b"a key"));
        for of in
            [None, Some("ops"), Some("a-name.of_64-characters-at-the-most.which-is-the-longest-name.ok")]
        {
            let session = session(of);
            let shown = session.seal(key, &ours).exposed().to_owned();
            let sealed = Sealed::parse(shown.as_bytes()).unwrap();
            assert_eq!(sealed.key().map(KeyName::as_str), of);
            assert_eq!(sealed.opened(key, &ours), Some(&session));
            assert_eq!(sealed.opened(hash(b"a key made anew"), &ours), None);
            assert_eq!(sealed.opened(key, &signing('y')), None, "another cluster, or another secret");
            // Whatever is changed, nothing is believed.
            for at in PREFIX.len()..shown.len() {
                let mut bent = shown.clone().into_bytes();
                bent[at] = if bent[at] == b'0' { b'1' } else { b'0' };
                let opened = Sealed::parse(&bent).and_then(|sealed| sealed.opened(key, &ours).cloned());
                assert_eq!(opened, None, "{at}");
            }
        }
    }

    #[test]
    fn what_has_not_the_form_is_no_session() {
        let shown = session(Some("ops")).seal(hash(b"a key"), &signing('x')).exposed().to_owned();
        let short = &shown[..shown.len() - 1];
        let other_form = shown.replacen("_01", "_02", 1);
        for bad in [
            "",
            "acefleet_",
            PREFIX,
            short,
            &shown[17..],
            &other_form,
            &format!("{shown}0"),
            &format!("{PREFIX}{}", "+1".repeat(60)),
            &format!("{PREFIX}{}", "0".repeat(64)),
            &shown.replacen("6f7073", "4f5053", 1),
            &shown.replacen("6f7073", "ff7073", 1),
        ] {
            assert!(Sealed::parse(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(Sealed::parse(&[PREFIX.as_bytes(), b"\xff\xff"].concat()).is_none());
        assert!(shown.len() < 256, "{}", shown.len());
    }

    #[test]
    fn it_ends_with_its_key_and_is_renewed_for_a_week() {
        let at = |hours: u64| WallMs(NOW.0 + hours * 3_600_000);
        let ends = |since, now, key_ends_at| Session::begun(None, since, now, key_ends_at).ends_at;
        assert_eq!(ends(NOW, NOW, None), at(12));
        assert_eq!(ends(NOW, at(6), None), at(18), "renewed");
        assert_eq!(ends(NOW, at(160), None), at(168), "a week is over then");
        assert_eq!(ends(NOW, NOW, Some(at(3))), at(3));
        assert_eq!(ends(NOW, NOW, Some(at(30))), at(12));
    }

    #[test]
    fn what_no_right_clock_signs_is_over() {
        let session = session(None);
        assert!(!session.is_over(NOW) && !session.is_over(WallMs(session.ends_at.0 - 1)));
        assert!(session.is_over(session.ends_at) && session.is_over(WallMs(u64::MAX)));
        // The node that signed it was some minutes ahead, or a year.
        assert!(!session.is_over(WallMs(NOW.0 - 200_000)));
        assert!(session.is_over(WallMs(NOW.0 - 31_536_000_000)));
        let long = Session { ends_at: WallMs(NOW.0 + 86_400_000), ..session };
        assert!(long.is_over(NOW));
    }
}
