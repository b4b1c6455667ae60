//! Where boxes and lines go.
//!
//! Boxes stand in columns, one below the other. Peers are ordered by the mean
//! height of the rows their lines end at, and rows by the height of their
//! peers: two passes that keep most lines from crossing.

use std::cmp::Ordering;

use super::scene::{Node, Scene, Stub};
use crate::policy::Direction;

/// Width of a character of the 12 px monospace text, rounded up.
pub(super) const CHAR: f64 = 7.3;
pub(super) const LINE: f64 = 16.0;
/// Height of the row in which a line of ports ends.
pub(super) const ROW: f64 = 24.0;
pub(super) const PADDING: f64 = 10.0;
const GAP: f64 = 22.0;
const MARGIN: f64 = 24.0;
/// Room for lines to bend in.
const GUTTER: f64 = 110.0;
/// Title and column heads.
const HEAD: f64 = 96.0;
pub(super) const LEGEND: f64 = 92.0;
const WIDTH_MIN: f64 = 860.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A drawn line: from the peer's box to the row, where the label stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Path {
    /// Index of the edge in the scene.
    pub(super) edge: usize,
    /// At the peer's box.
    pub(super) peer: (f64, f64),
    /// Where the bend ends and the label begins, on the side of the peer.
    pub(super) label: f64,
    /// At the endpoint's box; its height is that of the row.
    pub(super) endpoint: (f64, f64),
}

/// What stands in a row without a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) direction: Direction,
    pub(super) stub: Stub,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) y: f64,
}

/// Every position, in pixels.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) sources: Vec<Rect>,
    pub(super) endpoints: Vec<Rect>,
    pub(super) targets: Vec<Rect>,
    pub(super) paths: Vec<Path>,
    pub(super) marks: Vec<Mark>,
    pub(super) open: Option<Rect>,
    pub(super) legend: f64,
    /// Left edges of the columns that have a head.
    pub(super) heads: [f64; 3],
}

impl Layout {
    pub(super) fn of(scene: &Scene) -> Self {
        let columns = Columns::of(scene);
        let mut layout = Self {
            heads: columns.heads(),
            ..Self::default()
        };
        let heights = endpoint_heights(scene);
        let own = total(heights.iter().copied());
        let others =
            [&scene.sources, &scene.targets].map(|nodes| total(nodes.iter().map(text_height)));
        let tallest = others.into_iter().fold(own, f64::max);
        let top = HEAD + (tallest - own) / 2.0;
        layout.endpoints = stack(&heights, columns.middle, top, columns.middle_width);
        let bottom = HEAD + tallest;
        layout.sources = peers(
            scene,
            Direction::Ingress,
            &layout.endpoints,
            (columns.left, columns.left_width),
            bottom,
        );
        layout.targets = peers(
            scene,
            Direction::Egress,
            &layout.endpoints,
            (columns.right, columns.right_width),
            bottom,
        );
        layout.connect(scene, &columns);
        let bottom = [&layout.sources, &layout.endpoints, &layout.targets]
            .into_iter()
            .flatten()
            .map(|rect| rect.y + rect.height)
            .fold(HEAD, f64::max);
        let mut below = bottom + GAP;
        if let Some(open) = &scene.open {
            let rect = Rect {
                x: MARGIN,
                y: below + LINE,
                width: text_width(open),
                height: text_height(open),
            };
            below = rect.y + rect.height + GAP;
            layout.open = Some(rect);
        }
        layout.legend = below;
        layout.height = below + LEGEND;
        let open = layout.open.map_or(0.0, |rect| rect.x + rect.width);
        layout.width = (columns.end.max(open) + MARGIN).max(WIDTH_MIN);
        layout
    }

    /// Gives each line its row.
    fn connect(&mut self, scene: &Scene, columns: &Columns) {
        for (index, rect) in self.endpoints.iter().enumerate() {
            for direction in [Direction::Ingress, Direction::Egress] {
                let (boxes, near, far) = match direction {
                    Direction::Ingress => (&self.sources, rect.x, columns.label_in),
                    Direction::Egress => (&self.targets, rect.x + rect.width, columns.label_out),
                };
                let mut edges: Vec<(usize, Rect)> = scene
                    .edges
                    .iter()
                    .enumerate()
                    .filter(|(_, edge)| edge.direction == direction && edge.endpoint == index)
                    .filter_map(|(number, edge)| Some((number, *boxes.get(edge.peer)?)))
                    .collect();
                edges.sort_by(|a, b| order(a.1.y, b.1.y).then(a.0.cmp(&b.0)));
                let count = rows(scene, index, direction);
                let mut y = rect.y + (rect.height - count * ROW) / 2.0 + ROW / 2.0;
                let stubs = scene.stubs.get(index).copied().unwrap_or_default();
                let [ingress, egress] = stubs;
                let stub = match direction {
                    Direction::Ingress => ingress,
                    Direction::Egress => egress,
                };
                if let Some(stub) = stub {
                    self.marks.push(Mark {
                        direction,
                        stub,
                        from: far,
                        to: near,
                        y,
                    });
                    continue;
                }
                for (edge, peer) in edges {
                    let side = match direction {
                        Direction::Ingress => peer.x + peer.width,
                        Direction::Egress => peer.x,
                    };
                    self.paths.push(Path {
                        edge,
                        peer: (side, peer.y + peer.height / 2.0),
                        label: far,
                        endpoint: (near, y),
                    });
                    y += ROW;
                }
            }
        }
    }
}

/// Left edges and widths of the columns.
struct Columns {
    left: f64,
    left_width: f64,
    label_in: f64,
    middle: f64,
    middle_width: f64,
    label_out: f64,
    right: f64,
    right_width: f64,
    end: f64,
}

impl Columns {
    fn of(scene: &Scene) -> Self {
        let widest = |nodes: &[Node]| nodes.iter().map(text_width).fold(0.0, f64::max);
        let label = |direction| {
            let edges = scene.edges.iter();
            let chars = edges
                .filter(|edge| edge.direction == direction)
                .map(|edge| edge.label.chars().count())
                // The stubs say "nobody" and "anyone, open".
                .fold(12, usize::max);
            width_of(chars) + 46.0
        };
        let gutter = |width: f64| if width > 0.0 { GUTTER } else { 0.0 };
        let left_width = widest(&scene.sources);
        let label_in = MARGIN + left_width + gutter(left_width);
        let middle = label_in + label(Direction::Ingress);
        let middle_width = widest(&scene.endpoints);
        let label_out = middle + middle_width + label(Direction::Egress);
        let right_width = widest(&scene.targets);
        let right = label_out + gutter(right_width);
        Self {
            left: MARGIN,
            left_width,
            label_in,
            middle,
            middle_width,
            label_out,
            right,
            right_width,
            end: right + right_width,
        }
    }

    fn heads(&self) -> [f64; 3] {
        [self.left, self.middle, self.right]
    }
}

/// Rows at one side of an endpoint.
fn rows(scene: &Scene, endpoint: usize, direction: Direction) -> f64 {
    let edges = scene.edges.iter();
    let own = edges.filter(|edge| edge.direction == direction && edge.endpoint == endpoint);
    // Few enough to be exact.
    own.fold(0.0, |count: f64, _| count + 1.0).max(1.0)
}

fn endpoint_heights(scene: &Scene) -> Vec<f64> {
    let nodes = scene.endpoints.iter().enumerate();
    nodes
        .map(|(index, node)| {
            let rows = |direction| rows(scene, index, direction) * ROW;
            let rows = rows(Direction::Ingress).max(rows(Direction::Egress));
            text_height(node).max(rows + PADDING)
        })
        .collect()
}

/// What boxes of these heights need, one below the other.
fn total(heights: impl Iterator<Item = f64>) -> f64 {
    heights.fold(0.0, |sum, height| sum + height + GAP)
}

/// Boxes one below the other.
fn stack(heights: &[f64], x: f64, top: f64, width: f64) -> Vec<Rect> {
    let mut y = top;
    let place = |height: &f64| {
        let rect = Rect {
            x,
            y,
            width,
            height: *height,
        };
        y += height + GAP;
        rect
    };
    heights.iter().map(place).collect()
}

/// The peers of one side, near the endpoints they are connected with and above
/// `bottom`, which leaves room for all.
fn peers(
    scene: &Scene,
    direction: Direction,
    endpoints: &[Rect],
    (x, width): (f64, f64),
    bottom: f64,
) -> Vec<Rect> {
    let nodes = scene.column(direction);
    let mut wanted: Vec<(f64, usize, f64)> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| {
            let of_peer =
                |edge: &&super::scene::Edge| edge.direction == direction && edge.peer == index;
            let ends = scene.edges.iter().filter(of_peer);
            let heights = ends.filter_map(|edge| endpoints.get(edge.endpoint));
            let (sum, count) = heights.fold((0.0, 0.0_f64), |(sum, count), rect| {
                (sum + rect.y + rect.height / 2.0, count + 1.0)
            });
            (sum / count.max(1.0), index, text_height(node))
        })
        .collect();
    wanted.sort_by(|a, b| order(a.0, b.0).then(a.1.cmp(&b.1)));
    let mut y = HEAD;
    let mut placed: Vec<(usize, Rect)> = Vec::new();
    for (middle, index, height) in wanted {
        let top = y.max(middle - height / 2.0);
        let rect = Rect {
            x,
            y: top,
            width,
            height,
        };
        y = top + height + GAP;
        placed.push((index, rect));
    }
    let mut limit = bottom;
    for (_, rect) in placed.iter_mut().rev() {
        rect.y = rect.y.min(limit - GAP - rect.height);
        limit = rect.y;
    }
    placed.sort_by_key(|(index, _)| *index);
    placed.into_iter().map(|(_, rect)| rect).collect()
}

fn order(a: f64, b: f64) -> Ordering {
    a.total_cmp(&b)
}

pub(super) fn width_of(chars: usize) -> f64 {
    // Lines are cut at some ninety characters.
    f64::from(u32::try_from(chars).unwrap_or(u32::MAX)) * CHAR
}

fn text_width(node: &Node) -> f64 {
    let chars = node.lines.iter().map(|line| line.chars().count()).max();
    width_of(chars.unwrap_or(0)) + 2.0 * PADDING
}

fn text_height(node: &Node) -> f64 {
    node.lines.iter().fold(0.0, |height, _| height + LINE) + 2.0 * PADDING - 4.0
}
