//! Differences in words that a person can act on.

use std::{fmt::Write as _, net::IpAddr};

use super::{Diff, Difference, Span};
use crate::policy::{Direction, Inventory, explain::Locate, view::named_peers};

/// Endpoints or peers by the names of their pods and nodes. `alone` is the only
/// pod on the other side, which is never its own peer.
fn parties(
    inventory: &Inventory,
    spans: impl Iterator<Item = Span>,
    alone: Option<&str>,
) -> String {
    let mut pods = Vec::new();
    let mut words = Vec::new();
    for span in spans {
        match span {
            Span::Owned(address) => match inventory.pod_at(address) {
                Some(pod) => pods.push(pod.full_name()),
                None => {
                    let mut nodes = inventory.nodes();
                    let node = nodes.find(|node| node.addresses.contains(&address));
                    let name = node.map(|node| node.name.as_str()).unwrap_or_default();
                    words.push(format!("node {name} ({address})"));
                }
            },
            Span::Strangers(first, last) => {
                words.push(format!("{first} to {last} (neither pod nor node)"));
            }
        }
    }
    if !pods.is_empty() {
        pods.dedup();
        words.insert(0, named_peers(inventory, &pods, alone));
    }
    words.join(", ")
}

/// Every difference in words that a person can act on.
pub fn words(diff: &Diff, inventory: &Inventory, locate: Locate<'_>) -> String {
    let [one, two] = diff.dialects;
    if diff.differences.is_empty() {
        return format!("{one} and {two} agree on every connection\n");
    }
    let mut text = String::new();
    for (number, difference) in diff.differences.iter().enumerate() {
        one_difference(&mut text, number, difference, inventory, locate);
    }
    let _ = writeln!(
        text,
        "{} difference{} between {one} and {two}",
        diff.differences.len(),
        if diff.differences.len() == 1 { "" } else { "s" }
    );
    text
}

fn one_difference(
    text: &mut String,
    number: usize,
    difference: &Difference,
    inventory: &Inventory,
    locate: Locate<'_>,
) {
    let endpoints = difference.endpoints.iter().copied().map(Span::Owned);
    let mut names: Vec<_> = difference
        .endpoints
        .iter()
        .filter_map(|address| inventory.pod_at(*address))
        .map(|pod| pod.full_name())
        .collect();
    names.dedup();
    let alone = match names.as_slice() {
        [alone] => Some(alone.as_str()),
        _ => None,
    };
    let endpoints = parties(inventory, endpoints, None);
    let peers = parties(inventory, difference.peers.iter().copied(), alone);
    let (from, to) = match difference.direction {
        Direction::Ingress => (&peers, &endpoints),
        Direction::Egress => (&endpoints, &peers),
    };
    let v4 = difference.endpoints.first().is_some_and(IpAddr::is_ipv4);
    let _ = writeln!(
        text,
        "{}. {} over {}: {} allows it, {} denies it",
        number + 1,
        difference.direction.name(),
        if v4 { "IPv4" } else { "IPv6" },
        difference.allowed_under,
        difference.denied_under
    );
    let _ = writeln!(
        text,
        "   from  {from}\n   to    {to}\n   ports {}",
        difference.ports
    );
    for rule in &difference.rules {
        let place = locate(rule).map(|place| format!(" ({place})"));
        let _ = writeln!(text, "   rule  {rule}{}", place.unwrap_or_default());
    }
    if !difference.spared.is_empty() {
        text.push_str(
            "   not meant: a pod and itself, and a pod's own node to it; those always pass\n",
        );
    }
    text.push_str(&difference.remedy.words());
}
