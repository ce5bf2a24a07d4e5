//! Unknown names: refused if they can only be meant for this program, a warning if they look like a mistyped setting. Values are not
//! shown, since a mistyped name may hold a secret.

use acefleet_registry::settings::Name;

use super::layer::{Layer, Source};
use super::report::Findings;
use super::table::{
    AUTHORITIES_NAME, CONFIG_NAME, IMAGE_NAME, PREFIX, URL_NAME, all_names, find_retired, is_known,
};

/// Longest name for which a similar one is looked for.
pub const LONGEST_NAME: usize = 64;

/// Checks all names of one source.
pub fn check(layer: &Layer, findings: &mut Findings) {
    let toml = matches!(layer.source, Source::Toml(_));
    let source = &layer.source;
    let mut links = Vec::new();
    for (name, value) in &layer.values {
        if toml && name == CONFIG_NAME {
            findings
                .problem(name, format!("{name} ({source}): a file cannot name itself, use the environment"));
        } else if let Some(retired) = find_retired(name) {
            if value.trim().is_empty() {
                continue;
            }
            if retired.refused {
                findings.problem(name, format!("{name} ({source}): {}", retired.instead));
            } else {
                findings.warning(name, format!("{name} ({source}) has no effect: {}", retired.instead));
            }
        } else if is_known(name)
            || (!toml && [IMAGE_NAME, URL_NAME, AUTHORITIES_NAME].contains(&name.as_str()))
        {
        } else if !toml && is_service_link(name, value) {
            links.push(name.as_str());
        } else if toml || name.to_ascii_uppercase().starts_with(PREFIX) {
            findings.problem(name, format!("{name} ({source}): there is no such setting{}", meant(name)));
        } else if let Some(near) = nearest(name, 1) {
            findings.warning(
                name,
                format!("{name} ({source}) is not a setting and is ignored: did you mean {near}?"),
            );
        }
    }
    if !links.is_empty() {
        let links = links.join(", ");
        findings.warning(
            PREFIX,
            format!("{links} ({source}) look like links to a service named acefleet and are ignored"),
        );
    }
}

/// Kubernetes sets such variables in every container beside a service that is called `acefleet…`.
fn is_service_link(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let rest = format!("_{rest}");
    let address = value.starts_with("tcp://") || value.starts_with("udp://");
    let numbered =
        |after: &str| after.bytes().next().is_some_and(|b| b.is_ascii_digit()) && after.contains("_TCP");
    rest.contains("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || (rest.ends_with("_PORT") && address)
        || rest.split_once("_PORT_").is_some_and(|(_, after)| numbered(after))
}

fn meant(name: &str) -> String {
    match nearest(name, 4) {
        Some(near) => format!(", did you mean {near}?"),
        None => "; `acefleet config show` lists all of them".to_owned(),
    }
}

/// What may be meant by a name of at most [`LONGEST_NAME`] bytes that is no cluster-wide setting. The distance of longer texts takes time.
#[must_use]
pub fn meant_of_cluster(name: &str) -> Option<String> {
    nearest(name, 4).filter(|near| near.parse::<Name>().is_ok())
}

/// The setting whose name is nearest, at most `most` wrong, missing, added or swapped characters away.
fn nearest(name: &str, most: usize) -> Option<String> {
    let name = name.to_ascii_uppercase();
    // A forgotten or added prefix does not count as a difference.
    let with_prefix = format!("{PREFIX}{name}");
    let without = name.strip_prefix(PREFIX).unwrap_or(&name);
    let distance = |other: &str| {
        if other == with_prefix || other == without {
            return 0;
        }
        strsim::osa_distance(&name, other).min(strsim::osa_distance(without, other))
    };
    let near = all_names().map(|other| (distance(&other), other)).min()?;
    // With half of its characters wrong, a short name is another name.
    let most = most.min(name.trim_start_matches(PREFIX).len() / 2);
    (near.0 <= most).then_some(near.1)
}
