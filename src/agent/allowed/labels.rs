//! Which labels callers may give containers. Labels steer other programs on a host, such as proxies, updaters and schedulers, some of
//! which run commands for them; nobody knows all of these, so the operator names what may be given.

use std::collections::BTreeMap;

use acefleet_registry::Policy;
use acefleet_registry::rules::settings::OWN_LABELS;

use crate::agent::allowed::NotAllowed;
use crate::agent::spec::management_label;
use crate::config::Config;

/// What is wrong with a label of a caller, if anything is. One with the key of the management label is replaced by that.
pub(super) fn fault(key: &str, config: &Config, policy: &Policy) -> Option<NotAllowed> {
    let key = key.to_owned();
    if OWN_LABELS.iter().any(|own| key.starts_with(own)) {
        return Some(NotAllowed::OwnLabel { key });
    }
    let is_ours = management_label(policy).0 == key;
    let is_allowed = is_ours || config.allowed_labels.iter().any(|pattern| pattern.matches(&key));
    (!is_allowed).then_some(NotAllowed::Label { key })
}

/// Those labels of a record that this host gives a container. Records have others, too: of engines that were asked for under other
/// settings, and of adopted ones, whose image has labels. To refuse these would keep their replacements from starting.
pub(crate) fn kept(
    labels: &BTreeMap<String, String>,
    config: &Config,
    policy: &Policy,
) -> BTreeMap<String, String> {
    let allowed = labels.iter().filter(|(key, _)| fault(key, config, policy).is_none());
    allowed.map(|(key, value)| (key.clone(), value.clone())).collect()
}
