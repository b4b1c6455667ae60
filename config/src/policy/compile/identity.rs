//! Identities: pods that no policy can tell apart.
//!
//! Selecting is done once for each different selector, over identities instead
//! of pods, and starts from the identities that carry one of its labels.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use crate::policy::{Expression, Inventory, NamedPort, Operator, Pod, Selector};

type Labels = BTreeMap<String, String>;

#[derive(Debug)]
pub(super) struct Identity<'a> {
    pub(super) labels: &'a Labels,
    /// Sorted.
    pub(super) ports: Vec<&'a NamedPort>,
}

/// A selector peer, as far as what it selects goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PeerKey<'a> {
    /// The policy's namespace; of no account beside a namespace selector.
    own: Option<&'a str>,
    namespaces: Option<&'a Selector>,
    pods: Option<&'a Selector>,
}

#[derive(Debug, Default)]
pub(super) struct Identities<'a> {
    all: Vec<Identity<'a>>,
    namespaces: HashMap<String, NamespaceIndex<'a>>,
    peers: HashMap<PeerKey<'a>, Rc<[u32]>>,
}

#[derive(Debug, Default)]
struct NamespaceIndex<'a> {
    labels: Labels,
    members: Vec<u32>,
    by_label: HashMap<(&'a str, &'a str), Vec<u32>>,
}

impl<'a> Identities<'a> {
    /// The identities of an inventory, and that of each pod which has one, in
    /// the order of [`Inventory::pods`].
    pub(super) fn of(inventory: &'a Inventory) -> (Self, Vec<Option<u32>>) {
        let mut this = Self::default();
        for namespace in inventory.namespaces() {
            let index = NamespaceIndex {
                labels: namespace.labels,
                ..Default::default()
            };
            this.namespaces.insert(namespace.name, index);
        }
        let mut known = HashMap::new();
        let mut of_pods = Vec::with_capacity(inventory.pods().len());
        for pod in inventory.pods() {
            if pod.own_addresses().is_empty() {
                of_pods.push(None);
                continue;
            }
            let mut ports: Vec<_> = pod.ports.iter().collect();
            ports.sort_unstable();
            ports.dedup();
            let key = (pod.namespace.as_str(), &pod.labels, ports.clone());
            let identity = *known.entry(key).or_insert_with(|| this.add(pod, ports));
            of_pods.push(Some(identity));
        }
        (this, of_pods)
    }

    fn add(&mut self, pod: &'a Pod, ports: Vec<&'a NamedPort>) -> u32 {
        // An inventory with four billion pods does not fit into memory.
        let identity = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(Identity {
            labels: &pod.labels,
            ports,
        });
        let index = self.namespaces.entry(pod.namespace.clone()).or_default();
        index.members.push(identity);
        for (key, value) in &pod.labels {
            index
                .by_label
                .entry((key, value))
                .or_default()
                .push(identity);
        }
        identity
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, identity: u32) -> Option<&Identity<'a>> {
        self.all.get(identity as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Identity<'a>)> {
        (0..).zip(&self.all)
    }

    /// The identities of `namespace` that `selector` selects, in order.
    pub(super) fn select(&self, namespace: &str, selector: &Selector) -> Vec<u32> {
        let Some(index) = self.namespaces.get(namespace) else {
            return Vec::new();
        };
        let candidates = match selector.labels.first_key_value() {
            None => Some(&index.members),
            Some((key, value)) => index.by_label.get(&(key.as_str(), value.as_str())),
        };
        let candidates = candidates.map(Vec::as_slice).unwrap_or_default();
        let selected = |identity: &u32| {
            self.get(*identity)
                .is_some_and(|found| matches(selector, found.labels))
        };
        candidates.iter().copied().filter(selected).collect()
    }

    /// The identities that a selector peer of a policy in `own` means, in order.
    pub(super) fn peer(
        &mut self,
        own: &'a str,
        namespaces: Option<&'a Selector>,
        pods: Option<&'a Selector>,
    ) -> Rc<[u32]> {
        let own = namespaces.is_none().then_some(own);
        let key = PeerKey {
            own,
            namespaces,
            pods,
        };
        if let Some(found) = self.peers.get(&key) {
            return Rc::clone(found);
        }
        let everyone = Selector::default();
        let pods = pods.unwrap_or(&everyone);
        let mut selected = match (own, namespaces) {
            (Some(own), _) => self.select(own, pods),
            (None, None) => Vec::new(),
            (None, Some(selector)) => self
                .namespaces
                .iter()
                .filter(|(_, index)| matches(selector, &index.labels))
                .flat_map(|(name, _)| self.select(name, pods))
                .collect(),
        };
        selected.sort_unstable();
        let selected: Rc<[u32]> = selected.into();
        self.peers.insert(key, Rc::clone(&selected));
        selected
    }
}

fn matches(selector: &Selector, labels: &Labels) -> bool {
    selector
        .labels
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
        && selector
            .expressions
            .iter()
            .all(|expression| holds(expression, labels))
}

fn holds(expression: &Expression, labels: &Labels) -> bool {
    let value = labels.get(&expression.key);
    let listed = value.is_some_and(|value| expression.values.contains(value));
    match expression.operator {
        Operator::In => listed,
        Operator::NotIn => !listed,
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
    }
}
