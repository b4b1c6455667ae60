//! The tables as userspace sees them: what is written is there, what is removed is not, and what
//! would not fit is refused.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use palisade_abi::{
    COUNTER_ROW, ENDPOINT_INGRESS_ISOLATED, PALISADE_MAX_BANS_V4, PALISADE_MAX_ENDPOINTS,
    PALISADE_MAX_INTERFACES, PALISADE_MAX_QUEUES, Reason, Verdict, counter_cell,
};
use palisade_xdp::{BanEffect, BanEntry, Family, Kernel, TableError};

use crate::support::TestKernel;

fn entry(prefix: &str, effect: Option<BanEffect>) -> BanEntry {
    let (address, length) = prefix.split_once('/').expect("a prefix");
    BanEntry {
        prefix: (
            address.parse().expect("an address"),
            length.parse().expect("a length"),
        ),
        effect,
    }
}

const BANNED: Option<BanEffect> = Some(BanEffect::Banned);
const EXEMPT: Option<BanEffect> = Some(BanEffect::Exempt);

fn held(kernel: &Kernel) -> HashSet<BanEntry> {
    Family::ALL
        .into_iter()
        .flat_map(|family| kernel.bans().entries(family))
        .map(|found| {
            let (prefix, effect) = found.expect("readable");
            BanEntry {
                prefix,
                effect: Some(effect),
            }
        })
        .collect()
}

#[test]
fn bans_are_what_was_written() {
    if !palisade_lab::require_root() {
        return;
    }
    let test = TestKernel::new();
    let bans = test.kernel.bans();
    assert!(held(&test.kernel).is_empty());
    let all = [
        entry("0.0.0.0/0", BANNED),
        entry("198.51.100.0/24", BANNED),
        entry("198.51.100.7/32", EXEMPT),
        entry("::/0", BANNED),
        entry("2001:db8::/32", EXEMPT),
        entry("2001:db8::1/128", BANNED),
    ];
    bans.apply(&all).expect("there is room");
    assert_eq!(held(&test.kernel), all.into());
    assert_eq!(bans.count(Family::V4).expect("readable"), 3);
    assert_eq!(bans.count(Family::V6).expect("readable"), 3);

    let lookups = [
        ("198.51.100.1", BANNED),
        ("198.51.100.7", EXEMPT),
        ("::ffff:198.51.100.7", EXEMPT),
        ("192.0.2.1", BANNED),
        ("2001:db8::1", BANNED),
        ("2001:db8::2", EXEMPT),
    ];
    for (source, want) in lookups {
        let source = source.parse().expect("an address");
        assert_eq!(bans.lookup(source).expect("readable"), want, "{source}");
    }

    bans.apply(&[
        entry("0.0.0.0/0", None),
        entry("192.0.2.0/24", None), // not there: no error
        entry("198.51.100.7/32", BANNED),
        entry("::/0", None),
    ])
    .expect("there is room");
    assert_eq!(
        bans.lookup("192.0.2.1".parse().expect("an address"))
            .expect("readable"),
        None
    );
    assert_eq!(
        held(&test.kernel),
        [all[1], entry("198.51.100.7/32", BANNED), all[4], all[5]].into()
    );

    let handle = Kernel::open(&test.pin_directory).expect("the maps are there");
    assert_eq!(
        held(&handle),
        held(&test.kernel),
        "another handle sees the same tables"
    );
}

#[test]
fn mapped_prefixes_are_ipv4_prefixes() {
    if !palisade_lab::require_root() {
        return;
    }
    let test = TestKernel::new();
    let mapped = [
        entry("::ffff:198.51.100.0/120", BANNED),
        entry("::/95", BANNED),
    ];
    test.kernel.bans().apply(&mapped).expect("there is room");
    assert_eq!(
        held(&test.kernel),
        [entry("198.51.100.0/24", BANNED), mapped[1]].into()
    );
}

#[test]
fn bad_prefixes_change_nothing() {
    if !palisade_lab::require_root() {
        return;
    }
    let test = TestKernel::new();
    for (bad, bits) in [("198.51.100.0/33", 32), ("2001:db8::/129", 128)] {
        let refused = test
            .kernel
            .bans()
            .apply(&[entry("192.0.2.1/32", BANNED), entry(bad, BANNED)]);
        assert!(
            matches!(refused, Err(TableError::BadPrefix { bits: found, .. }) if found == bits),
            "{refused:?}"
        );
    }
    assert!(held(&test.kernel).is_empty());
}

/// More than one batch of both families, written, walked and removed.
#[test]
fn many_bans() {
    if !palisade_lab::require_root() {
        return;
    }
    const MANY: u32 = 50_000;
    let test = TestKernel::new();
    let bans = test.kernel.bans();
    let of = |effect| -> Vec<BanEntry> {
        (0..MANY)
            .flat_map(|number| {
                let v4 = Ipv4Addr::from(0x0a00_0000 + number);
                let v6 = Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(number) << 64);
                [(IpAddr::from(v4), 32), (IpAddr::from(v6), 64)]
            })
            .map(|prefix| BanEntry { prefix, effect })
            .collect()
    };
    bans.apply(&of(BANNED)).expect("there is room");
    assert_eq!(held(&test.kernel), of(BANNED).into_iter().collect());
    // Removing skips what is not there, in the middle of batches too.
    let some: Vec<_> = of(None).into_iter().step_by(3).collect();
    bans.apply(&some).expect("removed");
    let rest = u64::from(2 * MANY) - some.len() as u64;
    let count = || {
        Family::ALL
            .map(|family| bans.count(family).expect("readable"))
            .iter()
            .sum::<u64>()
    };
    assert_eq!(count(), rest);
    bans.apply(&of(None)).expect("removed");
    assert_eq!(count(), 0);
}

#[test]
fn too_many_bans_are_refused_before_any_is_written() {
    if !palisade_lab::require_root() {
        return;
    }
    let test = TestKernel::new();
    let bans = test.kernel.bans();
    assert_eq!(bans.capacity(Family::V4), u64::from(PALISADE_MAX_BANS_V4));
    bans.apply(&[entry("198.51.100.0/24", BANNED)])
        .expect("there is room");
    // As many as fit, beside the one that is there.
    let entries = vec![entry("192.0.2.1/32", BANNED); PALISADE_MAX_BANS_V4 as usize];
    let refused = bans.apply(&entries);
    let Err(TableError::Full {
        table,
        capacity,
        held: found,
        wanted,
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!((table, found), ("bans_v4", 1));
    assert_eq!(
        (capacity, wanted),
        (PALISADE_MAX_BANS_V4.into(), PALISADE_MAX_BANS_V4.into())
    );
    assert_eq!(
        held(&test.kernel),
        [entry("198.51.100.0/24", BANNED)].into()
    );
}

#[test]
fn endpoints_are_replaced_as_a_whole() {
    if !palisade_lab::require_root() {
        return;
    }
    const ISOLATED: u32 = ENDPOINT_INGRESS_ISOLATED;
    let test = TestKernel::new();
    let table = test.kernel.endpoints();
    let address = |text: &str| -> IpAddr { text.parse().expect("an address") };
    let sorted = || {
        let mut entries = table.entries().expect("readable");
        entries.sort_unstable();
        entries
    };
    let first = [
        (address("192.0.2.10"), ISOLATED),
        (address("2001:db8::10"), 0),
    ];
    table.replace(&first).expect("there is room");
    assert_eq!(sorted(), first);
    let second = [
        (address("192.0.2.11"), 0),
        (address("2001:db8::10"), ISOLATED),
    ];
    table.replace(&second).expect("there is room");
    assert_eq!(sorted(), second);
    table
        .apply(&[
            (address("192.0.2.11"), None),
            (address("192.0.2.12"), Some(ISOLATED)),
        ])
        .expect("there is room");
    assert_eq!(sorted(), [(address("192.0.2.12"), ISOLATED), second[1]]);
    assert_eq!(table.get(address("192.0.2.11")).expect("readable"), None);
    assert_eq!(
        table.get(address("192.0.2.12")).expect("readable"),
        Some(ISOLATED)
    );

    let before = sorted();
    let many: Vec<_> = (0..=PALISADE_MAX_ENDPOINTS)
        .map(|number| (IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number)), 0))
        .collect();
    let refused = table.replace(&many);
    assert!(
        matches!(
            refused,
            Err(TableError::Full {
                table: "endpoints",
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(sorted(), before, "a refusal changes nothing");
}

#[test]
fn shared_words_are_seen_by_every_handle() {
    if !palisade_lab::require_root() {
        return;
    }
    let test = TestKernel::new();
    let other = Kernel::open_existing(&test.pin_directory)
        .expect("readable")
        .expect("there");
    let state = test.kernel.state();
    assert_eq!(
        (state.generation(), state.heartbeat_timeout()),
        (0, Duration::ZERO)
    );
    state.set_generation(u32::MAX);
    state.set_heartbeat_timeout(Duration::from_millis(500));
    assert_eq!(other.state().generation(), u32::MAX);
    assert_eq!(
        other.state().heartbeat_timeout(),
        Duration::from_millis(500)
    );

    let (slot, queue) = (PALISADE_MAX_INTERFACES - 1, PALISADE_MAX_QUEUES - 1);
    let slot = u16::try_from(slot).expect("small");
    let beat = test
        .kernel
        .heartbeats()
        .cell(slot, queue)
        .expect("there is a place");
    beat.beat(42);
    assert_eq!(
        other
            .heartbeats()
            .cell(slot, queue)
            .expect("there is a place")
            .last(),
        42
    );

    let row = test
        .kernel
        .worker_counters()
        .cells(slot, queue)
        .expect("there is a place");
    let cell = counter_cell(Verdict::Lost, Reason::WorkerFull);
    row.add(cell, 3, 300);
    row.add(cell, 1, 100);
    row.add(COUNTER_ROW, 9, 9); // no such cell
    let first = test
        .kernel
        .worker_counters()
        .cells(slot, 0)
        .expect("there is a place");
    first.add(cell, 1, 1);
    let sum = other.worker_counters().row(slot).expect("readable");
    let counter = sum.get(Verdict::Lost, Reason::WorkerFull);
    assert_eq!(
        (counter.packets, counter.bytes),
        (5, 401),
        "the queues add up"
    );
    assert_eq!(sum.counted().count(), 1, "and nothing else was counted");
    assert_eq!(row.row().get(Verdict::Lost, Reason::WorkerFull).packets, 4);
}

#[test]
fn places_that_do_not_exist() {
    if !palisade_lab::require_root() {
        return;
    }
    let test = TestKernel::new();
    let kernel = &test.kernel;
    let slots = u16::try_from(PALISADE_MAX_INTERFACES).expect("small");
    let out = |result: Result<(), TableError>| matches!(result, Err(TableError::OutOfRange { .. }));
    assert!(out(kernel.counters().row(slots).map(drop)));
    assert!(out(kernel.worker_counters().cells(slots, 0).map(drop)));
    assert!(out(kernel
        .worker_counters()
        .cells(0, PALISADE_MAX_QUEUES)
        .map(drop)));
    assert!(out(kernel
        .heartbeats()
        .cell(0, PALISADE_MAX_QUEUES)
        .map(drop)));
    assert!(out(kernel.sockets().clear(slots, 0)));
    assert!(out(kernel.set_judge(slots, true)));
}
