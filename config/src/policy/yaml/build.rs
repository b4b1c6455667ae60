//! From parser events to trees.

use std::{collections::HashMap, rc::Rc};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::{Node, Scalar, Value};
use crate::policy::{Fault, Limits, Place};

/// The root of every document in `text` that is not empty.
pub(in crate::policy) fn load(text: &str, limits: &Limits) -> Result<Vec<Node>, Fault> {
    if text.len() > limits.bytes {
        let message = format!(
            "the text is too large: {} bytes, at most {}",
            text.len(),
            limits.bytes
        );
        return Err(fault(0, Place { line: 1, column: 1 }, message));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::new(limits);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| builder.syntax(&error))?;
        builder.take(event, place(&span.start))?;
    }
    Ok(builder.roots)
}

fn place(marker: &Marker) -> Place {
    Place {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

fn fault(document: usize, place: Place, message: String) -> Fault {
    Fault {
        document,
        field: String::new(),
        line: place.line,
        column: place.column,
        message,
        hint: None,
    }
}

struct Builder<'a> {
    limits: &'a Limits,
    /// Lists and mappings that are open, outermost first.
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    roots: Vec<Node>,
    nodes: usize,
    alias_nodes: usize,
}

struct Open {
    anchor: usize,
    place: Place,
    foreign_tag: Option<Rc<str>>,
    size: usize,
    depth: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map {
        entries: Vec<(Node, Node)>,
        key: Option<Node>,
    },
}

impl<'a> Builder<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            open: Vec::new(),
            anchors: HashMap::new(),
            roots: Vec::new(),
            nodes: 0,
            alias_nodes: 0,
        }
    }

    fn fault(&self, place: Place, message: String) -> Fault {
        fault(self.roots.len(), place, message)
    }

    fn syntax(&self, error: &ScanError) -> Fault {
        let place = place(error.marker());
        let message = format!("not valid YAML at line {}: {}", place.line, error.info());
        let mut fault = self.fault(place, message);
        if error.info().contains("tab") {
            fault.hint = Some("indent with blanks".to_owned());
        }
        fault
    }

    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let (scalar, foreign_tag) = resolve(&text, style, tag.as_deref());
                let value = Rc::new(Value::Scalar(scalar));
                self.close(
                    anchor,
                    Node {
                        value,
                        place,
                        size: 1,
                        depth: 0,
                        foreign_tag,
                    },
                )
            }
            Event::SequenceStart(anchor, tag) => {
                self.start(anchor, tag.as_deref(), place, Items::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let items = Items::Map {
                    entries: Vec::new(),
                    key: None,
                };
                self.start(anchor, tag.as_deref(), place, items)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, place),
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            Event::DocumentStart(_) | Event::StreamStart | Event::StreamEnd | Event::Nothing => {
                Ok(())
            }
        }
    }

    fn start(
        &mut self,
        anchor: usize,
        tag: Option<&Tag>,
        place: Place,
        items: Items,
    ) -> Result<(), Fault> {
        if self.open.len() >= self.limits.depth {
            let message = format!("nested more than {} levels deep", self.limits.depth);
            return Err(self.fault(place, message));
        }
        let own = match items {
            Items::List(_) => "seq",
            Items::Map { .. } => "map",
        };
        let foreign_tag = tag
            .filter(|tag| !(tag.is_yaml_core_schema() && tag.suffix == own))
            .map(|tag| tag.to_string().into());
        self.open.push(Open {
            anchor,
            place,
            foreign_tag,
            size: 1,
            depth: 1,
            items,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.items {
            Items::List(items) => Value::List(items),
            Items::Map { entries, .. } => Value::Map(entries),
        };
        let node = Node {
            value: Rc::new(value),
            place: open.place,
            size: open.size,
            depth: open.depth,
            foreign_tag: open.foreign_tag,
        };
        self.close(open.anchor, node)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Fault> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(self.fault(place, "the alias refers to itself".to_owned()));
        };
        self.alias_nodes += node.size;
        if self.alias_nodes > self.limits.alias_nodes {
            let message = format!(
                "aliases stand for more than {} nodes",
                self.limits.alias_nodes
            );
            return Err(self.fault(place, message));
        }
        if self.open.len() + node.depth > self.limits.depth {
            let message = format!("nested more than {} levels deep", self.limits.depth);
            return Err(self.fault(place, message));
        }
        self.attach(Node { place, ..node })
    }

    /// A node is complete: others may refer to it from here on.
    fn close(&mut self, anchor: usize, node: Node) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            let message = format!("more than {} nodes", self.limits.nodes);
            return Err(self.fault(node.place, message));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.attach(node)
    }

    fn attach(&mut self, node: Node) -> Result<(), Fault> {
        let Some(open) = self.open.last_mut() else {
            if !node.is_null() {
                self.roots.push(node);
            }
            return Ok(());
        };
        open.size += node.size;
        open.depth = open.depth.max(node.depth + 1);
        match &mut open.items {
            Items::List(items) => items.push(node),
            Items::Map { entries, key } => match key.take() {
                None => *key = Some(node),
                Some(name) => entries.push((name, node)),
            },
        }
        Ok(())
    }
}

/// What a scalar is, and its tag if that is none of YAML's own.
fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> (Scalar, Option<Rc<str>>) {
    let as_written = || match style {
        ScalarStyle::Plain => Scalar::plain(text),
        _ => Scalar::Text(text.to_owned()),
    };
    match tag {
        None => (as_written(), None),
        Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
            "str" => (Scalar::Text(text.to_owned()), None),
            "null" | "bool" | "int" | "float" => (Scalar::plain(text), None),
            _ => (as_written(), Some(tag.to_string().into())),
        },
        // The non-specific tag `!` says: not plain.
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => {
            (Scalar::Text(text.to_owned()), None)
        }
        Some(tag) => (as_written(), Some(tag.to_string().into())),
    }
}
