//! All pinned maps of this ABI version, and the way to attach the programs over them.

use std::{os::fd::OwnedFd, path::Path, sync::Arc};

use palisade_abi::{INTERFACE_JUDGE, Interface};

use crate::{
    AlwaysOpen, Attached, BanTable, Counters, EndpointTable, EventRing, FlowTable, Heartbeats,
    InterfaceSlot, InterfaceSpec, LearnedTable, LoadError, PolicySlot, Programs, SocketMap,
    StateCell, TableError, WorkerCounters,
    attach::{self, Target, attached_mode},
    interface::{
        FoundSlot, Slots, decode_action, find_slot, read_slot, resolve, slot_name, used_slots,
        write_slot,
    },
    maps::LostEvents,
    object::{map_specs, names},
    pins::{LinkPin, Pins},
    sys::{
        link::{Place, detach_filter},
        map::{Map, Plain},
    },
};

/// A handle on the kernel's tables and programs. Cheap to clone; works with the daemon stopped.
#[derive(Clone, Debug)]
pub struct Kernel {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pins: Pins,
    slots: Slots,
    bans: BanTable,
    endpoints: EndpointTable,
    policy: PolicySlot,
    flows: FlowTable,
    learned: LearnedTable,
    always_open: AlwaysOpen,
    state: StateCell,
    counters: Counters,
    egress_counters: Counters,
    worker_counters: WorkerCounters,
    heartbeats: Heartbeats,
    sockets: SocketMap,
    events_lost: LostEvents,
}

impl Kernel {
    /// Opens the pinned maps, making those that are not there. Every map that is there already is
    /// compared with what the programs were compiled for.
    pub fn open(pin_directory: &Path) -> Result<Self, LoadError> {
        lift_memory_limit();
        let pins = Pins::new(pin_directory);
        pins.create()?;
        let specs = map_specs()?;
        let lock = pins.lock()?;
        pins.create_maps(&specs)?;
        drop(lock);
        Self::over(pins)
    }

    /// Opens the pinned maps and makes nothing; `None` when palisade is not loaded.
    pub fn open_existing(pin_directory: &Path) -> Result<Option<Self>, LoadError> {
        let pins = Pins::new(pin_directory);
        if !pins.exists() {
            return Ok(None);
        }
        Self::over(pins).map(Some)
    }

    fn over(pins: Pins) -> Result<Self, LoadError> {
        let maps = PinnedMaps {
            pins: &pins,
            specs: map_specs()?,
        };
        let inner = Inner {
            slots: maps.map(names::INTERFACES)?,
            bans: BanTable::new(maps.map(names::BANS_V4)?, maps.map(names::BANS_V6)?),
            endpoints: EndpointTable::new(maps.map(names::ENDPOINTS)?),
            policy: PolicySlot::new(maps.map(names::POLICY)?),
            flows: FlowTable::new(maps.map(names::FLOWS)?),
            learned: LearnedTable::new(maps.map(names::LEARNED)?),
            always_open: AlwaysOpen::new(&maps.fd(names::ALWAYS_OPEN)?)?,
            state: StateCell::new(&maps.fd(names::STATE)?)?,
            counters: Counters::new(names::COUNTERS, maps.map(names::COUNTERS)?)?,
            egress_counters: Counters::new(
                names::EGRESS_COUNTERS,
                maps.map(names::EGRESS_COUNTERS)?,
            )?,
            worker_counters: WorkerCounters::new(&maps.fd(names::WORKER_COUNTERS)?)?,
            heartbeats: Heartbeats::new(&maps.fd(names::HEARTBEATS)?)?,
            sockets: SocketMap::new(maps.map(names::SOCKETS)?),
            events_lost: LostEvents::new(maps.map(names::EVENTS_LOST)?)?,
            pins,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Attaches the programs to an interface, or puts these versions in the place of those that are
    /// attached. Counters of the interface go on.
    pub fn attach(&self, spec: &InterfaceSpec) -> Result<Attached, LoadError> {
        let ifindex = resolve(spec)?;
        let _lock = self.inner.pins.lock()?;
        let target = match find_slot(&self.inner.slots, &spec.name)? {
            FoundSlot::Known(slot, before) => Target {
                slot,
                ifindex,
                before,
            },
            FoundSlot::Free(slot) => {
                self.inner.counters.clear(slot)?;
                self.inner.egress_counters.clear(slot)?;
                self.inner.worker_counters.clear(slot);
                self.inner.heartbeats.clear(slot);
                Target {
                    slot,
                    ifindex,
                    before: Interface::default(),
                }
            }
        };
        attach::attach(&self.inner.pins, &self.inner.slots, spec, target)
    }

    /// Takes the programs off one interface and frees its slot. No error if it had none.
    pub fn detach(&self, name: &str) -> Result<(), LoadError> {
        let _lock = self.inner.pins.lock()?;
        let FoundSlot::Known(slot, interface) = find_slot(&self.inner.slots, name)? else {
            return Ok(());
        };
        let mut tcx = false;
        for kind in LinkPin::ALL {
            tcx |= attach::take_off(&self.inner.pins.link(kind, slot))? && kind == LinkPin::Egress;
        }
        if !tcx {
            detach_filter(interface.ifindex, Place::TcEgress).map_err(|source| {
                LoadError::Attach {
                    program: crate::programs::EGRESS,
                    interface: name.to_owned(),
                    source,
                }
            })?;
        }
        write_slot(&self.inner.slots, slot, &Interface::default())?;
        Ok(())
    }

    /// Whether endpoints exist for this interface: without, the steps after the ban lookup are not
    /// run.
    pub fn set_judge(&self, slot: u16, judge: bool) -> Result<(), TableError> {
        let mut interface = read_slot(&self.inner.slots, slot)?;
        if judge {
            interface.flags |= INTERFACE_JUDGE;
        } else {
            interface.flags &= !INTERFACE_JUDGE;
        }
        write_slot(&self.inner.slots, slot, &interface)
    }

    /// The slots in use, with what is attached right now.
    pub fn interfaces(&self) -> Result<Vec<InterfaceSlot>, TableError> {
        let used = used_slots(&self.inner.slots)?;
        Ok(used
            .into_iter()
            .map(|(slot, interface)| {
                let pin = self.inner.pins.link(LinkPin::Xdp, slot);
                let link = crate::sys::link::Link::from_pin(&pin).ok().flatten();
                let on = link.and_then(|link| link.ifindex().ok());
                InterfaceSlot {
                    slot,
                    name: slot_name(&interface),
                    ifindex: interface.ifindex,
                    queues: interface.queues,
                    judge: interface.flags & INTERFACE_JUDGE != 0,
                    when_workers_fail: decode_action(interface.when_workers_fail),
                    encapsulated: decode_action(interface.encapsulated),
                    mode: (on == Some(interface.ifindex))
                        .then(|| attached_mode(interface.ifindex))
                        .flatten(),
                }
            })
            .collect())
    }

    /// Loads the programs of a slot without attaching them: for test runs.
    pub fn load_programs(&self, slot: u16) -> Result<Programs, LoadError> {
        Programs::load(self.inner.pins.directory(), slot)
    }

    /// Writes the settings of a slot without attaching anything: for test runs.
    pub fn configure_slot(
        &self,
        slot: u16,
        spec: &InterfaceSpec,
        shim_token: u64,
    ) -> Result<(), TableError> {
        write_slot(
            &self.inner.slots,
            slot,
            &crate::interface::encode(spec, NO_IFINDEX, shim_token),
        )
    }

    pub fn bans(&self) -> &BanTable {
        &self.inner.bans
    }

    pub fn endpoints(&self) -> &EndpointTable {
        &self.inner.endpoints
    }

    pub fn policy(&self) -> &PolicySlot {
        &self.inner.policy
    }

    pub fn flows(&self) -> &FlowTable {
        &self.inner.flows
    }

    pub fn learned(&self) -> &LearnedTable {
        &self.inner.learned
    }

    pub fn always_open(&self) -> &AlwaysOpen {
        &self.inner.always_open
    }

    pub fn state(&self) -> &StateCell {
        &self.inner.state
    }

    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// Packets that endpoints under egress policies sent.
    pub fn egress_counters(&self) -> &Counters {
        &self.inner.egress_counters
    }

    pub fn worker_counters(&self) -> &WorkerCounters {
        &self.inner.worker_counters
    }

    pub fn heartbeats(&self) -> &Heartbeats {
        &self.inner.heartbeats
    }

    pub fn sockets(&self) -> &SocketMap {
        &self.inner.sockets
    }

    /// The sampled packets. One reader at a time: two take events away from each other.
    pub fn events(&self) -> Result<EventRing, LoadError> {
        let maps = PinnedMaps {
            pins: &self.inner.pins,
            specs: map_specs()?,
        };
        Ok(EventRing::new(maps.fd(names::EVENTS)?)?)
    }

    /// Sampled packets that found the ring full, since the maps were made.
    pub fn events_lost(&self) -> Result<u64, TableError> {
        self.inner.events_lost.total()
    }
}

/// The index of no interface.
const NO_IFINDEX: u32 = 0x7fff_ffff;

/// Pinned maps by name, checked.
struct PinnedMaps<'a> {
    pins: &'a Pins,
    specs: Vec<crate::object::MapSpec>,
}

impl PinnedMaps<'_> {
    fn fd(&self, name: &'static str) -> Result<OwnedFd, LoadError> {
        let spec = self
            .specs
            .iter()
            .find(|spec| spec.name == name)
            .ok_or_else(|| LoadError::Incomplete {
                what: format!("map {name}"),
            })?;
        self.pins
            .checked_map(spec)?
            .ok_or_else(|| LoadError::PinMissing {
                path: self.pins.directory().join(name),
            })
    }

    fn map<K: Plain, V: Plain>(&self, name: &'static str) -> Result<Map<K, V>, LoadError> {
        let map = Map::new(self.fd(name)?).map_err(TableError::at(name, "query"))?;
        map.ok_or_else(|| LoadError::Incomplete {
            what: format!("map {name} of the expected sizes"),
        })
    }
}

/// Kernels before 5.11 charge maps to the locked-memory limit, and all charge AF_XDP frames to it.
/// Where it cannot be lifted the call that needs it says so.
fn lift_memory_limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        tracing::debug!(%error, "locked-memory limit stays");
    }
}
