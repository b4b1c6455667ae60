//! What the terminal shows: tables, colours where somebody looks, and nothing that a ban's text
//! could use to take the terminal over.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
};

/// A style that survives being turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Bold,
    Good,
    Bad,
    Warn,
    Faint,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Warn => "\x1b[33m",
            Self::Faint => "\x1b[2m",
        }
    }
}

/// Whether colours are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    On,
    Off,
}

impl Colour {
    /// On for a terminal, unless `NO_COLOR` is set to something or the terminal is dumb.
    pub(super) fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        if io::stdout().is_terminal() && !refused {
            Self::On
        } else {
            Self::Off
        }
    }

    pub(super) fn paint(self, ink: Ink, text: &str) -> String {
        match (self, ink) {
            (Self::Off, _) | (_, Ink::Plain) => text.to_owned(),
            (Self::On, ink) => format!("{}{text}\x1b[0m", ink.code()),
        }
    }
}

/// Where a command prints. Every write can fail, because the reader may have gone away.
pub(super) struct Output {
    sink: Box<dyn Write>,
    pub(super) colour: Colour,
}

impl Output {
    pub(super) fn stdout() -> Self {
        Self {
            sink: Box::new(io::stdout().lock()),
            colour: Colour::of_stdout(),
        }
    }

    /// Prints into `sink`, without colours.
    #[cfg(test)]
    pub(super) fn into_sink(sink: impl Write + 'static) -> Self {
        Self {
            sink: Box::new(sink),
            colour: Colour::Off,
        }
    }

    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        self.sink.write_all(line.as_bytes())?;
        self.sink.write_all(b"\n")
    }

    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.sink.write_all(text.as_bytes())
    }

    pub(super) fn json<T: serde::Serialize>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.sink, value).map_err(io::Error::from)?;
        self.sink.write_all(b"\n")
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A table whose columns are as wide as what is in them.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<(String, Ink)>>,
}

impl Table {
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: Vec<(String, Ink)>) {
        let cells = cells
            .into_iter()
            .map(|(text, ink)| (printable(&text), ink))
            .collect();
        self.rows.push(cells);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines, each with `indent` spaces in front and none behind.
    pub(super) fn render(&self, colour: Colour, indent: usize) -> String {
        let width = |column: usize, title: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|(text, _)| text.chars().count())
                .chain([title.len()])
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, (title, _))| width(index, title))
            .collect();
        let mut out = String::new();
        let titles: Vec<_> = self
            .columns
            .iter()
            .map(|(title, _)| ((*title).to_owned(), Ink::Faint))
            .collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = " ".repeat(indent);
            let mut owed = String::new();
            for ((text, ink), (width, (_, align))) in
                row.iter().zip(widths.iter().zip(&self.columns))
            {
                let gap = " ".repeat(width.saturating_sub(text.chars().count()));
                line.push_str(&owed);
                match align {
                    Align::Left => {
                        line.push_str(&colour.paint(*ink, text));
                        owed = gap + "  ";
                    }
                    Align::Right => {
                        line.push_str(&gap);
                        line.push_str(&colour.paint(*ink, text));
                        owed = "  ".to_owned();
                    }
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// `text` with control characters shown instead of obeyed: reasons are other people's words.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        let reorders = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || reorders {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// `1234567` as `1 234 567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A number of seconds in its two largest units: `3d 4h`, `59m 12s`.
pub(super) fn span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (size, unit) in units {
        if left >= size && parts.len() < 2 {
            parts.push(format!("{}{unit}", left / size));
            left %= size;
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::{Align, Colour, Ink, Table, grouped, printable, span};

    #[test]
    fn a_table_is_as_wide_as_its_cells_and_ends_without_spaces() {
        let mut table = Table::new(&[
            ("PREFIX", Align::Left),
            ("PACKETS", Align::Right),
            ("WHY", Align::Left),
        ]);
        table.row(vec![
            ("10.0.0.0/24".into(), Ink::Plain),
            ("7".into(), Ink::Plain),
            ("x".into(), Ink::Bad),
        ]);
        table.row(vec![
            ("::1/128".into(), Ink::Plain),
            ("12 345 678".into(), Ink::Plain),
            ("".into(), Ink::Plain),
        ]);
        let want = "PREFIX          PACKETS  WHY\n\
                    10.0.0.0/24           7  x\n\
                    ::1/128      12 345 678\n";
        assert_eq!(table.render(Colour::Off, 0), want);
        assert!(table.render(Colour::On, 0).contains("\x1b[31mx\x1b[0m"));
    }

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        assert_eq!(
            printable("a\x1b[2Jb\nc\u{202e}d"),
            "a\\u{1b}[2Jb\\u{a}c\\u{202e}d"
        );
    }

    #[test]
    fn numbers_and_spans_read_well() {
        for (number, want) in [
            (0, "0"),
            (999, "999"),
            (1000, "1 000"),
            (1_234_567, "1 234 567"),
        ] {
            assert_eq!(grouped(number), want);
        }
        let spans = [
            (0, "0s"),
            (59, "59s"),
            (3600, "1h"),
            (3599, "59m 59s"),
            (90_061, "1d 1h"),
            (86_401, "1d"),
        ];
        for (seconds, want) in spans {
            assert_eq!(span(seconds), want, "{seconds}");
        }
    }
}
