//! What can go wrong between us and the kernel.
//!
//! [`LoadError`] is about programs, maps and links as a whole: the kernel or the host is at fault,
//! and the message says what to do. [`TableError`] is about one read or write.

use std::{fmt, io, path::PathBuf};

/// A program, map or link could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    #[error("{operation} {}: {source}", path.display())]
    Path {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "{} is not on a BPF file system: mount one (`mount -t bpf bpf /sys/fs/bpf`) or set \
         pin_directory to a folder on one", path.display()
    )]
    NotBpffs { path: PathBuf },
    #[error(
        "the pinned map {} is not the one this version uses: {}; run `palisade unload`, then start \
         again", path.display(), Differences(differences)
    )]
    PinChanged {
        path: PathBuf,
        differences: Vec<Difference>,
    },
    #[error("the pinned map {} has gone while others are still there; run `palisade unload`", path.display())]
    PinMissing { path: PathBuf },
    #[error("the kernel refuses the maps: {0}")]
    Object(#[source] Box<aya::EbpfError>),
    #[error("the kernel refuses the program {program}: {source}")]
    Program {
        program: &'static str,
        source: Box<aya::programs::ProgramError>,
    },
    #[error("the embedded object has no {what}")]
    Incomplete { what: String },
    #[error("there is no network interface {name:?}")]
    NoInterface { name: String },
    #[error("{name} is no Ethernet interface (link type {kind}): the parser reads Ethernet frames")]
    NotEthernet { name: String, kind: u16 },
    #[error("all {limit} interface slots are taken: {held}")]
    SlotsFull { limit: u32, held: String },
    #[error("{name} has {queues} receive queues: {limit} at most are served")]
    TooManyQueues {
        name: String,
        queues: u32,
        limit: u32,
    },
    #[error(
        "{interface} already has the XDP program {program:?} (id {program_id}) of somebody else: \
         take it off (`ip link set dev {interface} xdp off`, or stop its owner) and start again"
    )]
    ForeignProgram {
        interface: String,
        program: String,
        program_id: u32,
    },
    #[error("cannot attach {program} to {interface}: {source}")]
    Attach {
        program: &'static str,
        interface: String,
        source: io::Error,
    },
    #[error(
        "{interface} does not take XDP in native mode: {source}; set mode = \"auto\" or \"generic\""
    )]
    NativeRefused {
        interface: String,
        source: io::Error,
    },
    #[error(transparent)]
    Table(#[from] TableError),
}

/// One attribute in which a pinned map is not as the programs want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub attribute: &'static str,
    pub pinned: u32,
    pub wanted: u32,
}

struct Differences<'a>(&'a [Difference]);

impl fmt::Display for Differences<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (
            index,
            Difference {
                attribute,
                pinned,
                wanted,
            },
        ) in self.0.iter().enumerate()
        {
            let comma = if index == 0 { "" } else { ", " };
            write!(formatter, "{comma}{attribute} is {pinned}, not {wanted}")?;
        }
        Ok(())
    }
}

/// A table could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    #[error("table {table} holds {held} of {capacity} entries: {wanted} more do not fit")]
    Full {
        table: &'static str,
        capacity: u64,
        held: u64,
        wanted: u64,
    },
    #[error("{operation} on table {table}: {source}")]
    Kernel {
        table: &'static str,
        operation: &'static str,
        source: io::Error,
    },
    #[error("table {table} has no place {index}: the limit is {limit}")]
    OutOfRange {
        table: &'static str,
        index: u64,
        limit: u64,
    },
    #[error("prefix length {length} is longer than the {bits} bits of the address")]
    BadPrefix { length: u8, bits: u8 },
}

impl TableError {
    /// For `map_err`: which table, doing what.
    pub(crate) fn at(
        table: &'static str,
        operation: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Kernel {
            table,
            operation,
            source,
        }
    }
}
