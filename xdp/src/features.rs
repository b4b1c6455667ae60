//! What this host offers, asked without changing it: the probes behind `palisade doctor`.

/// One finding: what was looked for, whether it is there, and what to do when it is not.
#[derive(Clone, Debug)]
pub struct Probe {
    pub name: String,
    pub present: bool,
    /// Without it palisade does not work at all (as opposed to: worse).
    pub required: bool,
    pub found: String,
    pub why_needed: &'static str,
    pub what_to_do: String,
    pub fallback: Option<&'static str>,
}

/// Probes of the host: kernel, BTF, capabilities, bpffs, limits, AF_XDP, tcx.
pub fn host() -> Vec<Probe> {
    todo!()
}

/// Probes of one interface: driver, native XDP, queues, offloads, encapsulated links.
pub fn interface(_name: &str) -> Vec<Probe> {
    todo!()
}
