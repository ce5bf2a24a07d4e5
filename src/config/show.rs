//! Settings for people: the values of this node, the tables of the documents, the example files. All come from the table, so that documents
//! are always up to date.

use std::fmt::Write;

use super::report::Shown;
use super::table::{CONFIG_NAME, Kind, RETIRED, SETTINGS, Section, Setting};

/// Where cluster-wide settings are looked up and changed.
const ELSEWHERE: &str = "\nCluster-wide settings are in force as the cluster has them, and these are only the first values of a new one:\n\
    `acefleet settings get` shows those in force, `acefleet settings set NAME=VALUE` changes them.\n";

/// `NAME = value   (source)`, one line for each setting, and where the cluster-wide ones are looked up.
#[must_use]
pub fn values(shown: &[Shown]) -> String {
    let name_width = shown.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in shown {
        let value = match row.value.as_str() {
            "" => super::table::find(row.name).map_or("", |setting| setting.default_words).replace('`', ""),
            value => value
                .chars()
                .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
                .collect(),
        };
        let is_shared = super::table::find(row.name).is_some_and(|setting| setting.shared.is_some());
        let shared = if is_shared { "; cluster-wide" } else { "" };
        let _ = writeln!(text, "{:name_width$} = {value}  ({}{shared})", row.name, row.source);
    }
    text.push_str(ELSEWHERE);
    text
}

/// The tables of `docs/CONFIG.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::new();
    for section in Section::ALL {
        let _ = writeln!(text, "### {}\n", section.title());
        text.push_str("| Name | Default | Accepted | Meaning |\n|---|---|---|---|\n");
        for setting in SETTINGS.iter().filter(|setting| setting.section == section) {
            let name = match setting.secret {
                true => format!("`{0}`, `{0}_FILE`", setting.name),
                false => format!("`{}`", setting.name),
            };
            let example = match setting.example {
                "" => String::new(),
                example if example == setting.default => String::new(),
                example => format!(" Example: `{example}`."),
            };
            let _ = writeln!(
                text,
                "| {name} | {} | {} | {}{}{example} |",
                default_of(setting),
                setting.kind.accepts().replace('|', "\\|"),
                if setting.shared.is_some() { "*Cluster-wide.* " } else { "" },
                setting.meaning
            );
        }
        text.push('\n');
    }
    text.push_str("### Accepted without effect\n\n");
    text.push_str("A warning names each of these when it is set; those marked *refused* stop the node.\n\n");
    text.push_str("| Name | Instead |\n|---|---|\n");
    for retired in RETIRED {
        let refused = if retired.refused { "*refused*: " } else { "" };
        let _ = writeln!(text, "| `{}` | {refused}{} |", retired.name, retired.instead.replace('*', "\\*"));
    }
    text
}

fn default_of(setting: &Setting) -> String {
    match setting.default_words {
        "" => format!("`{}`", setting.default),
        words => words.to_owned(),
    }
}

/// `.env.example`: every setting as a comment.
#[must_use]
pub fn env_example() -> String {
    let mut text = String::from(
        "# Settings of an Acefleet node. Copy to .env in the directory the node starts in, and remove the #\n\
         # in front of what you want to change. docs/CONFIG.md explains every setting; `acefleet config\n\
         # check` says what is wrong. Quote values with single quotes when they have spaces, quotes, # or $\n\
         # in them.\n",
    );
    example(&mut text, |setting| format!("#{}={}", setting.name, setting.example));
    text
}

/// `deploy/acefleet.toml.example`: every setting as a comment.
#[must_use]
pub fn toml_example() -> String {
    let mut text = format!(
        "# Settings of an Acefleet node. Copy to ./acefleet.toml or /etc/acefleet/acefleet.toml, or name the\n\
         # file with --config or {CONFIG_NAME}, and remove the # in front of what you want to change.\n\
         # Names may be in lower case. Environment and .env are stronger. docs/CONFIG.md explains every\n\
         # setting; `acefleet config check` says what is wrong.\n",
    );
    example(&mut text, |setting| format!("#{} = {}", setting.name.to_ascii_lowercase(), toml_value(setting)));
    text
}

fn example(text: &mut String, line: impl Fn(&Setting) -> String) {
    for section in Section::ALL {
        let _ = writeln!(text, "\n# --- {} ---", section.title());
        for setting in SETTINGS.iter().filter(|setting| setting.section == section) {
            let _ = writeln!(text, "\n# {}", setting.meaning.replace('`', ""));
            let _ = writeln!(text, "# Default: {}.", default_of(setting).replace('`', ""));
            if setting.shared.is_some() {
                let _ = writeln!(
                    text,
                    "# The cluster begins with it; then: acefleet settings set {}=…",
                    setting.name
                );
            }
            if setting.secret {
                let _ = writeln!(text, "# {}_FILE names a file that holds it.", setting.name);
            }
            let _ = writeln!(text, "{}", line(setting));
        }
    }
}

fn toml_value(setting: &Setting) -> String {
    match setting.kind {
        Kind::Port | Kind::Count { .. } | Kind::Seconds { .. } | Kind::Flag => setting.example.to_owned(),
        _ => toml::Value::String(setting.example.to_owned()).to_string(),
    }
}
