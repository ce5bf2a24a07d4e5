//! Tables for people.

use comfy_table::presets::NOTHING;
use comfy_table::{Color, ContentArrangement, Table};

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
