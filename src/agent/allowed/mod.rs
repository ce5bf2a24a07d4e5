//! What callers may have a host start. The node that takes a call asks it before anything is reserved. The host asks it again, by its own
//! settings, where it makes the container: no other member can make it start anything else.
//!
//! - [`image`]: which image runs
//! - [`labels`], [`variables`]: what other programs on the host act on
//! - [`ports`], [`names`]: what would take the place of the node's own

mod image;
pub(crate) mod labels;
mod names;
mod ports;
mod variables;

use acefleet_registry::Policy;
use acefleet_registry::engine::EngineSpec;
use strum::IntoStaticStr;

use crate::config::{BadReference, Config};

/// The setting that allows an image.
const IMAGES: &str = "ACEFLEET_ALLOWED_IMAGES";
/// The setting that allows a label, or a variable that is read as one.
const LABELS: &str = "ACEFLEET_ALLOWED_LABELS";
/// The setting that gives ports to engines.
const PORTS: &str = "PORT_RANGE_HOST";

/// What fixes a port of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortField {
    /// The field for it.
    HostPort,
    /// A line of the variable `CONF`.
    Conf,
    /// The variable `P2P_PORT`.
    Peers,
    /// The port inside a container for which it is published.
    Published(String),
}

/// Why a host does not start what a caller asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
pub enum NotAllowed {
    /// The operator has not allowed the image.
    #[error(
        "the image {image} may not be started: let ACEFLEET_ALLOWED_IMAGES name it, or leave the image out"
    )]
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
    /// The operator has not allowed the label.
    #[error("the label {key} may not be given: let ACEFLEET_ALLOWED_LABELS name it, or leave it out")]
    #[strum(serialize = "label_not_allowed")]
    Label {
        /// Its key.
        key: String,
    },
    /// By this label the cluster knows its containers.
    #[error(
        "labels that begin with acefleet., acestream. or host. are set by the cluster alone: leave {key} out"
    )]
    #[strum(serialize = "label_not_allowed")]
    OwnLabel {
        /// Its key.
        key: String,
    },
    /// Other programs on the host act on the variable, and the operator has not allowed that.
    #[error(
        "proxies and service lists of a host act on the variable {name}: let ACEFLEET_ALLOWED_LABELS name it, or leave it out"
    )]
    #[strum(serialize = "variable_not_allowed")]
    Variable {
        /// Its name.
        name: String,
    },
    /// The node, or the control server of its VPN, listens there.
    #[error("port {port} is one of the node's own: choose another, or none")]
    #[strum(serialize = "port_not_allowed")]
    OwnPort {
        /// What fixes it.
        field: PortField,
        /// It.
        port: u16,
    },
    /// Others trust what answers on such a port.
    #[error(
        "port {port} is below 1024, where only those that PORT_RANGE_HOST gives to engines may be used: choose another, or none"
    )]
    #[strum(serialize = "port_not_allowed")]
    LowPort {
        /// What fixes it.
        field: PortField,
        /// It.
        port: u16,
    },
    /// Engines would join the network of the container.
    #[error(
        "a container that is named {prefix}-… could be taken for the VPN container {container}: choose another prefix"
    )]
    #[strum(serialize = "name_not_allowed")]
    VpnName {
        /// As the caller gave it.
        prefix: String,
        /// Whose name it would get.
        container: String,
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
            Self::Label { key } | Self::OwnLabel { key } => vec!["labels", key],
            Self::Variable { name } => vec!["env", name],
            Self::OwnPort { field, .. } | Self::LowPort { field, .. } => match field {
                PortField::HostPort => vec!["host_port"],
                PortField::Conf => vec!["env", "CONF"],
                PortField::Peers => vec!["env", "P2P_PORT"],
                PortField::Published(inside) => vec!["ports", inside],
            },
            Self::VpnName { .. } => vec!["name_prefix"],
        }
    }

    /// What the caller gave there, as far as it is wrong.
    #[must_use]
    pub fn given(&self) -> String {
        match self {
            Self::Image { image: given }
            | Self::NoImage { image: given, .. }
            | Self::Label { key: given }
            | Self::OwnLabel { key: given }
            | Self::Variable { name: given }
            | Self::VpnName { prefix: given, .. } => given.clone(),
            Self::OwnPort { port, .. } | Self::LowPort { port, .. } => port.to_string(),
        }
    }

    /// The setting that would allow it, if any does.
    #[must_use]
    pub fn setting(&self) -> Option<&'static str> {
        match self {
            Self::Image { .. } => Some(IMAGES),
            Self::Label { .. } | Self::Variable { .. } => Some(LABELS),
            Self::LowPort { .. } => Some(PORTS),
            Self::NoImage { .. } | Self::OwnLabel { .. } | Self::OwnPort { .. } | Self::VpnName { .. } => {
                None
            }
        }
    }
}

/// Everything for which a host with these settings does not start this; nothing when it does.
#[must_use]
pub fn faults(spec: &EngineSpec, config: &Config, policy: &Policy) -> Vec<NotAllowed> {
    let mut found: Vec<NotAllowed> = image::fault(spec, config).into_iter().collect();
    found.extend(spec.labels.keys().filter_map(|key| labels::fault(key, config, policy)));
    found.extend(spec.env.keys().filter_map(|name| variables::fault(name, config)));
    found.extend(ports::faults(spec, config, policy));
    found.extend(names::fault(spec, config));
    found
}

#[cfg(test)]
#[path = "allowed_tests.rs"]
mod tests;

/// Whether the image that a caller named is allowed only because every image is.
#[must_use]
pub fn is_free(spec: &EngineSpec, config: &Config) -> bool {
    image::is_free(spec, config)
}
