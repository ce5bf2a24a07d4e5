//! Patterns of images, as `ACEFLEET_ALLOWED_IMAGES` lists them.

use super::image_reference::{BadReference, ImageReference, Parts};
use super::wildcard;

/// Which images are meant. Written like a reference, with `*` in any part of it; `*` alone means every image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImagePattern {
    /// Every image.
    Any,
    /// Those of a repository, or of several alike.
    Of(ImageParts),
}

/// What the parts of an image have to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageParts(Parts);

impl ImagePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadReference> {
        match text {
            "*" => Ok(Self::Any),
            text => Parts::split(text, true).map(|parts| Self::Of(ImageParts(parts))),
        }
    }

    /// Whether it means this image.
    #[must_use]
    pub fn matches(&self, image: &ImageReference) -> bool {
        match self {
            Self::Any => true,
            Self::Of(ImageParts(of)) => {
                wildcard::matches(&of.registry, &image.0.registry)
                    && is_repository(&of.repository, &image.0.repository)
                    && is_version(of, &image.0)
            }
        }
    }
}

/// Part by part: a star does not stand for a slash, so that `team/*` means no repository below another one.
fn is_repository(pattern: &str, repository: &str) -> bool {
    let (patterns, parts) = (pattern.split('/'), repository.split('/'));
    patterns.clone().count() == parts.clone().count()
        && patterns.zip(parts).all(|(pattern, part)| wildcard::matches(pattern, part))
}

/// A digest alone decides what runs, whatever the tag beside it says. So a rule about tags says nothing of it, unless it allows all.
fn is_version(of: &Parts, image: &Parts) -> bool {
    match (&of.digest, &image.digest) {
        (Some(of), Some(digest)) => wildcard::matches(of, digest),
        (Some(_), None) => false,
        (None, Some(_)) => of.tag() == "*",
        (None, None) => wildcard::matches(of.tag(), image.tag()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    const TWO: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

    #[track_caller]
    fn allows(pattern: &str, image: &str) -> bool {
        let image = image.replace("ONE", ONE).replace("TWO", TWO);
        let pattern = ImagePattern::parse(&pattern.replace("ONE", ONE)).unwrap();
        pattern.matches(&ImageReference::parse(&image).unwrap())
    }

    #[test]
    fn a_pattern_means_what_it_says_and_no_more() {
        for (pattern, image) in [
            ("*", "anything.example/at/all:1"),
            ("*", "nginx@ONE"),
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:*", "nginx:1.27"),
            ("nginx:*", "nginx@ONE"),
            ("nginx:1.*", "nginx:1.27"),
            ("nginx@ONE", "nginx@ONE"),
            ("nginx:1@ONE", "nginx:2@ONE"),
            ("nginx@*", "nginx@TWO"),
            ("nginx@sha256:*", "nginx@TWO"),
            ("jopsis/*:*", "jopsis/acestream:x64"),
            ("ghcr.io/*/acestream-*:v*", "ghcr.io/me/acestream-http-proxy:v1"),
            ("*.example.org/x", "a.example.org/x"),
            ("registry:*/x", "registry:5000/x"),
        ] {
            assert!(allows(pattern, image), "{pattern} {image}");
        }
        for (pattern, image) in [
            ("nginx", "nginx:1.27"),
            ("nginx", "nginx@ONE"),
            ("nginx:*", "nginx-evil:1"),
            ("nginx:*", "evil/nginx:1"),
            ("nginx:*", "evil.example/nginx:1"),
            ("nginx:*", "evil.example/library/nginx:1"),
            ("nginx:1.*", "nginx:1.27@TWO"),
            ("nginx:1.27", "nginx:1.27@TWO"),
            ("nginx@ONE", "nginx"),
            ("nginx@ONE", "nginx@TWO"),
            ("nginx@*", "nginx:1"),
            ("team/*:*", "team/a/b:1"),
            ("team/*:*", "other.example/team/a:1"),
            ("*/*:*", "evil.example/a/b:1"),
            ("ghcr.io/*/x", "ghcr.io/x"),
            ("*.example.org/x", "example.org/x"),
            ("*.example.org/x", "a.example.org.evil/x"),
        ] {
            assert!(!allows(pattern, image), "{pattern} {image}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["", "cafe", "sha256:*", "a/b:", "a//b", "https://a.b/c", "a/b@x*", "a b", "/*"] {
            assert!(ImagePattern::parse(pattern).is_err(), "{pattern:?}");
        }
    }
}
