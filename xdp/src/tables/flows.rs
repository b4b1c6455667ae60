//! What is remembered of flows: verdicts, and flows that start here.

use palisade_abi::{FLOW_ADMITTED, FlowKey, FlowVerdict, LearnedFlow, Verdict};

use crate::{
    TableError,
    object::names,
    sys::map::{Map, Plain},
};

/// Entries in one system call.
const BATCH: usize = 1024;

/// Verdicts of flows, written by workers and, for strangers let in without one, by the kernel.
#[derive(Clone, Debug)]
pub struct FlowTable {
    map: Map<FlowKey, FlowVerdict>,
}

impl FlowTable {
    pub(crate) fn new(map: Map<FlowKey, FlowVerdict>) -> Self {
        Self { map }
    }

    /// Writes verdicts and says how many were written.
    ///
    /// A drop over a flow that was let in keeps the mark that it was: what the host sends on it is
    /// still an answer, and must not be learned as the start of a flow.
    pub fn write(&self, batch: &[(FlowKey, FlowVerdict)]) -> Result<usize, TableError> {
        let mut written = 0;
        for chunk in batch.chunks(BATCH) {
            let marked: Vec<_> = chunk
                .iter()
                .map(|(key, verdict)| Ok((*key, self.keep_mark(key, *verdict)?)))
                .collect::<Result<_, TableError>>()?;
            match self.map.set_batch(&marked) {
                Ok(()) => written += marked.len(),
                Err((count, source)) if written + count == 0 => {
                    return Err(TableError::at(names::FLOWS, "update")(source));
                }
                Err((count, _)) => return Ok(written + count),
            }
        }
        Ok(written)
    }

    fn keep_mark(
        &self,
        key: &FlowKey,
        mut verdict: FlowVerdict,
    ) -> Result<FlowVerdict, TableError> {
        if verdict.verdict == Verdict::Drop as u8
            && self.get(key)?.is_some_and(|old| was_let_in(&old))
        {
            verdict.flags |= admitted();
        }
        Ok(verdict)
    }

    pub fn get(&self, key: &FlowKey) -> Result<Option<FlowVerdict>, TableError> {
        self.map
            .get(key)
            .map_err(TableError::at(names::FLOWS, "lookup"))
    }

    pub fn clear(&self) -> Result<(), TableError> {
        clear(names::FLOWS, &self.map)
    }

    /// Counts by walking the table.
    pub fn count(&self) -> Result<u64, TableError> {
        count(names::FLOWS, &self.map)
    }
}

fn admitted() -> u8 {
    u8::try_from(FLOW_ADMITTED).unwrap_or(0)
}

fn was_let_in(verdict: &FlowVerdict) -> bool {
    verdict.flags & admitted() != 0 || verdict.verdict == Verdict::Pass as u8
}

/// Flows that start here, keyed as their replies look. Written by the egress program alone.
#[derive(Clone, Debug)]
pub struct LearnedTable {
    map: Map<FlowKey, LearnedFlow>,
}

impl LearnedTable {
    pub(crate) fn new(map: Map<FlowKey, LearnedFlow>) -> Self {
        Self { map }
    }

    pub fn get(&self, key: &FlowKey) -> Result<Option<LearnedFlow>, TableError> {
        self.map
            .get(key)
            .map_err(TableError::at(names::LEARNED, "lookup"))
    }

    pub fn clear(&self) -> Result<(), TableError> {
        clear(names::LEARNED, &self.map)
    }

    /// Counts by walking the table.
    pub fn count(&self) -> Result<u64, TableError> {
        count(names::LEARNED, &self.map)
    }
}

fn count<V: Plain>(table: &'static str, map: &Map<FlowKey, V>) -> Result<u64, TableError> {
    map.walk()
        .try_fold(0, |count, entry| entry.map(|_| count + 1))
        .map_err(TableError::at(table, "walk"))
}

fn clear<V: Plain>(table: &'static str, map: &Map<FlowKey, V>) -> Result<(), TableError> {
    let keys: Vec<_> = map
        .walk()
        .map(|entry| entry.map(|(key, _)| key))
        .collect::<Result<_, _>>()
        .map_err(TableError::at(table, "walk"))?;
    for batch in keys.chunks(BATCH) {
        map.remove_batch(batch)
            .map_err(TableError::at(table, "delete"))?;
    }
    Ok(())
}
