//! Settings of a node. All are parsed and checked before anything is opened or bound. The process environment is read once and never
//! changed.
//!
//! - [`setting`], [`settings`], [`retired`], [`table`]: every name, with kind, default, example and meaning
//! - [`layer`], [`sources`], [`dotenv`], `dotenv_variables`, [`interpolate`], [`toml_file`]: where values come from
//! - [`names`]: unknown names and what was meant
//! - [`reader`], [`parse`], [`docker`]: from text to values
//! - [`assemble`]: from values to [`Config`], see [`values`]
//! - [`image_reference`], [`image_pattern`], [`label_pattern`], [`wildcard`]: which images and labels are meant; [`capability`]: what engines keep
//! - [`shared`]: cluster-wide settings, of which a node has the first values
//! - [`vpn`]: VPN containers
//! - [`check`]: settings that contradict each other
//! - [`report`]: problems and warnings as lines
//! - [`show`]: tables and example files

pub mod assemble;
pub mod capability;
pub mod check;
pub mod docker;
pub mod dotenv;
mod dotenv_variables;
#[cfg(test)]
mod fuzz_tests;
pub mod image_pattern;
pub mod image_reference;
pub mod interpolate;
pub mod label_pattern;
pub mod layer;
pub mod names;
pub mod parse;
pub mod reader;
pub mod report;
pub mod retired;
pub mod setting;
pub mod settings;
pub mod shared;
pub mod show;
pub mod sources;
pub mod table;
pub mod toml_file;
pub mod values;
pub mod vpn;
pub mod wildcard;

use std::path::Path;

pub use capability::Capability;
pub use image_pattern::ImagePattern;
pub use image_reference::{BadReference, ImageReference};
pub use label_pattern::LabelPattern;
pub use layer::Source;
pub use report::{ConfigErrors, Finding, Shown};
pub use sources::{Host, Sources};
pub use values::{
    BackupPlace, BackupPlan, Config, ControlAuth, LogFormat, ProxyUsers, Reads, Secret, TlsFiles, TlsPlain,
    Variant, VpnConfig,
};

/// Settings that passed every check.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What the operator should know; log them as soon as there is a logger.
    pub warnings: Vec<Finding>,
    /// Every setting with its value and source, in the order of the documents.
    pub shown: Vec<Shown>,
}

/// Reads all sources (see [`Sources::gather`]) and checks every setting.
///
/// # Errors
/// All problems at once.
pub fn load(file: Option<&Path>) -> Result<Loaded, ConfigErrors> {
    resolve(Sources::gather(file))
}

/// Checks the settings of given sources.
///
/// # Errors
/// All problems at once.
pub fn resolve(sources: Sources) -> Result<Loaded, ConfigErrors> {
    let (config, shown, findings) = assemble::assemble(sources);
    let report::Findings { problems, warnings } = findings;
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded { config, warnings, shown }),
        _ => Err(ConfigErrors { problems, warnings, shown }),
    }
}
