//! What this host offers, asked without changing it: the probes behind `palisade doctor`.
//!
//! Each probe says what it looked for and found, why palisade wants it, what to do about it, and
//! what happens without.

mod host;
mod interface;

pub use self::{host::host, interface::interface};

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What was looked for: a few words.
    pub name: String,
    pub present: bool,
    /// Nothing works without it, as opposed to: it works worse.
    pub required: bool,
    /// What was found, as measured.
    pub found: String,
    pub why_needed: &'static str,
    /// Empty when there is nothing to do.
    pub what_to_do: String,
    /// What happens without it.
    pub fallback: Option<&'static str>,
}

impl Probe {
    /// A thing that palisade needs.
    fn required(name: &str, present: bool, found: String) -> Self {
        Self {
            name: name.to_owned(),
            present,
            required: true,
            found,
            why_needed: "",
            what_to_do: String::new(),
            fallback: None,
        }
    }

    /// A thing without which palisade works, but worse.
    fn wanted(name: &str, present: bool, found: String) -> Self {
        Self {
            required: false,
            ..Self::required(name, present, found)
        }
    }

    fn because(mut self, why_needed: &'static str) -> Self {
        self.why_needed = why_needed;
        self
    }

    fn remedy(mut self, what_to_do: impl Into<String>) -> Self {
        if !self.present {
            self.what_to_do = what_to_do.into();
        }
        self
    }

    fn or_else(mut self, fallback: &'static str) -> Self {
        self.fallback = Some(fallback);
        self
    }
}
