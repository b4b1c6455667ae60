use proptest::prelude::*;

use super::{Entry, FragmentTable, LIFETIME_SECONDS, Lead, TrainKey, WAYS};
use crate::{clock::Now, packet::Train, verdict::Fate};
use palisade_abi::Reason;

fn key(identification: u32) -> TrainKey {
    TrainKey {
        source: "198.51.100.7".parse().unwrap(),
        destination: "192.0.2.10".parse().unwrap(),
        train: Train {
            identification,
            protocol: 17,
        },
        header_end: 8,
    }
}

fn at(seconds: u64) -> Now {
    Now::from_nanoseconds(seconds * 1_000_000_000)
}

const PASS: (Fate, Reason) = (Fate::Pass, Reason::PolicyAllowed);

#[test]
fn what_is_recorded_is_found_until_it_expires() {
    // An entry's clock goes round after 2^15 seconds: start before, at and behind the turn.
    for start in [0, 5, 32_738, 32_767, 32_768, 1_000_000] {
        let table = FragmentTable::with_entries(64);
        assert_eq!(table.find(&key(1), at(start)), None, "{start}");
        table.record(&key(1), PASS.0, PASS.1, at(start));
        let lead = Some(Lead {
            fate: Fate::Pass,
            reason: Reason::PolicyAllowed,
            header_end: 8,
        });
        assert_eq!(table.find(&key(1), at(start)), lead, "{start}");
        assert_eq!(
            table.find(&key(1), at(start + LIFETIME_SECONDS - 1)),
            lead,
            "{start}"
        );
        assert_eq!(
            table.find(&key(1), at(start + LIFETIME_SECONDS)),
            None,
            "{start}"
        );
        assert_eq!(table.find(&key(1), at(start + 20_000)), None, "{start}");
        assert_eq!(table.find(&key(2), at(start)), None, "{start}");
    }
}

#[test]
fn the_newest_first_fragment_decides() {
    let table = FragmentTable::with_entries(WAYS);
    for (fate, reason) in [PASS, (Fate::Drop, Reason::PolicyDenied), PASS] {
        table.record(&key(1), fate, reason, at(9));
        let lead = table.find(&key(1), at(9)).unwrap();
        assert_eq!((lead.fate, lead.reason), (fate, reason));
    }
    let used = table
        .sets
        .iter()
        .flatten()
        .filter(|slot| slot.load(super::Ordering::Relaxed) != 0);
    assert_eq!(used.count(), 1, "one train has one entry");
}

#[test]
fn a_full_set_forgets_what_expires_first() {
    let table = FragmentTable::with_entries(WAYS);
    for (second, id) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1)] {
        table.record(&key(id), PASS.0, PASS.1, at(second));
    }
    table.record(&key(5), PASS.0, PASS.1, at(6));
    let found: Vec<u32> = (1..=5)
        .filter(|id| table.find(&key(*id), at(6)).is_some())
        .collect();
    assert_eq!(found, [1, 3, 4, 5]);
}

/// Each worker reads the clock for itself, a little earlier or later than the others.
#[test]
fn a_clock_that_is_a_little_behind_finds_it_too() {
    let table = FragmentTable::with_entries(WAYS);
    table.record(&key(1), PASS.0, PASS.1, at(100));
    assert!(table.find(&key(1), at(99)).is_some());
}

#[test]
fn nobody_can_know_where_a_train_is_kept() {
    let [one, two] = [(); 2].map(|()| FragmentTable::with_entries(1 << 16));
    let tags = |table: &FragmentTable| [1, 2, 3].map(|id| table.place(&key(id)).1);
    assert_ne!(tags(&one), tags(&two));
}

/// All parts of the key count.
#[test]
fn trains_are_told_apart() {
    let table = FragmentTable::new();
    table.record(&key(1), PASS.0, PASS.1, at(1));
    let others = [
        TrainKey {
            source: "198.51.100.8".parse().unwrap(),
            ..key(1)
        },
        TrainKey {
            source: "::ffff:198.51.100.7".parse().unwrap(),
            ..key(1)
        },
        TrainKey {
            destination: "192.0.2.11".parse().unwrap(),
            ..key(1)
        },
        TrainKey {
            train: Train {
                identification: 1,
                protocol: 6,
            },
            ..key(1)
        },
        key(1 << 16 | 1),
    ];
    for other in others {
        assert_eq!(table.find(&other, at(1)), None, "{other:?}");
    }
    let elsewhere = TrainKey {
        header_end: 20,
        ..key(1)
    };
    assert!(
        table.find(&elsewhere, at(1)).is_some(),
        "a later fragment knows no header end"
    );
}

#[test]
fn workers_may_share_it() {
    let table = FragmentTable::with_entries(1 << 12);
    std::thread::scope(|scope| {
        for worker in 0..4_u32 {
            let table = &table;
            scope.spawn(move || {
                for id in (0..500).map(|id| id * 4 + worker) {
                    let fate = if id % 2 == 0 { Fate::Pass } else { Fate::Drop };
                    table.record(&key(id), fate, Reason::PolicyAllowed, at(1));
                }
            });
        }
    });
    for id in 0..2_000 {
        // A set may have overflowed, but nothing is ever found under another's fate.
        if let Some(lead) = table.find(&key(id), at(1)) {
            assert_eq!(lead.fate == Fate::Pass, id % 2 == 0, "{id}");
        }
    }
}

proptest! {
    #[test]
    fn an_entry_keeps_what_it_is_given(
        tag: u32,
        pass: bool,
        reason in prop::sample::select(Reason::ALL.to_vec()),
        units in 0_u32..=0x3ff,
        second in 0_u64..1 << 33,
    ) {
        let fate = if pass { Fate::Pass } else { Fate::Drop };
        let entry = Entry::new(tag, fate, reason, units * 8, at(second));
        prop_assert_eq!(entry.tag(), tag);
        prop_assert_eq!(entry.remaining(at(second)), LIFETIME_SECONDS);
        prop_assert_eq!(entry.lead(), Some(Lead { fate, reason, header_end: units * 8 }));
    }
}
