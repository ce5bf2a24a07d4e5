//! What callers may have a host start. The node that takes a call asks it before anything is reserved. The host asks it again, by its own
//! settings, where it makes the container: no other member can make it start anything else.
//!
//! - [`image`]: which image runs

mod image;

use acefleet_registry::engine::EngineSpec;
use strum::IntoStaticStr;

use crate::config::{BadReference, Config};

/// The setting that allows an image.
pub const IMAGES: &str = "ACEFLEET_ALLOWED_IMAGES";

/// Why a host does not start what a caller asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum NotAllowed {
    /// The operator has not allowed the image.
    #[error("the image {image} may not be started: let {IMAGES} name it, or leave the image out")]
    #[strum(serialize = "image_not_allowed")]
    Image {
        /// As the caller named it.
        image: String,
    },
    /// Nobody can say which image it is.
    #[error("{image:?} names no image: {why}")]
    #[strum(serialize = "image_not_allowed")]
    NoImage {
        /// As the caller named it.
        image: String,
        /// What is wrong with it.
        why: BadReference,
    },
}

impl NotAllowed {
    /// The word for it, for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.into()
    }

    /// Where the body of a call says it: names of fields, from the outside to the inside.
    #[must_use]
    pub fn place(&self) -> Vec<&str> {
        match self {
            Self::Image { .. } | Self::NoImage { .. } => vec!["image"],
        }
    }

    /// What the caller gave there.
    #[must_use]
    pub fn given(&self) -> &str {
        match self {
            Self::Image { image } | Self::NoImage { image, .. } => image,
        }
    }

    /// The setting that would allow it, if any does.
    #[must_use]
    pub fn setting(&self) -> Option<&'static str> {
        match self {
            Self::Image { .. } => Some(IMAGES),
            Self::NoImage { .. } => None,
        }
    }
}

/// Everything for which a host with these settings does not start this; nothing when it does.
#[must_use]
pub fn faults(spec: &EngineSpec, config: &Config) -> Vec<NotAllowed> {
    image::fault(spec, config).into_iter().collect()
}
