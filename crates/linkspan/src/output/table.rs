use std::io::IsTerminal;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Blanks between columns, as Docker sets them.
const GAP: usize = 3;
/// A column is never made narrower than this.
const NARROWEST: usize = 8;

/// Rows of cells under headers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

/// Columns of the terminal that standard output is, if it is one.
pub(crate) fn terminal_width() -> Option<usize> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    terminal_size::terminal_size_of(&out).map(|(width, _)| usize::from(width.0)).filter(|&width| width > 0)
}

impl Table {
    /// Adds a row; the first is the headers.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        // A control character would break the row, or worse.
        let clean = |cell: String| cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.rows.push(cells.into_iter().map(Into::into).map(clean).collect());
    }

    /// The table, each line at most `width` columns wide where that is given and possible: the
    /// widest columns are cut.
    pub(crate) fn render(&self, width: Option<usize>) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        if let Some(limit) = width {
            shrink(&mut widths, limit);
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            let mut pending = 0;
            for (cell, &width) in row.iter().zip(&widths) {
                let cell = cut(cell, width);
                line.extend(std::iter::repeat_n(' ', pending));
                line.push_str(&cell);
                pending = width - cell.width().min(width) + GAP;
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn shrink(widths: &mut [usize], limit: usize) {
    let gaps = widths.len().saturating_sub(1) * GAP;
    while widths.iter().sum::<usize>() + gaps > limit {
        match widths.iter_mut().max() {
            Some(widest) if *widest > NARROWEST => *widest -= 1,
            _ => return,
        }
    }
}

fn cut(cell: &str, width: usize) -> String {
    if cell.width() <= width {
        return cell.to_owned();
    }
    let mut text = String::new();
    let mut used = 0;
    for c in cell.chars() {
        used += c.width().unwrap_or(0);
        if used >= width {
            break;
        }
        text.push(c);
    }
    text.push('…');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::default();
        table.row(["ID", "NAME", "COMMAND"]);
        table.row(["0123456789ab", "web", "python3 -m http.server --directory /srv/www 8000"]);
        table.row(["ba9876543210", "größe", "sh"]);
        table
    }

    #[test]
    fn columns_align_and_lines_do_not_trail() {
        insta::assert_snapshot!(table().render(None), @r"
        ID             NAME    COMMAND
        0123456789ab   web     python3 -m http.server --directory /srv/www 8000
        ba9876543210   größe   sh
        ");
    }

    #[test]
    fn the_widest_column_gives_way() {
        let text = table().render(Some(40));
        assert!(text.lines().all(|line| line.width() <= 40), "{text}");
        assert!(text.contains("0123456789ab   web     python3 -m http.…"), "{text}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut table = Table::default();
        table.row(["a\u{1b}[31m\nb"]);
        assert_eq!(table.render(None), "a [31m b\n");
    }
}
