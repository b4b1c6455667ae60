//! An interface as settings describe it, and the slot that it owns in the kernel.
//!
//! A slot is found again by the name of the interface, so that counters go on after a restart.

use std::ffi::CStr;

use palisade_abi::{
    ACTION_DROP, ACTION_PASS, INTERFACE_JUDGE, Interface, PALISADE_MAX_INTERFACES,
    PALISADE_MAX_QUEUES,
};

use crate::{
    LoadError, TableError,
    object::names,
    sys::{map::Map, netdev},
};

/// What happens to a packet that cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Pass,
    Drop,
}

/// How XDP is to be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Native, or generic where the driver refuses.
    Auto,
    Native,
    Generic,
}

/// How XDP is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachedMode {
    Native,
    Generic,
}

/// How the tc programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcKind {
    Tcx,
    /// Before Linux 6.6.
    Clsact,
}

/// What [`Kernel::attach`](crate::Kernel::attach) needs to know of an interface.
#[derive(Clone, Debug)]
pub struct InterfaceSpec {
    pub name: String,
    pub mode: Mode,
    pub when_workers_fail: Action,
    pub encapsulated: Action,
    /// Endpoints exist: the steps after the ban lookup run.
    pub judge: bool,
    /// The far end of the give-back pair.
    pub give_back_far_ifindex: Option<u32>,
    pub queues: u32,
    /// The longest frame that a worker can receive.
    pub frame_bytes_max: u32,
}

/// An interface on which the programs run.
#[derive(Clone, Debug)]
pub struct Attached {
    pub slot: u16,
    pub ifindex: u32,
    pub mode: AttachedMode,
    /// Why it is not native although that was wished: the kernel's words.
    pub fell_back: Option<String>,
    /// Generic mode: what a worker puts in front of the packets that it gives back.
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
    /// `None`: no link of ours is on the interface now.
    pub mode: Option<AttachedMode>,
}

// === the map of slots ===

pub(crate) type Slots = Map<u32, Interface>;

pub(crate) fn read_slot(slots: &Slots, slot: u16) -> Result<Interface, TableError> {
    slots
        .get(&u32::from(slot))
        .map_err(TableError::at(names::INTERFACES, "lookup"))?
        .ok_or_else(|| out_of_range(slot))
}

pub(crate) fn write_slot(slots: &Slots, slot: u16, value: &Interface) -> Result<(), TableError> {
    if u32::from(slot) >= PALISADE_MAX_INTERFACES {
        return Err(out_of_range(slot));
    }
    slots
        .set(&u32::from(slot), value)
        .map_err(TableError::at(names::INTERFACES, "update"))
}

fn out_of_range(slot: u16) -> TableError {
    TableError::OutOfRange {
        table: names::INTERFACES,
        index: slot.into(),
        limit: PALISADE_MAX_INTERFACES.into(),
    }
}

/// All slots in use.
pub(crate) fn used_slots(slots: &Slots) -> Result<Vec<(u16, Interface)>, TableError> {
    let limit = u16::try_from(PALISADE_MAX_INTERFACES).unwrap_or(u16::MAX);
    let mut used = Vec::new();
    for slot in 0..limit {
        let interface = read_slot(slots, slot)?;
        if interface.name.first().is_some_and(|&letter| letter != 0) {
            used.push((slot, interface));
        }
    }
    Ok(used)
}

/// The slot of `name`, or the first free one.
pub(crate) fn find_slot(slots: &Slots, name: &str) -> Result<FoundSlot, LoadError> {
    let used = used_slots(slots)?;
    if let Some((slot, interface)) = used
        .iter()
        .find(|(_, interface)| slot_name(interface) == name)
    {
        return Ok(FoundSlot::Known(*slot, *interface));
    }
    (0..u16::try_from(PALISADE_MAX_INTERFACES).unwrap_or(u16::MAX))
        .find(|slot| used.iter().all(|(taken, _)| taken != slot))
        .map(FoundSlot::Free)
        .ok_or_else(|| LoadError::SlotsFull {
            limit: PALISADE_MAX_INTERFACES,
            held: used
                .iter()
                .map(|(_, taken)| slot_name(taken))
                .collect::<Vec<_>>()
                .join(", "),
        })
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum FoundSlot {
    /// This interface has owned it before.
    Known(u16, Interface),
    Free(u16),
}

pub(crate) fn slot_name(interface: &Interface) -> String {
    let bytes = interface
        .name
        .map(|letter| u8::from_ne_bytes(letter.to_ne_bytes()));
    CStr::from_bytes_until_nul(&bytes)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// What the kernel is told of an interface.
pub(crate) fn encode(spec: &InterfaceSpec, ifindex: u32, shim_token: u64) -> Interface {
    let mut name = Interface::default().name;
    for (to, from) in name.iter_mut().zip(spec.name.bytes()) {
        *to = std::ffi::c_char::from_ne_bytes([from]);
    }
    Interface {
        shim_token,
        ifindex,
        flags: if spec.judge { INTERFACE_JUDGE } else { 0 },
        queues: spec.queues,
        frame_bytes_max: spec.frame_bytes_max,
        when_workers_fail: encode_action(spec.when_workers_fail),
        encapsulated: encode_action(spec.encapsulated),
        reserved: [0; 6],
        name,
    }
}

pub(crate) fn encode_action(action: Action) -> u8 {
    let number = match action {
        Action::Pass => ACTION_PASS,
        Action::Drop => ACTION_DROP,
    };
    u8::try_from(number).unwrap_or(u8::MAX)
}

pub(crate) fn decode_action(number: u8) -> Action {
    if number == encode_action(Action::Pass) {
        Action::Pass
    } else {
        Action::Drop
    }
}

// === the interface itself ===

/// Checks that an interface can be served, and finds its index.
pub(crate) fn resolve(spec: &InterfaceSpec) -> Result<u32, LoadError> {
    const ARPHRD_ETHER: u16 = 1;
    let name = &spec.name;
    let missing = || LoadError::NoInterface { name: name.clone() };
    // Names come from settings: no path may hide in one.
    if name.is_empty() || name.len() > 15 || name.contains(['/', ' ']) || name.starts_with('.') {
        return Err(missing());
    }
    let ifindex = index(name).ok_or_else(missing)?;
    let kind = netdev::hardware_type(name).map_err(|_| missing())?;
    if kind != ARPHRD_ETHER {
        return Err(LoadError::NotEthernet {
            name: name.clone(),
            kind,
        });
    }
    if spec.queues > PALISADE_MAX_QUEUES {
        return Err(LoadError::TooManyQueues {
            name: name.clone(),
            queues: spec.queues,
            limit: PALISADE_MAX_QUEUES,
        });
    }
    Ok(ifindex)
}

pub(crate) fn index(name: &str) -> Option<u32> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )
    .ok()?;
    rustix::net::netdevice::name_to_index(&socket, name).ok()
}
