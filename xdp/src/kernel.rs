//! All pinned maps and loaded programs of this ABI version.
use crate::{LoadError, TableError, maps::*, tables::*};
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Auto,
    Native,
    Generic,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachedMode {
    Native,
    Generic,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcKind {
    Tcx,
    Clsact,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Pass,
    Drop,
}

#[derive(Clone, Debug)]
pub struct InterfaceSpec {
    pub name: String,
    pub mode: Mode,
    pub when_workers_fail: Action,
    pub encapsulated: Action,
    /// Endpoints exist: steps after the ban lookup run.
    pub judge: bool,
    pub give_back_far_ifindex: Option<u32>,
    pub queues: u32,
    pub frame_bytes_max: u32,
}

#[derive(Clone, Debug)]
pub struct Attached {
    pub slot: u16,
    pub ifindex: u32,
    pub mode: AttachedMode,
    pub fell_back: Option<String>,
    pub shim_token: Option<u64>,
    pub tc: TcKind,
}

/// A slot as it stands in the kernel.
#[derive(Clone, Debug)]
pub struct InterfaceSlot {
    pub slot: u16,
    pub name: String,
    pub ifindex: u32,
    pub queues: u32,
    pub judge: bool,
    pub when_workers_fail: Action,
    pub encapsulated: Action,
    /// `None`: no link of ours is attached now.
    pub mode: Option<AttachedMode>,
}

#[derive(Clone, Debug)]
pub struct Kernel;
impl Kernel {
    pub fn open(_pin_directory: &Path) -> Result<Self, LoadError> {
        todo!()
    }
    /// Opens what is pinned and creates nothing; `None` when nothing is.
    pub fn open_existing(_pin_directory: &Path) -> Result<Option<Self>, LoadError> {
        todo!()
    }
    pub fn attach(&self, _spec: &InterfaceSpec) -> Result<Attached, LoadError> {
        todo!()
    }
    /// Takes the programs off one interface and frees its slot.
    pub fn detach(&self, _name: &str) -> Result<(), LoadError> {
        todo!()
    }
    /// Whether endpoints exist, for every attached interface.
    pub fn set_judge(&self, _slot: u16, _judge: bool) -> Result<(), TableError> {
        todo!()
    }
    pub fn interfaces(&self) -> Result<Vec<InterfaceSlot>, TableError> {
        todo!()
    }
    pub fn bans(&self) -> &BanTable {
        todo!()
    }
    pub fn endpoints(&self) -> &EndpointTable {
        todo!()
    }
    pub fn flows(&self) -> &FlowTable {
        todo!()
    }
    pub fn learned(&self) -> &LearnedTable {
        todo!()
    }
    pub fn always_open(&self) -> &AlwaysOpen {
        todo!()
    }
    pub fn state(&self) -> &StateCell {
        todo!()
    }
    pub fn counters(&self) -> &Counters {
        todo!()
    }
    pub fn worker_counters(&self) -> &WorkerCounters {
        todo!()
    }
    pub fn heartbeats(&self) -> &Heartbeats {
        todo!()
    }
    pub fn sockets(&self) -> &SocketMap {
        todo!()
    }
    /// One reader at a time: a second one takes events away from the first.
    pub fn events(&self) -> Result<EventRing, TableError> {
        todo!()
    }
    pub fn events_lost(&self) -> Result<u64, TableError> {
        todo!()
    }
}

/// What [`unload`] took away.
#[derive(Clone, Debug, Default)]
pub struct Unloaded {
    pub interfaces: Vec<String>,
    pub pins: usize,
}
pub fn unload(_pin_directory: &Path) -> Result<Unloaded, LoadError> {
    todo!()
}
