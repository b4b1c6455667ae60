//! Packets and bytes that the kernel programs counted, by interface, verdict and reason.

use palisade_abi::{COUNTER_ROW, Counter, PALISADE_MAX_INTERFACES, Reason, Verdict, counter_cell};

use crate::{TableError, object::names, sys::map::Map};

/// One counter row: a cell for each verdict and reason.
#[derive(Clone, Debug)]
pub struct Row(pub(super) [Counter; COUNTER_ROW]);

impl Row {
    pub fn get(&self, verdict: Verdict, reason: Reason) -> Counter {
        self.0
            .get(counter_cell(verdict, reason))
            .copied()
            .unwrap_or_default()
    }

    /// The cells that have counted something.
    pub fn counted(&self) -> impl Iterator<Item = (Verdict, Reason, Counter)> + '_ {
        Verdict::ALL.into_iter().flat_map(move |verdict| {
            Reason::ALL.into_iter().filter_map(move |reason| {
                let counter = self.get(verdict, reason);
                (counter.packets > 0).then_some((verdict, reason, counter))
            })
        })
    }

    pub(super) fn zero() -> Self {
        Self([Counter::default(); COUNTER_ROW])
    }

    pub(super) fn add(&mut self, cell: usize, counter: Counter) {
        if let Some(sum) = self.0.get_mut(cell) {
            sum.packets = sum.packets.wrapping_add(counter.packets);
            sum.bytes = sum.bytes.wrapping_add(counter.bytes);
        }
    }
}

/// Stage xdp or stage egress. Each CPU counts for itself; a row is their sum.
#[derive(Clone, Debug)]
pub struct Counters {
    name: &'static str,
    map: Map<u32, Counter>,
    cpus: usize,
}

impl Counters {
    pub(crate) fn new(name: &'static str, map: Map<u32, Counter>) -> Result<Self, TableError> {
        Ok(Self {
            name,
            map,
            cpus: possible_cpus(name)?,
        })
    }

    /// What the interface in this slot has seen, since it first got the slot.
    pub fn row(&self, slot: u16) -> Result<Row, TableError> {
        let mut row = Row::zero();
        for (cell, key) in Self::keys(slot)?.enumerate() {
            let cpus = self
                .map
                .get_per_cpu(&key, self.cpus)
                .map_err(TableError::at(self.name, "lookup"))?;
            cpus.into_iter().for_each(|counter| row.add(cell, counter));
        }
        Ok(row)
    }

    pub(crate) fn clear(&self, slot: u16) -> Result<(), TableError> {
        let zeroes = vec![Counter::default(); self.cpus];
        Self::keys(slot)?.try_for_each(|key| {
            self.map
                .set_per_cpu(&key, &zeroes)
                .map_err(TableError::at(self.name, "update"))
        })
    }

    fn keys(slot: u16) -> Result<std::ops::Range<u32>, TableError> {
        if u32::from(slot) >= PALISADE_MAX_INTERFACES {
            return Err(TableError::OutOfRange {
                table: names::COUNTERS,
                index: slot.into(),
                limit: PALISADE_MAX_INTERFACES.into(),
            });
        }
        let row = u32::try_from(COUNTER_ROW).unwrap_or(0);
        let start = u32::from(slot) * row;
        Ok(start..start + row)
    }
}

/// How many values an entry of a per-CPU map has.
pub(super) fn possible_cpus(table: &'static str) -> Result<usize, TableError> {
    aya::util::nr_cpus().map_err(|(_, error)| TableError::at(table, "count the CPUs of")(error))
}
