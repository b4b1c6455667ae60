//! The compiled programs, and what they say of their maps.
//!
//! The C header defines each map once. Its attributes are read from the object here, so that a
//! pinned map is compared with exactly what the programs were compiled for.

use aya::include_bytes_aligned;

use crate::{LoadError, sys::map::Attributes};

/// The ELF object of `bpf/palisade.bpf.c`.
pub static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/palisade.bpf.o"));

/// Names of the maps, as in `bpf/maps.h`.
pub(crate) mod names {
    pub(crate) const BANS_V4: &str = "bans_v4";
    pub(crate) const BANS_V6: &str = "bans_v6";
    pub(crate) const ENDPOINTS: &str = "endpoints";
    pub(crate) const ALWAYS_OPEN: &str = "always_open";
    pub(crate) const INTERFACES: &str = "interfaces";
    pub(crate) const POLICY: &str = "policy";
    pub(crate) const STATE: &str = "state";
    pub(crate) const FLOWS: &str = "flows";
    pub(crate) const LEARNED: &str = "learned";
    pub(crate) const SOCKETS: &str = "sockets";
    pub(crate) const HEARTBEATS: &str = "heartbeats";
    pub(crate) const WORKER_COUNTERS: &str = "worker_counters";
    pub(crate) const COUNTERS: &str = "counters";
    pub(crate) const EGRESS_COUNTERS: &str = "egress_counters";
    pub(crate) const EVENTS: &str = "events";
    pub(crate) const EVENTS_LOST: &str = "events_lost";
}

/// A map that the programs want.
#[derive(Clone, Debug)]
pub(crate) struct MapSpec {
    pub(crate) name: String,
    pub(crate) wanted: Attributes,
}

/// All pinned maps of the object, ordered by name.
pub(crate) fn map_specs() -> Result<Vec<MapSpec>, LoadError> {
    let object = aya_obj::Object::parse(OBJECT).map_err(|error| LoadError::Incomplete {
        what: format!("readable content: {error}"),
    })?;
    let mut specs: Vec<_> = object
        .maps
        .into_iter()
        .filter(|(_, map)| map.pinning() == aya_obj::maps::PinningType::ByName)
        .map(|(name, map)| MapSpec {
            name,
            wanted: Attributes {
                kind: map.map_type(),
                key_size: map.key_size(),
                value_size: map.value_size(),
                max_entries: map.max_entries(),
                flags: map.map_flags(),
            },
        })
        .collect();
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(specs)
}
