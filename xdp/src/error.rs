//! What can go wrong between us and the kernel.

use std::io;

/// A program, map or link could not be set up: the kernel or the host is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {}

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
