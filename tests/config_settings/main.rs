//! Settings: values, sources, names, contradictions, documents.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

mod compose;
mod contradictions;
mod documents;
mod names;
mod sources;
mod values;
mod vpn;

use acefleet::config::{ConfigErrors, Host, Loaded, Sources, resolve};

/// A machine with nothing special about it.
fn host() -> Host {
    Host { name: Some("host-1".into()), address: Some([10, 9, 8, 7].into()), root: true }
}

fn load(environment: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    resolve(Sources::from_maps(environment, &[], "", host()))
}

/// The settings, which are expected to be valid.
#[track_caller]
fn valid(environment: &[(&str, &str)]) -> Loaded {
    load(environment).unwrap_or_else(|errors| panic!("{environment:?} refused:\n{errors}"))
}

/// The only problem of these settings.
#[track_caller]
fn refused(environment: &[(&str, &str)]) -> String {
    match load(environment) {
        Ok(_) => panic!("{environment:?} accepted"),
        Err(errors) => {
            let lines: Vec<_> = errors.problems.iter().map(|problem| problem.line.clone()).collect();
            assert_eq!(lines.len(), 1, "{lines:#?}");
            lines.concat()
        }
    }
}

/// Warnings of valid settings that concern one of them.
#[track_caller]
fn warnings(environment: &[(&str, &str)], setting: &str) -> Vec<String> {
    let warnings = valid(environment).warnings;
    warnings.into_iter().filter(|warning| warning.setting == setting).map(|warning| warning.line).collect()
}
