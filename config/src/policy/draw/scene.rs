//! What there is to draw, before anybody knows where.

use std::collections::BTreeMap;

use crate::policy::{
    Direction, PortList,
    view::{Group, PortName, Side, View, Who, ports_words},
};

/// How wide a box's text may be, in characters.
const BOX_CHARS: usize = 36;
/// How wide the ports on a line may be.
const LABEL_CHARS: usize = 30;
/// How many lines a box may have; the rest is told in its tooltip.
const BOX_LINES: usize = 12;
/// The list of open pods stands below everything and may be wider.
const OPEN_CHARS: usize = 88;

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Anyone,
    Block,
    Pods,
    Endpoint,
    Open,
}

/// A box with its text.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) lines: Vec<String>,
    /// Everything, where the lines had to leave something out.
    pub(super) tooltip: String,
}

/// A line between a peer and an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) direction: Direction,
    /// Index of the box in the column of the direction.
    pub(super) peer: usize,
    /// Index of the box in the middle.
    pub(super) endpoint: usize,
    pub(super) label: String,
    pub(super) tooltip: String,
}

/// A direction of an endpoint without lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stub {
    /// Nothing isolates it.
    Open,
    /// Nobody is let through.
    Nobody,
}

/// Boxes and lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    pub(super) sources: Vec<Node>,
    pub(super) endpoints: Vec<Node>,
    pub(super) targets: Vec<Node>,
    pub(super) edges: Vec<Edge>,
    /// By endpoint: ingress, egress.
    pub(super) stubs: Vec<[Option<Stub>; 2]>,
    pub(super) open: Option<Node>,
}

impl Scene {
    pub(super) fn of(view: &View) -> Self {
        let mut scene = Self::default();
        for (index, group) in view.groups.iter().enumerate() {
            scene.endpoints.push(endpoint(group));
            scene.stubs.push([
                scene_side(
                    &mut scene.sources,
                    &mut scene.edges,
                    group,
                    index,
                    Direction::Ingress,
                ),
                scene_side(
                    &mut scene.targets,
                    &mut scene.edges,
                    group,
                    index,
                    Direction::Egress,
                ),
            ]);
        }
        if !view.open.is_empty() {
            scene.open = Some(Node {
                kind: Kind::Open,
                lines: clipped(wrapped(&view.open_words, OPEN_CHARS)),
                tooltip: view.open.join(", "),
            });
        }
        scene
    }

    pub(super) fn column(&self, direction: Direction) -> &[Node] {
        match direction {
            Direction::Ingress => &self.sources,
            Direction::Egress => &self.targets,
        }
    }
}

fn endpoint(group: &Group) -> Node {
    let mut lines = clipped(wrapped(&group.words, BOX_CHARS));
    let isolated = |side: &Side| matches!(side, Side::Isolated { .. });
    lines.push(
        match (isolated(&group.ingress), isolated(&group.egress)) {
            (true, true) => "isolated: ingress and egress",
            (true, false) => "isolated: ingress",
            (false, true) => "isolated: egress",
            (false, false) => "open",
        }
        .to_owned(),
    );
    Node {
        kind: Kind::Endpoint,
        lines,
        tooltip: group.pods.join(", "),
    }
}

/// Adds the peers and lines of one direction; what several rules grant to one
/// peer is one line.
fn scene_side(
    column: &mut Vec<Node>,
    edges: &mut Vec<Edge>,
    group: &Group,
    endpoint: usize,
    direction: Direction,
) -> Option<Stub> {
    let Side::Isolated { grants, .. } = group.side(direction) else {
        return Some(Stub::Open);
    };
    let mut united: BTreeMap<usize, (PortList, Vec<PortName>, Vec<String>)> = BTreeMap::new();
    for grant in grants {
        if matches!(&grant.who, Who::Pods { pods, .. } if pods.is_empty()) {
            continue;
        }
        let node = peer(&grant.who);
        let found = column
            .iter()
            .position(|it| it.kind == node.kind && it.tooltip == node.tooltip);
        let index = found.unwrap_or_else(|| {
            column.push(node);
            column.len() - 1
        });
        let (ports, names, rules) = united.entry(index).or_default();
        *ports = ports.united(&grant.ports);
        names.extend(grant.names.iter().cloned());
        rules.push(format!("{}: {}", grant.rule, grant.ports_words()));
    }
    for (peer, (ports, names, rules)) in &mut united {
        names_once(names);
        edges.push(Edge {
            direction,
            peer: *peer,
            endpoint,
            label: shortened(&ports_words(ports, names), LABEL_CHARS),
            tooltip: rules.join("\n"),
        });
    }
    united.is_empty().then_some(Stub::Nobody)
}

fn names_once(names: &mut Vec<PortName>) {
    names.sort_unstable();
    names.dedup();
}

fn peer(who: &Who) -> Node {
    let (kind, lines) = match who {
        Who::Anyone => (Kind::Anyone, vec!["anyone".to_owned()]),
        Who::Block {
            cidr,
            except,
            strangers_only,
        } => {
            let mut lines = vec![cidr.to_string()];
            lines.extend(except.iter().map(|except| format!("except {except}")));
            if *strangers_only {
                lines.push("never a pod or node".to_owned());
            }
            (Kind::Block, lines)
        }
        Who::Pods { words, .. } => (Kind::Pods, wrapped(words, BOX_CHARS)),
    };
    let tooltip = match who {
        Who::Pods { pods, .. } => pods.join(", "),
        Who::Anyone | Who::Block { .. } => who.words(),
    };
    Node {
        kind,
        lines: clipped(lines),
        tooltip,
    }
}

fn clipped(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > BOX_LINES {
        let left_out = lines.len() - (BOX_LINES - 1);
        lines.truncate(BOX_LINES - 1);
        lines.push(format!("and {left_out} lines more"));
    }
    lines
}

/// Breaks at spaces, and inside words that are too long by themselves.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut rest: Vec<char> = word.chars().collect();
        let used = line.chars().count();
        if used > 0 && used + 1 + rest.len() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        while rest.len() > width {
            let left = rest.split_off(width);
            lines.push(rest.into_iter().collect());
            rest = left;
        }
        line.extend(rest);
    }
    lines.push(line);
    lines
}

fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width - 1).collect();
    short.push('…');
    short
}
