//! What engines may do on their host beside running: as little as their images bear. Containers that are no engines keep what Docker gives
//! them, as nobody knows what they need.

use std::collections::BTreeSet;

use crate::config::{Capability, Config, ImageReference};

/// Repositories of the known engines. Their images run the engine as root or as a user of their own, without a change between the two. As
/// root it writes into directories of other users, as the archives of the engine were packed with these.
const KNOWN: [&str; 2] = ["ghcr.io/krinkuto11/acestream-http-proxy:latest", "jopsis/acestream:latest"];
/// What the known engines need.
const OF_KNOWN: [Capability; 1] = [Capability::DacOverride];
/// What images need beside that whose start prepares directories and then becomes another user.
const OF_OTHERS: [Capability; 6] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
];

/// What an engine of this image keeps; nothing when this host does not confine engines.
#[must_use]
pub fn of(config: &Config, image: &str) -> Option<BTreeSet<Capability>> {
    if !config.hardened {
        return None;
    }
    let usual = || match is_known(image) {
        true => OF_KNOWN.into(),
        false => OF_OTHERS.into(),
    };
    Some(config.capabilities.clone().unwrap_or_else(usual))
}

fn is_known(image: &str) -> bool {
    let known = KNOWN.iter().filter_map(|known| ImageReference::parse(known).ok());
    ImageReference::parse(image)
        .is_ok_and(|image| known.into_iter().any(|known| image.is_of_repository(&known)))
}
