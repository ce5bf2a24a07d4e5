//! The settings of all files as one `.env` that a node reads, so that those of a compose file are not left behind.

use std::collections::BTreeMap;

use crate::config::layer::Layer;
use crate::config::table;

/// What counts of these layers, the strongest first, as lines of a `.env` file. It holds secrets. Retired and foreign names are left out.
#[must_use]
pub fn merged(layers: &[Layer]) -> String {
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in layers.iter().flat_map(|layer| &layer.values) {
        let is_kept = table::find(name).is_some() || table::secret_of_file(name).is_some();
        if is_kept && !value.trim().is_empty() {
            values.entry(name).or_insert(value);
        }
    }
    values.into_iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect()
}

/// A value as every reader of such files takes it for the same.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:/=@%+".contains(c);
    if value.chars().all(is_plain) {
        return value.to_owned();
    }
    if !value.contains(['\'', '\\', '\n']) {
        return format!("'{value}'");
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::dotenv;
    use crate::config::layer::Source;
    use crate::config::report::Findings;

    fn layer(values: &[(&str, &str)]) -> Layer {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Layer { source: Source::Environment, values }
    }

    #[test]
    fn the_strongest_value_counts_and_an_empty_one_does_not() {
        let layers = [
            layer(&[("MIN_REPLICAS", "4"), ("DOCKER_NETWORK", ""), ("TZ", "Europe/Madrid"), ("DB_URL", "x")]),
            layer(&[("MIN_REPLICAS", "2"), ("DOCKER_NETWORK", "old net"), ("API_KEY", "it's $x")]),
        ];
        let expected = "API_KEY=\"it's \\$x\"\nDOCKER_NETWORK='old net'\nMIN_REPLICAS=4\n";
        assert_eq!(merged(&layers), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_node_reads_the_same_values(value in "[ -~\n]{1,40}") {
            prop_assume!(!value.trim().is_empty());
            let text = merged(&[layer(&[("API_KEY", &value)])]);
            let mut findings = Findings::default();
            let read = dotenv::layer(".env".into(), &text, &mut findings);
            prop_assert_eq!(read.values.get("API_KEY"), Some(&value), "{}", text);
        }
    }
}
