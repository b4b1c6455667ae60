//! What is wrong with the settings, and where.

use std::{fmt, path::PathBuf};

/// One fault in the settings file. Displayed as `file:line:column: key: problem`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettingsError {
    pub file: PathBuf,
    /// Counted from 1; 0 when the fault has no place in the file.
    pub line: usize,
    /// Counted from 1 in characters; 0 when the fault has no place.
    pub column: usize,
    /// Dotted path of the key, as in `interface[0].mode`; may be empty.
    pub key: String,
    pub problem: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.problem)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SettingsError {}
