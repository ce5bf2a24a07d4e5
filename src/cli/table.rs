//! Tables for people.

use comfy_table::presets::NOTHING;
use comfy_table::{Color, ContentArrangement, Table};

use super::output::no_colours_wanted;

/// Blanks between columns.
const GAP: u16 = 2;

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

    /// Its text.
    #[cfg(test)]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, tint: Tint::Plain }
    }
}

impl From<Cell> for comfy_table::Cell {
    fn from(Cell { text, tint }: Cell) -> Self {
        let cell = Self::new(text);
        match tint {
            Tint::Plain => cell,
            // With it, the library still writes the sequences around colours.
            _ if no_colours_wanted() => cell,
            Tint::Good => cell.fg(Color::Green),
            Tint::Odd => cell.fg(Color::Yellow),
            Tint::Bad => cell.fg(Color::Red),
        }
    }
}

/// Aligned columns below a line of titles. Lines are as long as they have to be, for programs that cut them apart. On a terminal that
/// is narrower, each row is a block of lines.
pub(super) fn columns<const N: usize, C: Into<Cell>>(
    titles: [&str; N],
    rows: impl IntoIterator<Item = [C; N]>,
) -> String {
    let rows: Vec<[Cell; N]> = rows.into_iter().map(|row| row.map(Into::into)).collect();
    // A terminal that does not know its width has none.
    let width = empty().width().map(usize::from).filter(|width| *width > 0);
    let is_too_wide = width.is_some_and(|width| width_of(&titles, &rows) > width);
    if is_too_wide { blocks(titles, rows) } else { lines(titles, rows) }
}

/// Columns of these rows, with their gaps.
fn width_of<const N: usize>(titles: &[&str; N], rows: &[[Cell; N]]) -> usize {
    let mut table = empty();
    table.set_header(titles);
    table.add_rows(rows.iter().map(|row| row.each_ref().map(|cell| &cell.text)));
    let widths = table.column_max_content_widths();
    widths.iter().map(|width| usize::from(*width)).sum::<usize>() + usize::from(GAP) * N.saturating_sub(1)
}

fn lines<const N: usize>(titles: [&str; N], rows: Vec<[Cell; N]>) -> String {
    let mut table = empty();
    table.set_header(titles);
    table.add_rows(rows);
    text_of(table)
}

/// A line for each cell behind its title, and an empty one between rows. Without colours, which would reach to the end of the longest.
fn blocks<const N: usize>(titles: [&str; N], rows: Vec<[Cell; N]>) -> String {
    let block = |row: [Cell; N]| {
        let mut table = empty();
        table.add_rows(titles.into_iter().zip(row).map(|(title, cell)| [title.to_owned(), cell.text]));
        text_of(table)
    };
    rows.into_iter().map(block).collect::<Vec<_>>().join("\n\n")
}

fn empty() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn text_of(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_blocks_have_the_same_titles() {
        let cells = |row: [&str; 2]| row.map(|text| Cell::from(text.to_owned()));
        let rows = || [["node-a", "12"], ["b", "7"]].map(cells).into_iter();
        let titles = ["NAME", "ENGINES"];
        assert_eq!(lines(titles, rows().collect()), "NAME    ENGINES\nnode-a  12\nb       7");
        assert_eq!(
            blocks(titles, rows().collect()),
            "NAME     node-a\nENGINES  12\n\nNAME     b\nENGINES  7"
        );
        assert_eq!(width_of(&titles, &rows().collect::<Vec<_>>()), "node-a  ENGINES".len());
        assert_eq!(blocks(titles, Vec::new()), "");
    }
}
