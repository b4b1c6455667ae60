//! A slot with an isolated endpoint, an open one and, if wanted, a worker.

use std::{
    net::IpAddr,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use palisade_abi::{
    ENDPOINT_INGRESS_ISOLATED, FLOW_ADMITTED, FlowKey, FlowVerdict, Reason, Verdict,
};
use palisade_xdp::InterfaceSpec;
use rustix::time::{ClockId, clock_gettime};

use super::{
    Bench,
    answers::{ISOLATED, OPEN},
    frames::Ends,
    spec,
};

pub(crate) const GENERATION: u32 = 7;

pub(crate) fn bench_with_endpoints() -> Bench {
    bench_with_endpoints_of(&spec("probe"))
}

/// A slot with endpoints, but without a worker.
pub(crate) fn bench_with_endpoints_of(spec: &InterfaceSpec) -> Bench {
    let bench = Bench::new(spec);
    let kernel = &bench.test.kernel;
    let isolated = ENDPOINT_INGRESS_ISOLATED;
    let endpoints: [(IpAddr, u32); 4] = [
        (ISOLATED.destination4.into(), isolated),
        (ISOLATED.destination6.into(), isolated),
        (OPEN.destination4.into(), 0),
        (OPEN.destination6.into(), 0),
    ];
    kernel
        .endpoints()
        .replace(&endpoints)
        .expect("there is room");
    kernel.state().set_generation(GENERATION);
    kernel
        .state()
        .set_heartbeat_timeout(Duration::from_secs(60));
    bench
}

/// A worker that is alive, as far as the program can see. It must be kept: the map forgets sockets
/// that are closed.
pub(crate) fn worker(bench: &Bench) -> OwnedFd {
    const AF_XDP: u16 = 44;
    let family = rustix::net::AddressFamily::from_raw(AF_XDP);
    let socket = rustix::net::socket(family, rustix::net::SocketType::RAW, None).expect("AF_XDP");
    let kernel = &bench.test.kernel;
    kernel
        .sockets()
        .set(bench.slot, 0, socket.as_fd())
        .expect("there is a place");
    kernel
        .heartbeats()
        .cell(bench.slot, 0)
        .expect("there is a place")
        .beat(now());
    socket
}

pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).expect("positive") * 1_000_000_000
        + u64::try_from(time.tv_nsec).expect("positive")
}

pub(crate) fn key(
    ends: &Ends,
    v6: bool,
    protocol: u8,
    source_port: u16,
    destination_port: u16,
) -> FlowKey {
    let (source, destination) = if v6 {
        (ends.source6, ends.destination6)
    } else {
        (
            ends.source4.to_ipv6_mapped(),
            ends.destination4.to_ipv6_mapped(),
        )
    };
    FlowKey {
        source: source.octets(),
        destination: destination.octets(),
        source_port: source_port.to_be_bytes(),
        destination_port: destination_port.to_be_bytes(),
        protocol,
        reserved: [0; 3],
    }
}

pub(crate) fn verdict(verdict: Verdict, reason: Reason) -> FlowVerdict {
    FlowVerdict {
        last_seen_ns: now(),
        generation: GENERATION,
        verdict: verdict as u8,
        reason: reason as u8,
        flags: 0,
        reserved: 0,
    }
}

pub(crate) const ALLOWED: fn() -> FlowVerdict = || verdict(Verdict::Pass, Reason::PolicyAllowed);
pub(crate) const REFUSED: fn() -> FlowVerdict = || verdict(Verdict::Drop, Reason::PolicyDenied);

pub(crate) fn admitted(bench: &Bench, key: &FlowKey) -> Option<FlowVerdict> {
    let found = bench.test.kernel.flows().get(key).expect("readable");
    found.filter(|found| u32::from(found.flags) & FLOW_ADMITTED != 0)
}
