//! From inventory and policies to the compiled form.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use super::{
    CompileError, Compiled, CompiledSize, Inner, Table,
    address::{Index, Owner},
    identity::Identities,
    intervals::{Intervals, Span},
    lines,
    ports::{Interner, SetId},
    rules::RuleParts,
};
use crate::policy::{Dialect, Direction, Inventory, NamedPort, PolicySet};

/// Entries of all tables together. At 24 bytes for the largest kind this is
/// some 400 MB; what needs more is refused before it takes the machine down.
const ENTRIES_MAX: usize = 16 << 20;

/// Compiles the whole of what is in force.
pub fn compile(
    inventory: &Inventory,
    policies: &PolicySet,
    dialect: Dialect,
) -> Result<Compiled, CompileError> {
    let (identities, of_pods) = Identities::of(inventory);
    let mut build = Build {
        inventory,
        dialect,
        identities,
        interner: Interner::default(),
        tables: Vec::new(),
        groups: HashMap::new(),
        entries: 0,
    };
    let ingress = build.direction(policies, Direction::Ingress)?;
    let egress = build.direction(policies, Direction::Egress)?;
    let owners = owners(inventory, &of_pods, &ingress, &egress)?;
    let size = CompiledSize {
        endpoints: owners.values().filter(|owner| owner.pod.is_some()).count(),
        identities: build.identities.len(),
        tables: build.tables.len(),
        entries: build.entries,
        port_sets: 0,
    };
    let (tables, sets) = (build.tables, build.interner.finish());
    let size = CompiledSize {
        port_sets: sets.len(),
        ..size
    };
    let image = lines::image(dialect, &sets, tables, &owners)
        .ok_or(CompileError::TooLarge { max: ENTRIES_MAX })?;
    Ok(Compiled {
        inner: Arc::new(Inner {
            dialect,
            image,
            size,
        }),
    })
}

/// What decides which table a group has: its policies, and for ingress what the
/// ports they name are on the pods of the group.
#[derive(Debug, PartialEq, Eq, Hash)]
struct GroupKey<'a> {
    direction: Direction,
    policies: Vec<usize>,
    named: Vec<&'a NamedPort>,
}

struct Build<'a> {
    inventory: &'a Inventory,
    dialect: Dialect,
    identities: Identities<'a>,
    interner: Interner,
    tables: Vec<Table>,
    groups: HashMap<GroupKey<'a>, Option<Index>>,
    entries: usize,
}

impl<'a> Build<'a> {
    /// The table of each identity; none where no policy isolates it.
    fn direction(
        &mut self,
        policies: &'a PolicySet,
        direction: Direction,
    ) -> Result<Vec<Option<Index>>, CompileError> {
        let mut rules = Vec::new();
        let mut selected_by: Vec<Vec<usize>> = vec![Vec::new(); self.identities.len()];
        for policy in policies.iter().filter(|policy| policy.isolates(direction)) {
            for identity in self
                .identities
                .select(&policy.namespace, &policy.pod_selector)
            {
                if let Some(policies) = selected_by.get_mut(identity as usize) {
                    policies.push(rules.len());
                }
            }
            let parts = RuleParts::of(policy, direction, &mut self.identities, &mut self.interner);
            rules.push(parts);
        }
        let mut tables = Vec::with_capacity(selected_by.len());
        for (identity, policies) in (0..).zip(selected_by) {
            tables.push(if policies.is_empty() {
                None
            } else {
                self.group(direction, identity, policies, &rules)?
            });
        }
        Ok(tables)
    }

    fn group(
        &mut self,
        direction: Direction,
        identity: u32,
        policies: Vec<usize>,
        rules: &[Vec<RuleParts<'a>>],
    ) -> Result<Option<Index>, CompileError> {
        let own: Vec<_> = policies
            .iter()
            .filter_map(|index| rules.get(*index))
            .flatten()
            .collect();
        let mut named = Vec::new();
        if let (Direction::Ingress, Some(found)) = (direction, self.identities.get(identity)) {
            let used = |port: &&NamedPort| own.iter().any(|rule| rule.has_name(port));
            named.extend(found.ports.iter().copied().filter(used));
        }
        let key = GroupKey {
            direction,
            policies,
            named,
        };
        if let Some(table) = self.groups.get(&key) {
            return Ok(*table);
        }
        let table = self.table(direction, &key.named, &own);
        self.entries += table.entries();
        if self.entries > ENTRIES_MAX || self.interner.is_full() {
            return Err(CompileError::TooLarge { max: ENTRIES_MAX });
        }
        let index = Index::new(self.tables.len());
        self.tables.push(table);
        self.groups.insert(key, index);
        Ok(index)
    }

    /// The union of `rules` for one group whose named ports are `named`.
    fn table(
        &mut self,
        direction: Direction,
        named: &[&NamedPort],
        rules: &[&RuleParts<'_>],
    ) -> Table {
        let mut draft = Draft::default();
        for rule in rules {
            let ports = match direction {
                Direction::Ingress => {
                    let resolved = rule.resolve(named, &mut self.interner);
                    self.interner.union_two(rule.ports, resolved)
                }
                Direction::Egress => {
                    self.resolve_on_peers(rule, &mut draft);
                    rule.ports
                }
            };
            draft.add(rule, ports, &mut self.interner);
        }
        Table {
            anyone: draft.anyone,
            identities: draft.identities.into_iter().collect(),
            v4: Intervals::build(&draft.v4, &mut self.interner),
            v6: Intervals::build(&draft.v6, &mut self.interner),
        }
    }

    /// Adds what the names in an egress rule stand for on each pod it means.
    fn resolve_on_peers(&mut self, rule: &RuleParts<'_>, draft: &mut Draft) {
        if rule.names.is_empty() {
            return;
        }
        let listed = |id: u32| {
            rule.identities
                .iter()
                .any(|set| set.binary_search(&id).is_ok())
        };
        for (id, identity) in self.identities.iter() {
            if rule.anyone || listed(id) {
                let resolved = rule.resolve(&identity.ports, &mut self.interner);
                draft.add_identity(id, resolved, &mut self.interner);
            }
        }
        if self.dialect == Dialect::Cilium {
            return;
        }
        // A block means a pod by its address, so the pods inside are told apart.
        for pod in self.inventory.pods() {
            for address in pod
                .own_addresses()
                .iter()
                .filter(|at| rule.block_holds(**at))
            {
                let ports: Vec<_> = pod.ports.iter().collect();
                let resolved = rule.resolve(&ports, &mut self.interner);
                draft.add_address(*address, resolved);
            }
        }
    }
}

/// A table while rules are added to it.
#[derive(Debug, Default)]
struct Draft {
    anyone: SetId,
    identities: BTreeMap<u32, SetId>,
    v4: Vec<(Span<u32>, SetId)>,
    v6: Vec<(Span<u128>, SetId)>,
}

impl Draft {
    fn add(&mut self, rule: &RuleParts<'_>, ports: SetId, interner: &mut Interner) {
        if ports == SetId::EMPTY {
            return;
        }
        if rule.anyone {
            self.anyone = interner.union_two(self.anyone, ports);
        }
        for identity in rule.identities.iter().flat_map(|set| set.iter()) {
            self.add_identity(*identity, ports, interner);
        }
        self.v4.extend(rule.v4.iter().map(|span| (*span, ports)));
        self.v6.extend(rule.v6.iter().map(|span| (*span, ports)));
    }

    fn add_identity(&mut self, identity: u32, ports: SetId, interner: &mut Interner) {
        if ports != SetId::EMPTY {
            let entry = self.identities.entry(identity).or_default();
            *entry = interner.union_two(*entry, ports);
        }
    }

    fn add_address(&mut self, address: IpAddr, ports: SetId) {
        match address {
            _ if ports == SetId::EMPTY => {}
            IpAddr::V4(v4) => self.v4.push(((v4.to_bits(), v4.to_bits()), ports)),
            IpAddr::V6(v6) => self.v6.push(((v6.to_bits(), v6.to_bits()), ports)),
        }
    }
}

/// Who owns each address: pods by identity and tables, and nodes.
fn owners(
    inventory: &Inventory,
    of_pods: &[Option<u32>],
    ingress: &[Option<Index>],
    egress: &[Option<Index>],
) -> Result<BTreeMap<IpAddr, Owner>, CompileError> {
    let mut owners: BTreeMap<IpAddr, Owner> = BTreeMap::new();
    let mut homes = HashMap::new();
    for (number, node) in inventory.nodes().enumerate() {
        homes.insert(node.name.as_str(), Index::new(number));
        for address in &node.addresses {
            owners.entry(address.to_canonical()).or_default().node = Index::new(number);
        }
    }
    let table =
        |tables: &[Option<Index>], identity: u32| tables.get(identity as usize).copied().flatten();
    for (number, (pod, identity)) in inventory.pods().zip(of_pods).enumerate() {
        let Some(identity) = *identity else { continue };
        let home = pod
            .node
            .as_deref()
            .and_then(|node| homes.get(node).copied().flatten());
        for address in pod.own_addresses() {
            let owner = owners.entry(address.to_canonical()).or_default();
            let this = Index::new(number);
            if let Some(other) = owner.pod.filter(|other| Some(*other) != this) {
                return Err(taken(inventory, *address, other, number));
            }
            *owner = Owner {
                pod: this,
                identity: Index::new(identity as usize),
                ingress: table(ingress, identity),
                egress: table(egress, identity),
                node: owner.node,
                home,
            };
        }
    }
    Ok(owners)
}

fn taken(inventory: &Inventory, address: IpAddr, first: Index, second: usize) -> CompileError {
    let name = |number| {
        inventory
            .pods()
            .nth(number)
            .map(|pod| pod.full_name())
            .unwrap_or_default()
    };
    CompileError::AddressTaken {
        address,
        first: name(first.get()),
        second: name(second),
    }
}
