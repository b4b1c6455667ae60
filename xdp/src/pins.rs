//! The pin directory: where maps and links outlive the process.
//!
//! ```text
//! <pin directory>/v<ABI version>/bans_v4 ... state     the maps, shared by all interfaces
//!                               /xdp_<slot>            the links of the interface in that slot
//!                               /egress_<slot>
//!                               /give_back_<slot>
//! ```
//!
//! A pinned map is used only if it is exactly what the programs were compiled for: the kernel would
//! let a program use any other map of the same type, and read nonsense from it.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use palisade_abi::PALISADE_ABI_VERSION;
use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::{
    LoadError,
    error::Difference,
    object::{MapSpec, OBJECT},
    sys::{get_pinned, map},
};

const BPFFS_MAGIC: i64 = 0xcafe_4a11;
const BPFFS_MOUNT: &str = "/sys/fs/bpf";

/// The links that an interface can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkPin {
    Xdp,
    Egress,
    GiveBack,
}

impl LinkPin {
    pub(crate) const ALL: [Self; 3] = [Self::Xdp, Self::Egress, Self::GiveBack];

    const fn stem(self) -> &'static str {
        match self {
            Self::Xdp => "xdp_",
            Self::Egress => "egress_",
            Self::GiveBack => "give_back_",
        }
    }

    pub(crate) fn name(self, slot: u16) -> String {
        format!("{}{slot}", self.stem())
    }

    /// Whether a file of this name in a version directory is a link.
    pub(crate) fn is_name(name: &str) -> bool {
        Self::ALL.iter().any(|pin| {
            name.strip_prefix(pin.stem())
                .is_some_and(|slot| slot.bytes().all(|digit| digit.is_ascii_digit()))
        })
    }
}

/// The directory of this ABI version.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    directory: PathBuf,
}

impl Pins {
    pub(crate) fn new(pin_directory: &Path) -> Self {
        Self {
            directory: pin_directory.join(format!("v{PALISADE_ABI_VERSION}")),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn link(&self, pin: LinkPin, slot: u16) -> PathBuf {
        self.directory.join(pin.name(slot))
    }

    pub(crate) fn exists(&self) -> bool {
        self.directory.is_dir()
    }

    /// Makes the directory, mounting the BPF file system in its usual place if nobody has.
    pub(crate) fn create(&self) -> Result<(), LoadError> {
        if self.directory.starts_with(BPFFS_MOUNT) && !is_bpffs(Path::new(BPFFS_MOUNT)) {
            mount_bpffs()?;
        }
        let existing = self.directory.ancestors().find(|path| path.exists());
        if !existing.is_some_and(is_bpffs) {
            return Err(LoadError::NotBpffs {
                path: self.directory.clone(),
            });
        }
        fs::create_dir_all(&self.directory).map_err(|source| self.failed("create", source))
    }

    /// Keeps other processes from changing pins while the result lives.
    pub(crate) fn lock(&self) -> Result<OwnedFd, LoadError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&self.directory, flags, Mode::empty())
            .map_err(|error| self.failed("open", error.into()))?;
        rustix::fs::flock(&directory, FlockOperation::LockExclusive)
            .map_err(|error| self.failed("lock", error.into()))?;
        Ok(directory)
    }

    /// Makes and pins the maps that are missing, after checking those that are there.
    pub(crate) fn create_maps(&self, specs: &[MapSpec]) -> Result<(), LoadError> {
        let mut missing = false;
        for spec in specs {
            missing |= self.checked_map(spec)?.is_none();
        }
        if missing {
            aya::EbpfLoader::new()
                .default_map_pin_directory(&self.directory)
                .load(OBJECT)
                .map_err(|error| LoadError::Object(Box::new(error)))?;
        }
        Ok(())
    }

    /// Opens a pinned map; `None` when it is not there.
    pub(crate) fn checked_map(&self, spec: &MapSpec) -> Result<Option<OwnedFd>, LoadError> {
        let path = self.directory.join(&spec.name);
        let failed = |source| LoadError::Path {
            operation: "open",
            path: path.clone(),
            source,
        };
        let Some(fd) = get_pinned(&path).map_err(failed)? else {
            return Ok(None);
        };
        let found = map::attributes(fd.as_fd()).map_err(failed)?;
        let differences: Vec<_> = [
            ("type", found.kind, spec.wanted.kind),
            ("key size", found.key_size, spec.wanted.key_size),
            ("value size", found.value_size, spec.wanted.value_size),
            ("max_entries", found.max_entries, spec.wanted.max_entries),
            ("flags", found.flags, spec.wanted.flags),
        ]
        .into_iter()
        .filter(|(_, pinned, wanted)| pinned != wanted)
        .map(|(attribute, pinned, wanted)| Difference {
            attribute,
            pinned,
            wanted,
        })
        .collect();
        if differences.is_empty() {
            Ok(Some(fd))
        } else {
            Err(LoadError::PinChanged { path, differences })
        }
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> LoadError {
        LoadError::Path {
            operation,
            path: self.directory.clone(),
            source,
        }
    }
}

pub(crate) fn is_bpffs(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| found.f_type == BPFFS_MAGIC)
}

fn mount_bpffs() -> Result<(), LoadError> {
    use rustix::mount::{MountFlags, mount};
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("bpf", BPFFS_MOUNT, "bpf", flags, None::<&std::ffi::CStr>).map_err(|error| {
        LoadError::Path {
            operation: "mount a BPF file system on",
            path: BPFFS_MOUNT.into(),
            source: error.into(),
        }
    })
}
