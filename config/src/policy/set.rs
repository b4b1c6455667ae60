//! Policies by namespace and name.

use std::{collections::BTreeMap, sync::Arc};

use super::{NetworkPolicy, Peer, Place, Rule, oracle::RuleMatch};

/// The policies in force, at most one of each namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySet {
    policies: BTreeMap<(String, String), Arc<NetworkPolicy>>,
}

impl PolicySet {
    /// Adds `policy`, or puts it in the place of its namesake, which is returned.
    pub fn insert(&mut self, policy: NetworkPolicy) -> Option<Arc<NetworkPolicy>> {
        let key = (policy.namespace.clone(), policy.name.clone());
        self.policies.insert(key, Arc::new(policy))
    }

    pub fn remove(&mut self, namespace: &str, name: &str) -> Option<Arc<NetworkPolicy>> {
        self.policies
            .remove(&(namespace.to_owned(), name.to_owned()))
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<NetworkPolicy>> {
        self.policies.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// In the order of namespace and name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<NetworkPolicy>> {
        self.policies.values()
    }

    /// The rule that a match is about.
    pub fn rule(&self, matched: &RuleMatch) -> Option<&Rule> {
        let policy = self.get(&matched.namespace, &matched.name)?;
        policy.rules(matched.direction).get(matched.rule)
    }

    /// Where the item that matched is written.
    pub fn place(&self, matched: &RuleMatch) -> Option<Place> {
        let rule = self.rule(matched)?;
        let peer = matched.peer.and_then(|peer| rule.peers.get(peer));
        Some(match peer {
            None => rule.place,
            Some(Peer::Block(block)) => block.place,
            Some(Peer::Pods { place, .. }) => *place,
        })
    }

    pub fn len(&self) -> usize {
        self.policies.len()
    }

    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }
}

impl FromIterator<NetworkPolicy> for PolicySet {
    fn from_iter<I: IntoIterator<Item = NetworkPolicy>>(policies: I) -> Self {
        let mut set = Self::default();
        for policy in policies {
            set.insert(policy);
        }
        set
    }
}
