//! References to images, read as Docker reads them: `[registry/]repository[:tag][@digest]`. Two spellings of one image give the same
//! reference, so that a rule about images cannot be evaded by another spelling.

use std::fmt;

/// Docker Hub, which every name without a registry means.
const HUB: &str = "docker.io";
/// Another name of it.
const HUB_INDEX: &str = "index.docker.io";
/// Where Docker Hub has names of one part.
const HUB_OFFICIAL: &str = "library";
/// What Docker takes without a tag.
const USUAL_TAG: &str = "latest";
/// Algorithms of digests, with the number of their hex digits.
const DIGESTS: [(&str, usize); 2] = [("sha256:", 64), ("sha512:", 128)];
/// Longest reference, in bytes.
const LONGEST: usize = 512;
/// Longest tag.
const LONGEST_TAG: usize = 128;

/// Why a text refers to no image that can be told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// Nothing, or too much.
    #[error("a reference has 1 to 512 bytes")]
    Length,
    /// An id of an image, or the beginning of one: it does not say what the image is.
    #[error("it is, or may be, the id of an image: name the repository with a tag or a digest")]
    Id,
    /// The digest is not one.
    #[error("the digest is not sha256: with 64 or sha512: with 128 lower-case hex digits")]
    Digest,
    /// The tag is not one.
    #[error("the tag is not up to 128 letters, digits and _ . -, beginning with a letter, digit or _")]
    Tag,
    /// The registry is not one.
    #[error("the registry is no host name, with a port or without")]
    Registry,
    /// The repository is not one.
    #[error("a repository is made of lower-case letters, digits and . _ -, in parts between slashes")]
    Repository,
}

/// The parts of a reference, or of a pattern of references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// Always named.
    pub registry: String,
    /// With `library/` where Docker adds it.
    pub repository: String,
    pub tag: Option<String>,
    pub digest: Option<String>,
}

impl Parts {
    /// Splits a text; with `stars`, a `*` is allowed in each part.
    pub fn split(text: &str, stars: bool) -> Result<Self, BadReference> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(BadReference::Length);
        }
        if DIGESTS.iter().any(|(algorithm, _)| text.starts_with(algorithm)) {
            return Err(BadReference::Id);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if is_digest(digest, stars) => (rest, Some(digest.to_owned())),
            Some(_) => return Err(BadReference::Digest),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            // A colon before a slash belongs to the port of a registry.
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag, stars)) {
            return Err(BadReference::Tag);
        }
        // Docker also looks for an image whose id begins so.
        if digest.is_none() && tag.is_none() && name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(BadReference::Id);
        }
        let (registry, repository) = registry_of(name);
        if !is_registry(registry, stars) {
            return Err(BadReference::Registry);
        }
        if !repository.split('/').all(|part| is_part(part, stars)) {
            return Err(BadReference::Repository);
        }
        let registry = match registry.to_ascii_lowercase() {
            hub if hub == HUB_INDEX => HUB.to_owned(),
            registry => registry,
        };
        let repository = match registry == HUB && !repository.contains('/') {
            true => format!("{HUB_OFFICIAL}/{repository}"),
            false => repository.to_owned(),
        };
        Ok(Self { registry, repository, tag: tag.map(str::to_owned), digest })
    }

    /// The tag, or what Docker takes for it. It means nothing beside a digest.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(USUAL_TAG)
    }
}

/// The registry that a name begins with, if its first part can be one, and the rest.
fn registry_of(name: &str) -> (&str, &str) {
    let is_host = |first: &str| {
        first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
    };
    name.split_once('/').filter(|(first, _)| is_host(first)).unwrap_or((HUB, name))
}

fn is_star(byte: u8, stars: bool) -> bool {
    stars && byte == b'*'
}

fn is_digest(text: &str, stars: bool) -> bool {
    let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if stars && text.contains('*') {
        let rest = DIGESTS.iter().find_map(|(algorithm, _)| text.strip_prefix(algorithm)).unwrap_or(text);
        return rest.bytes().all(|b| is_hex(b) || b == b'*');
    }
    DIGESTS.iter().any(|(algorithm, digits)| {
        text.strip_prefix(algorithm).is_some_and(|hex| hex.len() == *digits && hex.bytes().all(is_hex))
    })
}

fn is_tag(text: &str, stars: bool) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-') || is_star(b, stars);
    let first = text.bytes().next().is_some_and(|b| inner(b) && !matches!(b, b'.' | b'-'));
    first && text.len() <= LONGEST_TAG && text.bytes().all(inner)
}

fn is_registry(text: &str, stars: bool) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_port = |port: &str| match stars && port.contains('*') {
        true => port.bytes().all(|b| b.is_ascii_digit() || b == b'*'),
        false => port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit()),
    };
    let is_label = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || is_star(b, stars);
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inner)
    };
    host.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_part(text: &str, stars: bool) -> bool {
    let end = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || is_star(b, stars);
    let inner = |b: u8| end(b) || matches!(b, b'.' | b'_' | b'-');
    let ends = |b: Option<u8>| b.is_some_and(end);
    ends(text.bytes().next()) && ends(text.bytes().last()) && text.bytes().all(inner)
}

/// A reference to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageReference(pub(super) Parts);

impl ImageReference {
    /// Reads a reference.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadReference> {
        Parts::split(text, false).map(Self)
    }

    /// Whether both are versions of one image.
    #[must_use]
    pub fn is_of_repository(&self, other: &Self) -> bool {
        (&self.0.registry, &self.0.repository) == (&other.0.registry, &other.0.repository)
    }
}

impl fmt::Display for ImageReference {
    /// All parts that decide which image it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { registry, repository, digest, .. } = &self.0;
        match digest {
            Some(digest) => write!(f, "{registry}/{repository}@{digest}"),
            None => write!(f, "{registry}/{repository}:{}", self.0.tag()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn read(text: &str) -> Result<String, BadReference> {
        ImageReference::parse(text).map(|reference| reference.to_string())
    }

    #[test]
    fn all_spellings_of_an_image_are_one_reference() {
        for (text, whole) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:latest", "docker.io/library/nginx:latest"),
            ("library/nginx", "docker.io/library/nginx:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
            ("Docker.IO/nginx", "docker.io/library/nginx:latest"),
            ("jopsis/acestream:x64", "docker.io/jopsis/acestream:x64"),
            ("ghcr.io/a/b/c:1", "ghcr.io/a/b/c:1"),
            ("localhost/x", "localhost/x:latest"),
            ("registry:5000/x", "registry:5000/x:latest"),
            ("10.0.0.1:5000/a/b:c", "10.0.0.1:5000/a/b:c"),
            ("cafe:1", "docker.io/library/cafe:1"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(whole), "{text}");
        }
        let pinned = format!("docker.io/a/b@sha256:{HEX}");
        assert_eq!(read(&format!("a/b@sha256:{HEX}")), Ok(pinned.clone()));
        assert_eq!(read(&format!("a/b:any@sha256:{HEX}")), Ok(pinned), "a tag means nothing beside a digest");
    }

    #[test]
    fn what_does_not_say_which_image_it_is_is_refused() {
        let id = format!("sha256:{HEX}");
        let long = "a/".repeat(300);
        for (text, why) in [
            ("", BadReference::Length),
            (long.as_str(), BadReference::Length),
            (HEX, BadReference::Id),
            ("4bcff63911fc", BadReference::Id),
            ("e", BadReference::Id),
            (id.as_str(), BadReference::Id),
            ("sha256:4bcf", BadReference::Id),
            ("a/b@sha256:00", BadReference::Digest),
            ("a/b@", BadReference::Digest),
            ("a/b@md5:00", BadReference::Digest),
            ("a/b:", BadReference::Tag),
            ("a/b:-x", BadReference::Tag),
            ("a/b:1@2:3", BadReference::Digest),
            ("a/b:*", BadReference::Tag),
            ("-x.y/b", BadReference::Registry),
            ("a.b:port/c", BadReference::Registry),
            ("a.b:99999/c", BadReference::Registry),
            ("[::1]:5000/c", BadReference::Registry),
            ("https://a.b/c", BadReference::Registry),
            ("a//b", BadReference::Repository),
            ("a/../b", BadReference::Repository),
            ("../containers/x", BadReference::Registry),
            ("/x", BadReference::Repository),
            ("x/", BadReference::Repository),
            ("a b", BadReference::Repository),
            ("a%2fb", BadReference::Repository),
            ("a?b", BadReference::Repository),
            ("x\n", BadReference::Repository),
            ("a/*", BadReference::Repository),
            ("Nginx", BadReference::Repository),
        ] {
            assert_eq!(read(text), Err(why), "{text:?}");
        }
    }
}
