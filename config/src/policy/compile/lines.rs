//! From tables, port sets and owners to the image.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    Table,
    address::{Index, Owner},
    ports::{PortRanges, SetId},
};
use crate::policy::{
    Dialect, Image,
    image::{OwnerEntry, TableEntry, Writer},
};

/// `None` if the owners cannot be hashed, which no honest set of addresses brings about.
pub(super) fn image(
    dialect: Dialect,
    sets: &[PortRanges],
    tables: Vec<Table>,
    owners: &BTreeMap<IpAddr, Owner>,
) -> Option<Image> {
    let mut writer = Writer::default();
    if dialect == Dialect::Cilium {
        writer.blocks_spare_owners();
    }
    // The empty set, which is the first, is none.
    let others = sets.iter().skip(1);
    let others = others.map(|set| writer.set(set.everything, &set.ranges));
    let sets: Vec<u32> = std::iter::once(0).chain(others).collect();
    let set = |id: SetId| sets.get(id.index()).copied().unwrap_or(0);
    let tables: Vec<u32> = tables
        .into_iter()
        .map(|table| add_table(&mut writer, &table, set))
        .collect();
    let table = |index: Option<Index>| {
        let line = index.and_then(|index| tables.get(index.get()));
        line.copied().unwrap_or(0)
    };
    let entries: Vec<(IpAddr, OwnerEntry)> = owners
        .iter()
        .map(|(address, owner)| {
            let entry = OwnerEntry {
                pod: Index::number(owner.pod),
                identity: Index::number(owner.identity),
                ingress: table(owner.ingress),
                egress: table(owner.egress),
                node: Index::number(owner.node),
                home: Index::number(owner.home),
            };
            (*address, entry)
        })
        .collect();
    writer.owners(&entries)?;
    writer.finish()
}

fn add_table(writer: &mut Writer, table: &Table, set: impl Fn(SetId) -> u32) -> u32 {
    let identities = identity_intervals(&table.identities, &set);
    let v4: Vec<_> = table.v4.iter().map(|(key, id)| (key, set(id))).collect();
    let v6: Vec<_> = table.v6.iter().map(|(key, id)| (key, set(id))).collect();
    writer.table(&TableEntry {
        anyone: set(table.anyone),
        identities: &identities,
        v4: &v4,
        v6: &v6,
    })
}

/// Sorted identities as intervals, numbered from one. Neighbours with the same ports are one
/// interval: a selector that means everybody is one or two of them.
fn identity_intervals(identities: &[(u32, SetId)], set: impl Fn(SetId) -> u32) -> Vec<(u32, u32)> {
    let mut intervals: Vec<(u32, u32)> = Vec::new();
    let mut next = 0;
    for (identity, id) in identities {
        let (number, set) = (identity + 1, set(*id));
        if number != next && !intervals.is_empty() {
            intervals.push((next, 0));
        }
        if number != next || intervals.last().is_none_or(|(_, last)| *last != set) {
            intervals.push((number, set));
        }
        next = number + 1;
    }
    if !intervals.is_empty() {
        intervals.push((next, 0));
    }
    intervals
}
