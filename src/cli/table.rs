//! Plain tables: columns two spaces apart, numbers to the right, no lines around them.

/// Where the text of a column stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Rows of cells under a heading.
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &[(&'static str, Align)]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with a cell for each column.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// The text, without spaces at the ends of lines.
    pub fn text(&self) -> String {
        let heading: Vec<String> = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&heading).chain(&self.rows).collect();
        let width =
            |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for cells in lines {
            let padded =
                cells.iter().zip(&widths).zip(&self.columns).map(
                    |((cell, &width), (_, align))| match align {
                        Align::Left => format!("{cell:<width$}"),
                        Align::Right => format!("{cell:>width$}"),
                    },
                );
            text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// A number with its digits in groups of three: `412 840`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes: `1 204 B`.
pub fn bytes(number: u64) -> String {
    format!("{} B", grouped(number))
}

/// The extents of a shape: `1x49x10x1`.
pub fn shape<T: ToString>(extents: &[T]) -> String {
    if extents.is_empty() {
        return "scalar".into();
    }
    extents.iter().map(T::to_string).collect::<Vec<_>>().join("x")
}

/// `text`, shortened in its middle where it is longer than `most` characters.
pub fn shortened(text: &str, most: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= most {
        return text.to_owned();
    }
    let tail = (most - 1) / 2;
    let head = most - 1 - tail;
    chars[..head].iter().chain(&['…']).chain(&chars[chars.len() - tail..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let shown = [0, 12, 999, 1000, 412_840, 5_000_000_000].map(grouped);
        assert_eq!(shown, ["0", "12", "999", "1 000", "412 840", "5 000 000 000"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[("name", Align::Left), ("flash", Align::Right), ("kind", Align::Left)]);
        table.row(vec!["ä".into(), bytes(1204), "add".into()]);
        table.row(vec!["conv_3".into(), bytes(8), String::new()]);
        assert_eq!(
            table.text(),
            "name      flash  kind\n\
             ä       1 204 B  add\n\
             conv_3      8 B\n"
        );
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shortened("abcdefghij", 10), "abcdefghij");
        assert_eq!(shortened("abcdefghijk", 10), "abcde…hijk");
    }
}
