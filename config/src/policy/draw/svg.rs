//! From positions to SVG text.

use std::fmt::Write as _;

use super::{
    layout::{LINE, Layout, Mark, PADDING, Path, Rect, width_of},
    scene::{Edge, Kind, Node, Scene, Stub},
};
use crate::policy::{Direction, view::View};

/// Told apart also where colours are not seen well.
const COLOURS: [&str; 8] = [
    "#1f5fa8", "#b3541e", "#2b7a4b", "#8a2f6b", "#6b5b00", "#3d4c9e", "#a3262a", "#1d7a80",
];

const STYLE: &str = "\
text{font-family:monospace;font-size:12px;fill:#1c1c1c}\
.title{font-size:18px;font-weight:bold}.head{font-weight:bold;fill:#444}.faint{fill:#555}\
.anyone{fill:#fff4d6;stroke:#b07d00}.block{fill:#e6effa;stroke:#1f5fa8}\
.pods{fill:#e9f5ec;stroke:#2b7a4b}.endpoint{fill:#f4f4f4;stroke:#1c1c1c;stroke-width:2.5}\
.open{fill:#fff;stroke:#2b7a4b;stroke-dasharray:6 4}\
.line{fill:none;stroke-width:1.8}.free{stroke:#2b7a4b;stroke-dasharray:6 4}\
.nobody{stroke:#a3262a}.label{fill:#fff}";

pub(super) fn write(view: &View, scene: &Scene, layout: &Layout) -> String {
    let mut out = String::new();
    let (width, height) = (layout.width, layout.height);
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">"
    );
    let title = "Who may reach whom, and on which ports";
    let _ = writeln!(out, "<title>{title}</title>\n<style>{STYLE}</style>");
    markers(&mut out);
    let _ = writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>");
    words(&mut out, "title", 24.0, 36.0, title);
    let count = if view.policies == 1 {
        "1 policy".to_owned()
    } else {
        format!("{} policies", view.policies)
    };
    let about = format!("{count}, read as {} does", view.dialect);
    words(&mut out, "faint", 24.0, 56.0, &about);
    heads(&mut out, scene, layout);
    for path in &layout.paths {
        if let Some(edge) = scene.edges.get(path.edge) {
            line(&mut out, edge, path);
        }
    }
    for mark in &layout.marks {
        stub(&mut out, mark);
    }
    let columns = [
        (&scene.sources, &layout.sources),
        (&scene.endpoints, &layout.endpoints),
        (&scene.targets, &layout.targets),
    ];
    for (node, rect) in columns
        .into_iter()
        .flat_map(|(nodes, rects)| nodes.iter().zip(rects))
    {
        boxed(&mut out, node, rect);
    }
    if let (Some(node), Some(rect)) = (&scene.open, &layout.open) {
        words(
            &mut out,
            "head",
            rect.x,
            rect.y - 8.0,
            "Open: no policy selects these pods",
        );
        boxed(&mut out, node, rect);
    }
    if scene.endpoints.is_empty() {
        words(
            &mut out,
            "head",
            24.0,
            84.0,
            "No policy selects a pod of the inventory",
        );
    }
    legend(&mut out, layout.legend);
    out.push_str("</svg>\n");
    out
}

/// An arrow head for each colour.
fn markers(out: &mut String) {
    out.push_str("<defs>\n");
    for (number, colour) in COLOURS.iter().enumerate() {
        let _ = writeln!(
            out,
            "<marker id=\"a{number}\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"{colour}\"/></marker>"
        );
    }
    out.push_str("</defs>\n");
}

fn heads(out: &mut String, scene: &Scene, layout: &Layout) {
    let [left, middle, right] = layout.heads;
    let heads = [
        (left, "May come in", scene.sources.is_empty()),
        (middle, "Isolated pods", scene.endpoints.is_empty()),
        (right, "May be reached", scene.targets.is_empty()),
    ];
    for (x, head, empty) in heads {
        if !empty {
            words(out, "head", x, 84.0, head);
        }
    }
}

fn line(out: &mut String, edge: &Edge, path: &Path) {
    let number = edge.peer % COLOURS.len();
    let colour = COLOURS.get(number).copied().unwrap_or_default();
    let Path {
        peer: (px, py),
        label,
        endpoint: (ex, ey),
        ..
    } = *path;
    let bend = f64::midpoint(px, label);
    let _ = writeln!(out, "<g><title>{}</title>", escaped(&edge.tooltip));
    let way = match edge.direction {
        Direction::Ingress => {
            format!(
                "M{px:.1} {py:.1}C{bend:.1} {py:.1} {bend:.1} {ey:.1} {label:.1} {ey:.1}H{ex:.1}"
            )
        }
        Direction::Egress => {
            format!(
                "M{ex:.1} {ey:.1}H{label:.1}C{bend:.1} {ey:.1} {bend:.1} {py:.1} {px:.1} {py:.1}"
            )
        }
    };
    let _ = writeln!(
        out,
        "<path class=\"line\" d=\"{way}\" stroke=\"{colour}\" marker-end=\"url(#a{number})\"/>"
    );
    tag(out, &edge.label, edge.direction, label, ey);
    out.push_str("</g>\n");
}

/// Words on a line, on a white ground.
fn tag(out: &mut String, text: &str, direction: Direction, label: f64, y: f64) {
    let width = width_of(text.chars().count());
    let x = match direction {
        Direction::Ingress => label + 14.0,
        Direction::Egress => label - 14.0 - width,
    };
    let _ = writeln!(
        out,
        "<rect class=\"label\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"16\"/>",
        x - 3.0,
        y - 8.0,
        width + 6.0
    );
    words(out, "", x, y + 4.0, text);
}

/// A direction without lines: open to all, or to nobody.
fn stub(out: &mut String, mark: &Mark) {
    let (class, text) = match mark.stub {
        Stub::Open => ("free", "anyone, open"),
        Stub::Nobody => ("nobody", "nobody"),
    };
    let Mark { from, to, y, .. } = *mark;
    let _ = writeln!(
        out,
        "<path class=\"line {class}\" d=\"M{from:.1} {y:.1}H{to:.1}\"/>"
    );
    if mark.stub == Stub::Nobody {
        let x = match mark.direction {
            Direction::Ingress => to - 9.0,
            Direction::Egress => to + 9.0,
        };
        let _ = writeln!(
            out,
            "<path class=\"line nobody\" d=\"M{:.1} {:.1}l8 8m0 -8l-8 8\"/>",
            x - 4.0,
            y - 4.0
        );
    }
    tag(out, text, mark.direction, from, y);
}

fn boxed(out: &mut String, node: &Node, rect: &Rect) {
    let Rect {
        x,
        y,
        width,
        height,
    } = *rect;
    let class = class_of(node.kind);
    let _ = writeln!(out, "<g><title>{}</title>", escaped(&node.tooltip));
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"5\"/>"
    );
    let text = node.lines.iter().fold(0.0, |height, _| height + LINE);
    let mut baseline = y + (height - text) / 2.0 + 12.0;
    let last = node.lines.len().saturating_sub(1);
    for (number, words_of_line) in node.lines.iter().enumerate() {
        let faint = node.kind == Kind::Endpoint && number == last;
        words(
            out,
            if faint { "faint" } else { "" },
            x + PADDING,
            baseline,
            words_of_line,
        );
        baseline += LINE;
    }
    out.push_str("</g>\n");
}

fn class_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Anyone => "anyone",
        Kind::Block => "block",
        Kind::Pods => "pods",
        Kind::Endpoint => "endpoint",
        Kind::Open => "open",
    }
}

fn legend(out: &mut String, top: f64) {
    let boxes = [
        (Kind::Anyone, "anyone at all"),
        (Kind::Block, "addresses (ipBlock)"),
        (Kind::Pods, "pods by selector"),
        (Kind::Endpoint, "isolated pods"),
        (Kind::Open, "open pods"),
    ];
    let mut x = 24.0;
    for (kind, text) in boxes {
        let _ = writeln!(
            out,
            "<rect class=\"{}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"18\" height=\"12\" rx=\"3\"/>",
            class_of(kind),
            top + 4.0
        );
        words(out, "faint", x + 24.0, top + 14.0, text);
        x += 24.0 + width_of(text.chars().count()) + 18.0;
    }
    let notes = [
        "An arrow shows who opens connections; answers pass. What no line shows is denied to isolated pods.",
        "Always allowed and not drawn: a pod and itself, and a node to the pods that run on it.",
        "Point at a box or a line for its full names and rules.",
    ];
    let mut y = top + 38.0;
    for note in notes {
        words(out, "faint", 24.0, y, note);
        y += LINE;
    }
}

fn words(out: &mut String, class: &str, x: f64, y: f64, text: &str) {
    let class = if class.is_empty() {
        String::new()
    } else {
        format!(" class=\"{class}\"")
    };
    let _ = writeln!(
        out,
        "<text{class} x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
        escaped(text)
    );
}

/// Text that is only text: no markup, and nothing that XML forbids.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            other if other.is_control() || matches!(other, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            other => out.push(other),
        }
    }
    out
}
