//! The tables that packets are judged by.
use crate::TableError;
use palisade_abi::{FlowKey, FlowVerdict, LearnedFlow};
use std::{net::IpAddr, time::Duration};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    V4,
    V6,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BanEffect {
    Banned,
    Exempt,
}
/// `effect: None` deletes the entry of this prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BanEntry {
    pub prefix: (IpAddr, u8),
    pub effect: Option<BanEffect>,
}
#[derive(Clone, Debug)]
pub struct BanTable;
impl BanTable {
    /// All at once refused if it would not fit; otherwise written in batches.
    pub fn apply(&self, _entries: &[BanEntry]) -> Result<(), TableError> {
        todo!()
    }
    /// Every entry in the kernel, no order promised.
    pub fn entries(
        &self,
        _family: Family,
    ) -> impl Iterator<Item = Result<((IpAddr, u8), BanEffect), TableError>> + use<> {
        std::iter::empty()
    }
    /// Counts by walking the table: a second for a million.
    pub fn count(&self, _family: Family) -> Result<u64, TableError> {
        todo!()
    }
    pub fn capacity(&self, _family: Family) -> u64 {
        todo!()
    }
    /// What the kernel would say of this source: the longest prefix decides.
    pub fn lookup(&self, _source: IpAddr) -> Result<Option<BanEffect>, TableError> {
        todo!()
    }
}
#[derive(Clone, Debug)]
pub struct EndpointTable;
impl EndpointTable {
    /// `None` removes; flags are `palisade_abi::ENDPOINT_*`.
    pub fn apply(&self, _entries: &[(IpAddr, Option<u32>)]) -> Result<(), TableError> {
        todo!()
    }
    /// Makes the table hold exactly these.
    pub fn replace(&self, _entries: &[(IpAddr, u32)]) -> Result<(), TableError> {
        todo!()
    }
    pub fn get(&self, _address: IpAddr) -> Result<Option<u32>, TableError> {
        todo!()
    }
    pub fn entries(&self) -> Result<Vec<(IpAddr, u32)>, TableError> {
        todo!()
    }
}
#[derive(Clone, Debug)]
pub struct FlowTable;
impl FlowTable {
    /// Returns how many were written. ADMITTED stays set under a drop.
    pub fn write(&self, _batch: &[(FlowKey, FlowVerdict)]) -> Result<usize, TableError> {
        todo!()
    }
    pub fn get(&self, _key: &FlowKey) -> Result<Option<FlowVerdict>, TableError> {
        todo!()
    }
    pub fn clear(&self) -> Result<(), TableError> {
        todo!()
    }
    /// Walks the table.
    pub fn count(&self) -> Result<u64, TableError> {
        todo!()
    }
}
#[derive(Clone, Debug)]
pub struct LearnedTable;
impl LearnedTable {
    pub fn get(&self, _key: &FlowKey) -> Result<Option<LearnedFlow>, TableError> {
        todo!()
    }
    pub fn clear(&self) -> Result<(), TableError> {
        todo!()
    }
    pub fn count(&self) -> Result<u64, TableError> {
        todo!()
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortProtocol {
    Tcp,
    Udp,
    Sctp,
}
#[derive(Clone, Debug)]
pub struct AlwaysOpen;
impl AlwaysOpen {
    /// Makes exactly these ports always open.
    pub fn replace(&self, _ports: &[(PortProtocol, u16)]) {
        todo!()
    }
    pub fn contains(&self, _protocol: PortProtocol, _port: u16) -> bool {
        todo!()
    }
    pub fn ports(&self) -> Vec<(PortProtocol, u16)> {
        todo!()
    }
}
#[derive(Clone, Debug)]
pub struct StateCell;
impl StateCell {
    pub fn generation(&self) -> u32 {
        todo!()
    }
    pub fn set_generation(&self, _generation: u32) {
        todo!()
    }
    pub fn heartbeat_timeout(&self) -> Duration {
        todo!()
    }
    pub fn set_heartbeat_timeout(&self, _timeout: Duration) {
        todo!()
    }
}
