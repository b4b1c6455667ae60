//! What is wrong with the settings, and where.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

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

impl SettingsError {
    pub(super) fn unreadable(file: &Path, error: &io::Error) -> Self {
        Self {
            file: file.to_owned(),
            ..Self::of_argument("", format!("cannot be read: {error}"))
        }
    }

    /// A fault in what the command line adds to the file.
    pub(super) fn of_argument(key: &str, problem: String) -> Self {
        Self {
            file: PathBuf::new(),
            line: 0,
            column: 0,
            key: key.to_owned(),
            problem,
            suggestion: None,
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.as_os_str().is_empty() {
            write!(f, "{}", self.file.display())?;
            if self.line > 0 {
                write!(f, ":{}:{}", self.line, self.column)?;
            }
            f.write_str(": ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SettingsError {}
