//! What a verb answers: one result, as text for people and as a document for scripts, and whether it is a finding.

use std::io::IsTerminal;

use serde_json::Value;

use super::diagnostic::{Failure, Verdict};
use super::output::{Console, Document};

/// The result of a verb.
pub(super) struct Answer {
    /// The document's name, such as `plan`.
    pub(super) name: &'static str,
    /// The pipeline it is about.
    pub(super) pipeline: String,
    /// Where the facts are from.
    pub(super) source: &'static str,
    /// The document's own fields, for `-o json` and `-o yaml`.
    pub(super) body: Value,
    /// For `-o table`.
    pub(super) text: String,
    /// How it ended: something different, refused, held or failed is found; something that could not be looked at failed.
    pub(super) verdict: Verdict,
}

impl Answer {
    /// Prints the answer in the form that was asked for.
    ///
    /// # Errors
    /// Standard output does not take it.
    pub(super) fn print(&self, console: &Console) -> Result<Verdict, Failure> {
        console.result(&self.document(), || format!("{}\n", self.text.trim_end()))?;
        Ok(self.verdict)
    }

    /// The answer as a document.
    pub(super) fn document(&self) -> Document<'_, Value> {
        Document::new(self.name, &self.body).of(&self.pipeline).from(self.source)
    }
}

/// Lines of text in columns, two spaces apart; nothing behind the last column is padded.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().filter(|row| row.len() > column + 1).map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let pad = if column + 1 == row.len() { 0 } else { widths[column].saturating_sub(cell.chars().count()) + 2 };
            format!("{cell}{}", " ".repeat(pad))
        });
        cells.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The rows with the cells of one column cut, so that lines fit a terminal; nothing is cut where standard output is none.
pub(super) fn fitted(mut rows: Vec<Vec<String>>, column: usize) -> Vec<Vec<String>> {
    let Some(width) = terminal_width() else { return rows };
    let length = |line: &str| line.chars().count();
    let longest = columns(&rows).lines().map(length).max().unwrap_or(0);
    let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| length(cell)).max().unwrap_or(0);
    let room = cells.saturating_sub(longest.saturating_sub(width)).max(SHORTEST);
    for cell in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
        *cell = cut(cell, room);
    }
    rows
}

/// What stays of a subject however narrow the terminal is.
const SHORTEST: usize = 12;

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(3)).chain("...".chars()).collect()
}

fn terminal_width() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// A count and its noun: `1 commit`, `3 commits`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_cut_to_its_room_and_says_so() {
        assert_eq!(cut("cart: rounding", 14), "cart: rounding");
        assert_eq!(cut("cart: rounding", 12), "cart: rou...");
    }

    #[test]
    fn columns_are_two_spaces_apart_and_the_last_is_not_padded() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let text = columns(&[row(&["A", "LONG", "Z"]), row(&["aaa", "b", "c"]), row(&["unchanged", "28 objects"])]);
        assert_eq!(text, "A          LONG  Z\naaa        b     c\nunchanged  28 objects");
    }
}
