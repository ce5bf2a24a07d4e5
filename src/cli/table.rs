//! Tables for people: of members, and of anything else.

use comfy_table::presets::NOTHING;
use comfy_table::{Color, ContentArrangement, Table};
use serde_json::Value;

use super::output::is_hostile;

/// A cell: the text, or a dash for null.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.chars().filter(|c| !is_hostile(*c)).collect(),
        other => other.to_string(),
    }
}

/// One line for each member below a line of titles.
pub(super) fn table(nodes: &[Value]) -> String {
    let titles = [
        "NAME",
        "ROLE",
        "AVAILABILITY",
        "ADDRESS",
        "DOCKER",
        "ENGINES",
        "STREAMS",
        "CONTACT",
        "VERSION",
        "NO NEW ENGINES",
    ];
    let mut rows = Vec::new();
    for node in nodes {
        let contact = match node["last_contact_ms"].as_u64() {
            Some(ms @ ..10_000) => format!("{ms} ms ago"),
            Some(ms) => format!("{} s ago", ms / 1000),
            None => "-".to_owned(),
        };
        rows.push([
            text(&node["name"]),
            text(&node["role"]),
            text(&node["availability"]),
            text(&node["address"]),
            text(&node["docker"]),
            text(&node["engines"]),
            text(&node["streams"]),
            contact,
            text(&node["version"]),
            text(&node["passed_over"]["message"]),
        ]);
    }
    columns(titles, rows)
}

/// What a cell says beside its text, on a terminal that has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tint {
    /// Nothing.
    Plain,
    /// As it should be.
    Good,
    /// Not as usual.
    Odd,
    /// Somebody has to look after it.
    Bad,
}

/// A cell of a table.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    tint: Tint,
}

impl Cell {
    /// A cell with a tint.
    pub fn of(text: &str, tint: Tint) -> Self {
        Self { text: text.to_owned(), tint }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, tint: Tint::Plain }
    }
}

/// Aligned columns below a line of titles. Lines are as long as they have to be, for programs that cut them apart.
pub(super) fn columns<const N: usize, C: Into<Cell>>(
    titles: [&str; N],
    rows: impl IntoIterator<Item = [C; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(titles);
    for row in rows {
        table.add_row(row.map(|cell| {
            let Cell { text, tint } = cell.into();
            let cell = comfy_table::Cell::new(text);
            match tint {
                Tint::Plain => cell,
                Tint::Good => cell.fg(Color::Green),
                Tint::Odd => cell.fg(Color::Yellow),
                Tint::Bad => cell.fg(Color::Red),
            }
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_aligned_columns_and_no_control_characters() {
        let node = json!({"name": "node-\u{1b}[31ma", "role": "voter", "engines": 12, "last_contact_ms": 38});
        let table = table(&[node]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].find("ROLE"), lines[1].find("voter"));
        assert_eq!(lines[0].find("ENGINES"), lines[1].find("12"));
        assert!(lines[1].contains("38 ms ago") && !table.contains('\u{1b}'));
    }
}
