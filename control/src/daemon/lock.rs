//! One daemon for each state directory and each set of pinned maps.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// Another daemon holds the lock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a palisade daemon is running already: it holds {}", path.display())]
pub struct AlreadyRunning {
    pub path: PathBuf,
}

/// Held until dropped, and let go by the kernel when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Locks the state directory.
    pub(super) fn state(directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("making the state directory {}", directory.display()))?;
        let path = directory.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        take(file, &path)
    }

    /// Locks the directory of pinned maps, which must exist: two daemons with state directories
    /// of their own would still fight over it.
    pub(super) fn pins(directory: &Path) -> anyhow::Result<Self> {
        let file =
            File::open(directory).with_context(|| format!("opening {}", directory.display()))?;
        take(file, directory)
    }
}

fn take(file: File, path: &Path) -> anyhow::Result<Lock> {
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(AlreadyRunning {
            path: path.to_owned(),
        }
        .into()),
        Err(TryLockError::Error(error)) => {
            Err(io::Error::other(error)).with_context(|| format!("locking {}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AlreadyRunning, Lock};

    #[test]
    fn a_second_daemon_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for take in [Lock::state, Lock::pins] {
            let first = take(directory.path()).unwrap();
            let error = take(directory.path()).expect_err("held");
            assert!(error.downcast_ref::<AlreadyRunning>().is_some(), "{error}");
            drop(first);
            take(directory.path()).unwrap();
        }
    }
}
