use std::{fs, path::Path};

use proptest::prelude::*;

use super::{Change, FILE_NAME, PolicyChange, PolicyRecord, Store, StoreError, records};
use crate::{clock::Timestamp, core::Ban};

fn ban(prefix: &str, origin: &str, reason: Option<&str>, expires: Option<i64>) -> Ban {
    Ban {
        prefix: prefix.parse().unwrap(),
        origin: origin.parse().unwrap(),
        reason: reason.map(Into::into),
        created: Timestamp::from_millis(1_763_692_000_000),
        expires: expires.map(Timestamp::from_millis),
    }
}

fn loaded(directory: &Path) -> Vec<Ban> {
    let mut bans = Vec::new();
    Store::open(directory)
        .unwrap()
        .load_bans(|ban| bans.push(ban))
        .unwrap();
    bans
}

#[test]
fn bans_survive_closing() {
    let directory = tempfile::tempdir().unwrap();
    let kept = [
        ban("10.0.0.0/8", "api", None, None),
        ban("10.0.0.0/8", "feed", Some("SBL1"), Some(1_763_692_999_999)),
        ban("2001:db8::/32", "api", Some("why"), None),
    ];
    let store = Store::open(directory.path()).unwrap();
    store.commit(kept.iter().cloned().map(Change::Put)).unwrap();
    let gone = ban("192.0.2.1", "api", None, None);
    store.commit([Change::Put(gone.clone())]).unwrap();
    store
        .commit([Change::Delete(gone.prefix, gone.origin)])
        .unwrap();
    drop(store);
    assert_eq!(loaded(directory.path()), kept);
}

#[test]
fn policies_survive_closing() {
    let directory = tempfile::tempdir().unwrap();
    let record = PolicyRecord {
        applied: Timestamp::from_millis(5),
        text: "kind: NetworkPolicy\n".to_owned(),
    };
    let changes = [
        PolicyChange::Put {
            key: "default/web".to_owned(),
            record: record.clone(),
        },
        PolicyChange::Put {
            key: "default/gone".to_owned(),
            record: record.clone(),
        },
        PolicyChange::Delete {
            key: "default/gone".to_owned(),
        },
        PolicyChange::File {
            name: "a.yaml".to_owned(),
            text: "text".to_owned(),
        },
        PolicyChange::File {
            name: "b.yaml".to_owned(),
            text: "text".to_owned(),
        },
        PolicyChange::FileGone {
            name: "b.yaml".to_owned(),
        },
        PolicyChange::Generation(7),
    ];
    Store::open(directory.path())
        .unwrap()
        .commit_policies(&changes)
        .unwrap();
    let stored = Store::open(directory.path())
        .unwrap()
        .load_policies()
        .unwrap();
    assert_eq!(stored.policies, [("default/web".to_owned(), record)]);
    assert_eq!(stored.files, [("a.yaml".to_owned(), "text".to_owned())]);
    assert_eq!(stored.generation, 7);
}

#[test]
fn an_unreadable_file_is_an_error_and_never_an_empty_set() {
    type Damage = fn(&mut Vec<u8>);
    let cases: [(&str, Damage); 5] = [
        ("emptied", |bytes| bytes.clear()),
        ("cut to 100 bytes", |bytes| bytes.truncate(100)),
        ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("header overwritten", |bytes| bytes[..512].fill(0)),
        ("another file", |bytes| *bytes = b"[api]\n".repeat(2000)),
    ];
    for (name, damage) in cases {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let bans = (0..2000_u32).map(|index| {
            let address = std::net::Ipv4Addr::from_bits(0xc612_0000 + index);
            Change::Put(ban(&address.to_string(), "api", None, None))
        });
        store.commit(bans).unwrap();
        drop(store);
        let path = directory.path().join(FILE_NAME);
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        let result = Store::open(directory.path()).and_then(|store| store.load_bans(|_| {}));
        let error = result.expect_err(name);
        let named = matches!(
            error,
            StoreError::Damaged { .. } | StoreError::Truncated { .. }
        );
        assert!(
            named && error.to_string().contains(FILE_NAME),
            "{name}: {error}"
        );
        assert_eq!(
            fs::read(&path).unwrap().len(),
            bytes.len(),
            "{name}: file was touched"
        );
    }
}

#[test]
fn a_newer_layout_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    store
        .write(|transaction| {
            transaction
                .open_table(super::META)?
                .insert(super::META_SCHEMA, 2)?;
            Ok(())
        })
        .unwrap();
    drop(store);
    let error = Store::open(directory.path()).expect_err("layout 2");
    assert!(
        matches!(error, StoreError::Schema { found: 2, .. }),
        "{error}"
    );
}

#[test]
fn one_store_is_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Store::open(directory.path()).unwrap();
    let error = Store::open(directory.path()).expect_err("second");
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
}

proptest! {
    #[test]
    fn keys_sort_as_prefixes_do(
        a in any::<u32>(), b in any::<u32>(), la in 0..=32_u8, lb in 0..=32_u8,
    ) {
        let prefix = |bits: u32, length| {
            palisade_config::types::Prefix::around(
                std::net::Ipv4Addr::from_bits(bits).into(), length).unwrap()
        };
        let origin = "api".parse().unwrap();
        let [mut first, mut second] = [Vec::new(), Vec::new()];
        records::write_key(&mut first, &prefix(a, la), &origin);
        records::write_key(&mut second, &prefix(b, lb), &origin);
        prop_assert_eq!(first.cmp(&second), prefix(a, la).cmp(&prefix(b, lb)));
    }
}
