//! Sampled packets, from the ring of the XDP program.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::maps::{Map as AyaMap, MapData, RingBuf};
use palisade_abi::Event;

use super::counters::possible_cpus;
use crate::{TableError, object::names, sys::map::Map};

/// Readable, for poll(2), when events wait.
pub struct EventRing {
    ring: RingBuf<MapData>,
    /// The same map again: the ring lends its own descriptor only as a number.
    fd: OwnedFd,
}

impl EventRing {
    pub(crate) fn new(map: OwnedFd) -> Result<Self, TableError> {
        let failed = |error| TableError::at(names::EVENTS, "open")(std::io::Error::other(error));
        let fd = map
            .try_clone()
            .map_err(TableError::at(names::EVENTS, "open"))?;
        let data = MapData::from_fd(map).map_err(failed)?;
        let ring = RingBuf::try_from(AyaMap::RingBuf(data)).map_err(failed)?;
        Ok(Self { ring, fd })
    }

    /// The oldest waiting event.
    pub fn take(&mut self) -> Option<Event> {
        loop {
            let item = self.ring.next()?;
            // Nothing of another size is ever written; the pin path carries the ABI version.
            if let Some(event) = crate::sys::map::read_plain(&item) {
                return Some(event);
            }
        }
    }
}

impl std::fmt::Debug for EventRing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("EventRing")
            .field("fd", &self.fd)
            .finish_non_exhaustive()
    }
}

impl AsFd for EventRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Samples that found the ring full.
#[derive(Clone, Debug)]
pub(crate) struct LostEvents {
    map: Map<u32, u64>,
    cpus: usize,
}

impl LostEvents {
    pub(crate) fn new(map: Map<u32, u64>) -> Result<Self, TableError> {
        Ok(Self {
            map,
            cpus: possible_cpus(names::EVENTS_LOST)?,
        })
    }

    pub(crate) fn total(&self) -> Result<u64, TableError> {
        let cpus = self
            .map
            .get_per_cpu(&0, self.cpus)
            .map_err(TableError::at(names::EVENTS_LOST, "lookup"))?;
        Ok(cpus.into_iter().fold(0, u64::wrapping_add))
    }
}
