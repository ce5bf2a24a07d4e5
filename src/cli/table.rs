//! Tables for people: of members, and of anything else.

use serde_json::Value;

/// A cell: the text, or a dash for null.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.chars().filter(|c| !c.is_control()).collect(),
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
    columns(titles, &rows)
}

/// Aligned columns below a line of titles.
pub(super) fn columns<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let titles = titles.map(str::to_owned);
    let lines = || std::iter::once(&titles).chain(rows);
    let mut widths = [0; N];
    for line in lines() {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines().map(line).collect::<Vec<_>>().join("\n")
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
