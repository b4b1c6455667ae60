//! A slot with bans on the attacker and on link-local addresses.

use std::net::{IpAddr, Ipv4Addr};

use palisade_xdp::{BanEffect, BanEntry, InterfaceSpec};

use super::{
    Bench,
    frames::{DESTINATION, SYN, TCP, extension, tcp},
};

pub(crate) fn bench_with_bans(spec: &InterfaceSpec) -> Bench {
    let bench = Bench::new(spec);
    let ban = |address: IpAddr, length| BanEntry {
        prefix: (address, length),
        effect: Some(BanEffect::Banned),
    };
    let bans = [
        ban(Ipv4Addr::new(198, 51, 100, 0).into(), 24),
        ban("169.254.0.0".parse().expect("an address"), 16),
        ban("2001:db8:bad::".parse().expect("an address"), 48),
        ban("fe80::".parse().expect("an address"), 10),
    ];
    bench
        .test
        .kernel
        .bans()
        .apply(&bans)
        .expect("there is room");
    bench
}

pub(crate) fn syn() -> Vec<u8> {
    tcp(40_000, 80, SYN)
}

/// `count` destination option headers around a SYN.
pub(crate) fn chain(count: usize) -> (u8, Vec<u8>) {
    (0..count).fold((TCP, syn()), |(next, rest), _| {
        (DESTINATION, extension(next, 0, &rest))
    })
}
