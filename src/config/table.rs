//! Lookups over the one table of all settings ([`super::settings`], [`super::retired`]). Documents, examples and checks come from it.

pub use super::retired::{RETIRED, Retired};
pub use super::setting::{Kind, Section, Setting};
pub use super::settings::SETTINGS;

/// Prefix of the settings that only this program has. Unknown names with it are refused.
pub const PREFIX: &str = "ACEFLEET_";

/// Names the TOML file; it is read from the environment and `.env`, never from the file itself.
pub const CONFIG_NAME: &str = "ACEFLEET_CONFIG";

/// What the compose files, scripts and tests of this project read. They stand in the same shells and `.env`
/// files as settings and mean nothing to a node.
const TOOL_NAMES: [&str; 13] = [
    "ACEFLEET_BED_LOG",
    "ACEFLEET_BENCH_DIR",
    "ACEFLEET_BIN",
    "ACEFLEET_BLESS",
    "ACEFLEET_COMPOSE",
    "ACEFLEET_ENGINE_SIM_TAR",
    "ACEFLEET_IMAGE",
    "ACEFLEET_IMAGES",
    "ACEFLEET_IMAGE_ARCH",
    "ACEFLEET_IMAGE_LOAD",
    "ACEFLEET_IMAGE_TAR",
    "ACEFLEET_LEADER_KILLS",
    "ACEFLEET_PROFILE",
];

/// The setting of this name, which is in upper case.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The retired setting of this name, which is in upper case.
#[must_use]
pub fn find_retired(name: &str) -> Option<&'static Retired> {
    RETIRED.iter().find(|retired| retired.name == name)
}

/// The secret whose value the file of this setting (`NAME_FILE`) holds.
#[must_use]
pub fn secret_of_file(name: &str) -> Option<&'static Setting> {
    find(name.strip_suffix("_FILE")?).filter(|setting| setting.secret)
}

/// True for every name that means something to this program.
#[must_use]
pub fn is_known(name: &str) -> bool {
    name == CONFIG_NAME
        || find(name).is_some()
        || find_retired(name).is_some()
        || secret_of_file(name).is_some()
}

/// True for a variable of this project's tools.
#[must_use]
pub fn is_tool_variable(name: &str) -> bool {
    TOOL_NAMES.contains(&name)
}

/// All names that somebody may have meant, for suggestions.
pub fn all_names() -> impl Iterator<Item = String> {
    SETTINGS
        .iter()
        .flat_map(|setting| {
            let file = setting.secret.then(|| format!("{}_FILE", setting.name));
            [Some(setting.name.to_owned()), file].into_iter().flatten()
        })
        .chain(std::iter::once(CONFIG_NAME.to_owned()))
}
