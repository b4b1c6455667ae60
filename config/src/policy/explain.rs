//! Policies in words: for each isolated group who may reach it and whom it may
//! reach, or for one connection what decides at each end.
//!
//! Sentences only; what they say comes from the view and the oracle.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    Dialect, Direction, Inventory, PolicySet, PolicyVerdict,
    eval::Connection,
    oracle::{self, AllowedBy, RuleMatch},
    view::{Grant, Group, Side, View, Who, ports_words},
};

/// Where a rule is written, as far as the caller knows: `file:line:column`.
pub type Locate<'a> = &'a dyn Fn(&RuleMatch) -> Option<String>;

/// The whole view as text.
pub fn groups(view: &View, locate: Locate<'_>) -> String {
    let mut text = String::new();
    for group in &view.groups {
        let _ = writeln!(text, "{}", group.words);
        for direction in [Direction::Ingress, Direction::Egress] {
            side(&mut text, group, direction, locate);
        }
        text.push('\n');
    }
    if view.groups.is_empty() {
        text.push_str("No policy selects a pod of the inventory: everything is allowed.\n");
    }
    if !view.open.is_empty() {
        let _ = writeln!(
            text,
            "Not selected by any policy, so open both ways: {}",
            view.open_words
        );
    }
    for policy in &view.idle {
        let _ = writeln!(text, "Without effect, it selects no pod: {policy}");
    }
    text
}

fn side(text: &mut String, group: &Group, direction: Direction, locate: Locate<'_>) {
    let (passive, active) = match direction {
        Direction::Ingress => ("may be reached by", "reach it"),
        Direction::Egress => ("may reach", "be reached by it"),
    };
    let Side::Isolated { by, grants } = group.side(direction) else {
        let _ = writeln!(
            text,
            "  {passive} anyone: no policy isolates it for {}",
            direction.name()
        );
        return;
    };
    let _ = writeln!(
        text,
        "  isolated for {} by {}",
        direction.name(),
        by.join(", ")
    );
    for grant in grants {
        let _ = writeln!(text, "    {passive} {}", grant_words(grant));
        let place = locate(&grant.rule).map(|place| format!(" ({place})"));
        let _ = writeln!(
            text,
            "      by rule {}{}",
            grant.rule,
            place.unwrap_or_default()
        );
    }
    let always = match direction {
        Direction::Ingress => "itself and its own node",
        Direction::Egress => "itself",
    };
    let nobody = if grants.is_empty() {
        "nobody may"
    } else {
        "nobody else may"
    };
    let _ = writeln!(text, "    {nobody} {active}, but for {always}");
}

fn grant_words(grant: &Grant) -> String {
    let selector = match &grant.who {
        Who::Pods { selector, .. } => format!(" ({selector})"),
        Who::Anyone | Who::Block { .. } => String::new(),
    };
    format!("{}{selector} on {}", grant.who.words(), grant.ports_words())
}

/// What decides over one new connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowExplanation {
    pub allowed: bool,
    /// The source's egress, then the destination's ingress.
    pub ends: Vec<End>,
}

/// What one end says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    pub direction: Direction,
    /// `namespace/name` of the pod; none for an address outside.
    pub endpoint: Option<String>,
    pub allowed: bool,
    pub isolated_by: Vec<String>,
    pub allowed_by: Option<AllowedBy>,
    /// For a denial: rules that mean the peer, but on these ports only.
    pub other_ports: Vec<OtherPorts>,
}

/// A rule that means the peer and not the port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherPorts {
    pub rule: RuleMatch,
    pub ports: String,
}

/// Asks both ends of a connection.
pub fn flow(
    inventory: &Inventory,
    policies: &PolicySet,
    dialect: Dialect,
    connection: Connection,
) -> FlowExplanation {
    let Connection {
        source,
        destination,
        traffic,
    } = connection;
    let ends = [
        (Direction::Egress, source, destination),
        (Direction::Ingress, destination, source),
    ];
    let ends: Vec<_> = ends
        .into_iter()
        .map(|(direction, endpoint, peer)| {
            let judged = oracle::decide(
                inventory, policies, dialect, direction, endpoint, peer, traffic,
            );
            let allowed = judged.verdict != PolicyVerdict::Denied;
            let meaning = oracle::meaning(inventory, policies, dialect, direction, endpoint, peer);
            let other_ports = meaning
                .into_iter()
                .filter(|_| !allowed)
                .filter_map(|rule| {
                    let written = policies.rule(&rule)?;
                    let on = inventory.pod_at(destination);
                    let (ports, names) = super::view::ports_of(written, on);
                    let ports = ports_words(&ports, &names);
                    Some(OtherPorts { rule, ports })
                })
                .collect();
            End {
                direction,
                endpoint: judged.endpoint,
                allowed,
                isolated_by: judged.isolated_by,
                allowed_by: judged.allowed_by,
                other_ports,
            }
        })
        .collect();
    FlowExplanation {
        allowed: ends.iter().all(|end| end.allowed),
        ends,
    }
}

/// The same as text.
pub fn flow_words(explanation: &FlowExplanation, locate: Locate<'_>) -> String {
    let mut text = String::from(if explanation.allowed {
        "ALLOWED\n"
    } else {
        "DENIED\n"
    });
    for end in &explanation.ends {
        let _ = writeln!(
            text,
            "  {}: {}",
            end.direction.name(),
            end_words(end, locate)
        );
        for other in &end.other_ports {
            let _ = writeln!(
                text,
                "    {} means this peer, but on {} only",
                at(&other.rule, locate),
                other.ports
            );
        }
    }
    text
}

fn end_words(end: &End, locate: Locate<'_>) -> String {
    let Some(pod) = &end.endpoint else {
        return "this end is no pod of the inventory, nothing is asked of it".to_owned();
    };
    let direction = end.direction.name();
    if end.isolated_by.is_empty() {
        return format!("allowed, no policy isolates {pod} for {direction}");
    }
    let by = end.isolated_by.join(", ");
    match &end.allowed_by {
        Some(AllowedBy::Itself) => format!("allowed, {pod} speaks to itself"),
        Some(AllowedBy::OwnNode { node }) => {
            format!("allowed, node {node} runs {pod} and can always reach it")
        }
        Some(AllowedBy::Rule(rule)) => {
            format!("allowed for {pod} by rule {}", at(rule, locate))
        }
        None => format!("denied, {pod} is isolated by {by} and no rule allows this"),
    }
}

fn at(rule: &RuleMatch, locate: Locate<'_>) -> String {
    match locate(rule) {
        Some(place) => format!("{rule} ({place})"),
        None => rule.to_string(),
    }
}

#[cfg(test)]
mod tests;
