//! Says what is done and what was measured, one line each.

use std::fmt::Display;
use std::io::IsTerminal;

/// Prints the story. Colours only on a terminal that wants them.
#[derive(Debug)]
pub(crate) struct Narrator {
    step: u32,
    coloured: bool,
}

impl Narrator {
    pub(crate) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            step: 0,
            coloured: wanted && std::io::stdout().is_terminal(),
        }
    }

    /// Begins a step.
    pub(crate) fn step(&mut self, title: impl Display) {
        self.step += 1;
        println!(
            "\n{}",
            self.painted("1", format_args!("{}. {title}", self.step))
        );
    }

    /// What is being done.
    pub(crate) fn does(&self, what: impl Display) {
        println!("   {}", self.painted("2", what));
    }

    /// What was found, after it was checked.
    pub(crate) fn measured(&self, what: impl Display) {
        println!("   {} {what}", self.painted("32", "ok"));
    }

    fn painted(&self, code: &str, text: impl Display) -> String {
        if self.coloured {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}
