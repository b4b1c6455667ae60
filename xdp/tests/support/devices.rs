//! An edge and a peer, and frames from one to the other.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use palisade_lab::{Host, Lab, Place};
use palisade_xdp::{Attached, BanEffect, BanEntry, InterfaceSpec, Kernel, LoadError, Mode};

use super::{
    frames::{Ends, UDP, udp},
    spec,
};

pub(crate) const SOON: Duration = Duration::from_secs(5);

pub(crate) const BANNED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);

pub(crate) fn ends(edge: &Host, source4: Ipv4Addr) -> Ends {
    Ends {
        source4,
        source6: edge.v6,
        destination4: edge.v4,
        destination6: edge.v6,
    }
}

/// A frame to the edge, marked so that it is found again.
pub(crate) fn frame(edge: &Host, source: Ipv4Addr, mark: &[u8]) -> Vec<u8> {
    let mut frame = ends(edge, source).v4(UDP, &udp(5_000, 5_001, mark));
    frame[..6].copy_from_slice(&edge.mac);
    frame
}

pub(crate) fn ban(kernel: &Kernel) {
    let entry = BanEntry {
        prefix: (IpAddr::from(BANNED), 32),
        effect: Some(BanEffect::Banned),
    };
    kernel.bans().apply(&[entry]).expect("there is room");
}

pub(crate) fn attach(
    kernel: &Kernel,
    host: &Host,
    spec: &InterfaceSpec,
) -> Result<Attached, LoadError> {
    host.enter(|| kernel.attach(spec))
        .expect("the namespace is there")
}

pub(crate) fn bans_only(name: &str, mode: Mode) -> InterfaceSpec {
    InterfaceSpec {
        mode,
        judge: false,
        ..spec(name)
    }
}

/// Whether the kernel knows tc programs as links.
pub(crate) fn has_tcx() -> bool {
    palisade_xdp::features::host("/sys/fs/bpf".as_ref())
        .iter()
        .any(|probe| probe.name == "tcx" && probe.present)
}

pub(crate) fn lab() -> (Lab, Host) {
    let mut lab = Lab::new().expect("a lab can be built");
    let peer = lab
        .add_host("peer", Place::Client)
        .expect("a host can be added");
    (lab, peer)
}
