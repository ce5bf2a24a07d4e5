//! Which images callers may have started: the configured one, and those that the operator allows.

use acefleet_registry::engine::EngineSpec;

use crate::agent::allowed::NotAllowed;
use crate::agent::variant;
use crate::config::{Config, ImagePattern, ImageReference};

/// Whether nothing but the rule for every image allows the one that a caller named.
pub(super) fn is_free(spec: &EngineSpec, config: &Config) -> bool {
    let Some(image) = spec.image.as_ref().filter(|image| **image != variant::image(config)) else {
        return false;
    };
    let by_name = |reference: &ImageReference| {
        let named = config.allowed_images.iter().filter(|pattern| **pattern != ImagePattern::Any);
        named.into_iter().any(|pattern| pattern.matches(reference))
    };
    !ImageReference::parse(image).is_ok_and(|reference| by_name(&reference))
}

/// What is wrong with the image that a caller named, if anything is.
pub(super) fn fault(spec: &EngineSpec, config: &Config) -> Option<NotAllowed> {
    let image = spec.image.as_ref()?;
    // The operator named it, so it may be an id.
    if *image == variant::image(config) {
        return None;
    }
    match ImageReference::parse(image) {
        Err(why) => Some(NotAllowed::NoImage { image: image.clone(), why }),
        Ok(reference) if config.allowed_images.iter().any(|pattern| pattern.matches(&reference)) => None,
        Ok(_) => Some(NotAllowed::Image { image: image.clone() }),
    }
}
