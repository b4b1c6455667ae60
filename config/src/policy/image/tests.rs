//! What the reader finds in what the writer wrote.

use std::{fmt, net::IpAddr};

use palisade_abi::{POLICY_OWNER_POD, PolicyLine};

use super::{Image, Key, NONE, OwnerEntry, Writer, word};
use crate::{
    policy::{Direction, Traffic},
    types::Protocol,
};

const PORTS: [u16; 9] = [0, 1, 79, 80, 81, 511, 512, 65_534, 65_535];

#[test]
fn ports_in_every_form() {
    let many: Vec<_> = (0..40)
        .map(|n| (n * 100, n * 100 + 10))
        .chain([(65_535, 65_535)])
        .collect();
    let cases = [
        Vec::new(),
        vec![(0, 65_535)],
        vec![(80, 80)],
        vec![(0, 0), (79, 81), (512, 65_534)],
        many.iter().take(16).copied().collect(),
        many.iter().take(17).copied().collect(),
        many,
    ];
    for tcp in &cases {
        for udp in &cases {
            let mut writer = Writer::default();
            let set = writer.set(false, &[tcp.clone(), udp.clone(), Vec::new()]);
            let image = writer.finish().unwrap();
            for port in (0..5_000).chain(PORTS) {
                let holds = |protocol| image.set_holds(set, Traffic::Port(protocol, port));
                let within = |ranges: &[(u16, u16)]| {
                    ranges
                        .iter()
                        .any(|range| (range.0..=range.1).contains(&port))
                };
                assert_eq!(holds(Protocol::Tcp), within(tcp), "{tcp:?} {port}");
                assert_eq!(holds(Protocol::Udp), within(udp), "{udp:?} {port}");
                assert!(!holds(Protocol::Sctp));
            }
            assert!(!image.set_holds(set, Traffic::Other(1)));
        }
    }
    let mut writer = Writer::default();
    let set = writer.set(true, &Default::default());
    let image = writer.finish().unwrap();
    assert!(image.set_holds(set, Traffic::Other(1)));
    assert!(image.set_holds(set, Traffic::Port(Protocol::Sctp, 1)));
    assert!(!image.set_holds(NONE, Traffic::Port(Protocol::Tcp, 1)));
}

/// Trees of every number of levels, asked at, before and behind every key.
fn trees<K: Key + fmt::Debug>(number: impl Fn(u32) -> K) {
    for count in [0, 1, 2, 4, 5, 15, 16, 17, 255, 256, 257, 5_000] {
        for last in [false, true] {
            let mut entries: Vec<(K, u32)> =
                (0..count).map(|n| (number(n * 10 + 7), n + 1)).collect();
            if last {
                entries.push((K::LAST, 77));
            }
            let mut writer = Writer::default();
            let tree = writer.tree(&entries);
            let image = writer.finish().unwrap();
            let keys = (0..count).flat_map(|n| [n * 10 + 6, n * 10 + 7, n * 10 + 8]);
            for key in keys.map(&number).chain([K::FIRST, K::LAST]) {
                let after = entries.partition_point(|(start, _)| *start <= key);
                let want = after.checked_sub(1).map_or(NONE, |index| entries[index].1);
                assert_eq!(image.find(tree, key), want, "{key:?} among {count}");
            }
        }
    }
}

#[test]
fn a_tree_finds_the_interval_of_every_key() {
    trees::<u32>(|n| n);
    trees::<u32>(|n| u32::MAX - 60_000 + n);
    trees::<u128>(u128::from);
    trees::<u128>(|n| u128::from(n) << 90 | 5);
}

#[test]
fn owners_are_found_and_strangers_are_not() {
    let owners: Vec<_> = (0_u32..20_000)
        .map(|n| {
            let address = if n.is_multiple_of(2) {
                IpAddr::from((n << 3).to_be_bytes())
            } else {
                IpAddr::from(((u128::from(n) << 64) | 0xfd << 120).to_be_bytes())
            };
            let owner = OwnerEntry {
                pod: n + 1,
                ..OwnerEntry::default()
            };
            (address, owner)
        })
        .collect();
    let mut writer = Writer::default();
    writer.owners(&owners).unwrap();
    let image = writer.finish().unwrap();
    let header = image.line(0);
    for (address, owner) in &owners {
        let line = image.owner(&header, *address).unwrap();
        assert_eq!(word(&line, POLICY_OWNER_POD), owner.pod);
    }
    assert!(image.owner(&header, IpAddr::from([0, 0, 0, 1])).is_none());
    assert_eq!(image.endpoints().count(), owners.len());
    assert!(image.lines().len() < owners.len() * 5);
    assert_ne!(image.digest(), Image::default().digest());
    assert_eq!(Image::default().endpoints().count(), 0);
}

/// A lookup in an image that is cut short or full of nonsense ends.
#[test]
fn nonsense_is_survived() {
    let mut lines = vec![PolicyLine::default(); 64];
    let mut state = 1_u32;
    for word in lines.iter_mut().flat_map(|line| &mut line.words) {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *word = if state >> 31 == 0 { state >> 25 } else { state };
    }
    let image = Image {
        lines: lines.into(),
    };
    let (a, b) = (IpAddr::from([1; 4]), IpAddr::from([2; 16]));
    for tree in 0..80 {
        image.find(tree, 7_u32);
        image.find(tree, 7_u128);
        image.table_allows(
            &image.line(0),
            tree,
            a,
            Some(&image.line(tree)),
            Traffic::Other(1),
        );
    }
    image.decide(Direction::Egress, a, b, Traffic::Port(Protocol::Tcp, 1));
}
