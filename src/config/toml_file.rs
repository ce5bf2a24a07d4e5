//! The TOML file: plain keys at the top level, with the names of the settings in any case.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Value;

use super::layer::{Layer, Source};
use super::report::Findings;

/// Its values; none when it is no TOML. Error messages of the parser that quote lines are not passed on,
/// since a line may hold a secret.
pub fn layer(path: PathBuf, text: &str, findings: &mut Findings) -> Option<Layer> {
    let shown = path.display().to_string();
    let table = match text.parse::<toml::Table>() {
        Ok(table) => table,
        Err(error) => {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map(|before| format!(" line {}", before.matches('\n').count() + 1));
            let line = line.unwrap_or_default();
            findings.problem(&shown, format!("{shown}{line}: not valid TOML: {}", error.message()));
            return None;
        }
    };
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let name = key.to_ascii_uppercase();
        let text = match value {
            Value::String(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(flag) => flag.to_string(),
            // One entry a line reads better than one long text.
            Value::Array(entries)
                if matches!(name.as_str(), "ACEFLEET_PEERS" | "ACEFLEET_JOIN")
                    && entries.iter().all(Value::is_str) =>
            {
                entries.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
            }
            Value::Table(_) => {
                findings
                    .problem(&name, format!("{key} ({shown}): a section; settings stand at the top level"));
                continue;
            }
            Value::Array(_) | Value::Datetime(_) => {
                let kind = value.type_str();
                findings
                    .problem(&name, format!("{name} ({shown}): {kind} is not accepted, write it as text"));
                continue;
            }
        };
        if values.insert(name.clone(), text).is_some() {
            findings.problem(&name, format!("{name} is there twice in {shown}, in upper and lower case"));
        }
    }
    Some(Layer { source: Source::Toml(path), values })
}
