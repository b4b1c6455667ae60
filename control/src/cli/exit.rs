//! How the command line tells a script what happened.

use std::{io, path::PathBuf, process::ExitCode};

use super::client::ClientError;

/// The closed list of exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Unreachable = 4,
    Refused = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Client(#[from] ClientError),
    /// What went wrong, place by place.
    #[error("{0}")]
    Reported(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Refused(String),
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Failure {
    /// The exit code this failure ends with.
    ///
    /// A reader that has gone away (`palisade bans | head`) is no failure: it has what it wanted.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Usage(_) => Exit::Usage,
            Self::Refused(_) => Exit::Refused,
            Self::Reported(_)
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Output(_)
            | Self::Other(_) => Exit::Failed,
        }
    }

    /// What is left to say on stderr. A report of places stands alone, so that editors find them.
    pub fn report(&self) -> Option<String> {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Self::Reported(places) => Some(places.clone()),
            failure => Some(format!("palisade: {failure}")),
        }
    }
}
