//! Which environment callers may give containers. Inside of its container everything is a caller's own business; proxies and service
//! lists read some variables from the outside, as they read labels.

use crate::agent::allowed::NotAllowed;
use crate::config::{Config, wildcard};

/// Variables that programs on a host act on: nginx-proxy, its companion for certificates, registrator.
const STEERING: [&str; 3] = ["VIRTUAL_*", "LETSENCRYPT_*", "SERVICE_*"];

/// What is wrong with a variable of a caller, if anything is.
pub(super) fn fault(name: &str, config: &Config) -> Option<NotAllowed> {
    let steers = STEERING.iter().any(|pattern| wildcard::matches(pattern, name));
    let is_allowed = !steers || config.allowed_labels.iter().any(|pattern| pattern.matches(name));
    (!is_allowed).then(|| NotAllowed::Variable { name: name.to_owned() })
}
