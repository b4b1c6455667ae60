//! The desired state against a naive one that knows single addresses only.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use palisade_config::types::Prefix;
use proptest::prelude::*;

use super::{Desired, Effect, Guards, family};
use crate::{
    clock::Timestamp,
    core::{Ban, Family, Origin},
};

fn ban(prefix: &str, origin: &str, expires: Option<i64>) -> Ban {
    Ban {
        prefix: prefix.parse().unwrap(),
        origin: origin.parse().unwrap(),
        reason: Some("test".into()),
        created: Timestamp::from_millis(1_000),
        expires: expires.map(Timestamp::from_millis),
    }
}

#[test]
fn the_last_origin_frees_the_prefix() {
    let mut desired = Desired::default();
    let prefix: Prefix = "192.0.2.0/24".parse().unwrap();
    assert_eq!(desired.insert(&ban("192.0.2.0/24", "api", None)), None);
    desired.insert(&ban("192.0.2.0/24", "feed", Some(9_000)));
    assert_eq!(
        desired
            .remove(&prefix, &"api".parse().unwrap())
            .unwrap()
            .origin
            .as_str(),
        "api"
    );
    assert_eq!(desired.wanted(&prefix), Some(Effect::Banned));
    assert_eq!(desired.remove(&prefix, &"api".parse().unwrap()), None);
    desired.remove(&prefix, &"feed".parse().unwrap());
    assert_eq!(desired.wanted(&prefix), None);
    assert!(desired.is_empty() && desired.counts().next().is_none());
}

#[test]
fn pages_follow_one_another_without_gap_or_repeat() {
    let mut desired = Desired::default();
    let texts = [
        "10.0.0.0/8",
        "10.0.0.0/9",
        "10.0.0.0/32",
        "192.0.2.1",
        "2001:db8::/32",
        "::/0",
    ];
    for text in texts {
        desired.insert(&ban(text, "api", None));
        desired.insert(&ban(text, "feed", None));
    }
    let all: Vec<Ban> = desired.after(None).collect();
    assert_eq!(all.len(), 12);
    assert!(all.is_sorted_by_key(|ban| ban.prefix));
    let mut paged = Vec::new();
    let mut cursor = None;
    loop {
        let page: Vec<Ban> = desired.after(cursor.as_ref()).take(5).collect();
        let Some(last) = page.last() else { break };
        cursor = Some((last.prefix, last.origin.clone()));
        paged.extend(page);
    }
    assert_eq!(paged, all);
}

#[test]
fn covering_bans_come_longest_first() {
    let mut desired = Desired::default();
    for text in [
        "0.0.0.0/0",
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.2.0.0/16",
        "10.1.2.3",
        "::/0",
    ] {
        desired.insert(&ban(text, "api", None));
    }
    let found = desired.covering("10.1.2.3".parse().unwrap());
    let found: Vec<String> = found.iter().map(|ban| ban.prefix.to_string()).collect();
    assert_eq!(
        found,
        ["10.1.2.3/32", "10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"]
    );
    let mapped = desired.covering("::ffff:10.2.0.1".parse().unwrap());
    assert_eq!(mapped.len(), 3);
}

#[test]
fn expiry_takes_both_families_in_turn() {
    let mut desired = Desired::default();
    desired.insert(&ban("192.0.2.1", "api", Some(2_000)));
    desired.insert(&ban("2001:db8::1", "api", Some(1_000)));
    desired.insert(&ban("192.0.2.2", "api", None));
    assert_eq!(desired.next_expiry(), Some(Timestamp::from_millis(1_000)));
    assert_eq!(desired.expired(Timestamp::from_millis(999), 10), []);
    assert_eq!(desired.expired(Timestamp::from_millis(2_000), 10).len(), 2);
    assert_eq!(desired.expired(Timestamp::from_millis(2_000), 1).len(), 1);
}

// === Against a naive set ===

/// A small world, 198.18.0.0/26, in which prefixes of all lengths nest and meet.
const WORLD: u32 = 0xc612_0000;
const WORLD_BITS: u32 = 6;

fn small_prefix() -> impl Strategy<Value = Prefix> {
    (0..1_u32 << WORLD_BITS, 32 - WORLD_BITS..=32).prop_map(|(offset, length)| {
        let address = IpAddr::V4(Ipv4Addr::from_bits(WORLD + offset));
        Prefix::around(address, u8::try_from(length).unwrap()).unwrap()
    })
}

#[derive(Clone, Debug)]
enum Step {
    Ban(Prefix, usize),
    Unban(Prefix, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (small_prefix(), 0..3_usize).prop_map(|(prefix, origin)| Step::Ban(prefix, origin)),
        1 => (small_prefix(), 0..3_usize).prop_map(|(prefix, origin)| Step::Unban(prefix, origin)),
    ]
}

/// What the kernel's longest-prefix match says of an address.
fn looked_up(entries: &BTreeMap<Prefix, Effect>, address: IpAddr) -> Option<Effect> {
    entries
        .iter()
        .filter(|(prefix, _)| prefix.contains_addr(address))
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(_, effect)| *effect)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_kernel_bans_exactly_what_is_banned_and_not_guarded(
        guards in prop::collection::vec(small_prefix(), 0..4),
        steps in prop::collection::vec(step(), 1..24),
    ) {
        let origins: [Origin; 3] = ["a", "b", "c"].map(|name| name.parse().unwrap());
        let mut desired = Desired::new(Guards::new(guards.iter().copied()));
        let mut naive: BTreeSet<(Prefix, usize)> = BTreeSet::new();
        let mut kernel: BTreeMap<Prefix, Effect> = BTreeMap::new();
        for step in steps {
            let (Step::Ban(prefix, origin) | Step::Unban(prefix, origin)) = step;
            if matches!(step, Step::Ban(..)) {
                let mut wish = ban("192.0.2.0/24", "a", None);
                wish.prefix = prefix;
                wish.origin = origins[origin].clone();
                prop_assert_eq!(desired.insert(&wish).is_none(), naive.insert((prefix, origin)));
            } else {
                let removed = desired.remove(&prefix, &origins[origin]);
                prop_assert_eq!(removed.is_some(), naive.remove(&(prefix, origin)));
            }
            for (prefix, effect) in desired.touched(&prefix) {
                match effect {
                    Some(effect) => kernel.insert(prefix, effect),
                    None => kernel.remove(&prefix),
                };
            }
            // The increments and the full picture agree.
            let mut full: BTreeMap<Prefix, Effect> = desired
                .wanted_exemptions().into_iter().map(|prefix| (prefix, Effect::Exempt)).collect();
            let bans = desired.wanted_bans(None, usize::MAX);
            full.extend(bans.into_iter().map(|prefix| (prefix, Effect::Banned)));
            prop_assert_eq!(&full, &kernel);
            // And the picture means what it should, address by address.
            for offset in 0..1_u32 << WORLD_BITS {
                let address = IpAddr::V4(Ipv4Addr::from_bits(WORLD + offset));
                let banned = naive.iter().any(|(prefix, _)| prefix.contains_addr(address))
                    && !guards.iter().any(|guard| guard.contains_addr(address));
                let got = looked_up(&kernel, address) == Some(Effect::Banned);
                prop_assert_eq!(got, banned, "{}", address);
            }
            let prefixes: BTreeSet<&Prefix> = naive.iter().map(|(prefix, _)| prefix).collect();
            prop_assert_eq!(desired.prefixes(Family::V4), u64::try_from(prefixes.len()).unwrap());
            prop_assert_eq!(desired.len(), naive.len());
            prop_assert!(naive.iter().all(|(prefix, _)| family(prefix) == Family::V4));
        }
    }

    #[test]
    fn wanted_bans_page_without_gap_or_repeat(
        prefixes in prop::collection::btree_set(small_prefix(), 0..40),
        size in 1..7_usize,
    ) {
        let mut desired = Desired::default();
        for prefix in &prefixes {
            for origin in ["a", "b"] {
                let mut wish = ban("192.0.2.0/24", origin, None);
                wish.prefix = *prefix;
                desired.insert(&wish);
            }
        }
        let mut paged: Vec<Prefix> = Vec::new();
        loop {
            let page = desired.wanted_bans(paged.last(), size);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        prop_assert_eq!(paged, prefixes.into_iter().collect::<Vec<_>>());
    }
}
