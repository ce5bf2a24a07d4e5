//! Which images callers may have started: the configured one, and those that the operator allows.

use acefleet_registry::engine::EngineSpec;

use crate::agent::allowed::NotAllowed;
use crate::agent::variant;
use crate::config::{Config, ImageReference};

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
