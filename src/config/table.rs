//! Lookups over the one table of all settings ([`super::settings`], [`super::retired`]). Documents, examples and checks come from it.

pub use super::retired::{RETIRED, Retired};
pub use super::setting::{Kind, Section, Setting};
pub use super::settings::SETTINGS;

/// Prefix of the settings that only this program has. Unknown names with it are refused.
pub const PREFIX: &str = "ACEFLEET_";

/// Names the TOML file; it is read from the environment and `.env`, never from the file itself.
pub const CONFIG_NAME: &str = "ACEFLEET_CONFIG";

/// Names the node that the commands ask. It may stand in the environment of a node, to which it means nothing.
pub const URL_NAME: &str = "ACEFLEET_URL";

/// Names the file of the authorities that the commands believe. It may stand there for the same reason.
pub const AUTHORITIES_NAME: &str = "ACEFLEET_CA";

/// Names the image in the compose files. It stands in the same `.env` files as settings and means nothing to a node.
pub const IMAGE_NAME: &str = "ACEFLEET_IMAGE";

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
