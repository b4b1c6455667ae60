//! From text to documents, all or nothing.

use super::{
    Fault, Inventory, Limits, Namespace, NetworkPolicy, Node, Place, Pod,
    read::{self, Kind},
    yaml::{self, Value, fields::Sink},
};

/// One object that a text declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    NetworkPolicy(NetworkPolicy),
    Namespace(Namespace),
    Pod(Pod),
    Node(Node),
}

/// Reads every document of `text`; items of a List are documents.
///
/// Either everything is right or every fault that was found is returned, in the
/// order of the documents. Faults of syntax and size end the reading: there is
/// one, and nothing after it.
pub fn parse_documents(text: &str, limits: &Limits) -> Result<Vec<Document>, Vec<Fault>> {
    let roots = yaml::load(text, limits).map_err(|fault| vec![fault])?;
    if roots.is_empty() {
        return Err(vec![empty()]);
    }
    let mut documents = Vec::new();
    let mut faults = Vec::new();
    let mut index = 0;
    for root in &roots {
        for node in objects(root, index, &mut faults) {
            match document(node, index) {
                Ok(document) => documents.push(document),
                Err(found) => faults.extend(found),
            }
            index += 1;
        }
    }
    if faults.is_empty() {
        Ok(documents)
    } else {
        Err(faults)
    }
}

/// As [`parse_documents`], for bytes that may not be UTF-8.
pub fn parse_bytes(bytes: &[u8], limits: &Limits) -> Result<Vec<Document>, Vec<Fault>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_documents(text, limits),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = valid
                .iter()
                .rev()
                .take_while(|byte| **byte != b'\n')
                .count()
                + 1;
            let message = format!("not UTF-8 at byte {}", error.valid_up_to());
            Err(vec![syntax_fault(Place { line, column }, message)])
        }
    }
}

/// Reads the cluster file of `policy eval`: one mapping with `namespaces`,
/// `nodes` and `pods`.
pub fn parse_cluster(text: &str, limits: &Limits) -> Result<Inventory, Vec<Fault>> {
    let roots = yaml::load(text, limits).map_err(|fault| vec![fault])?;
    let [root] = roots.as_slice() else {
        let place = roots
            .get(1)
            .map_or(Place { line: 1, column: 1 }, |root| root.place);
        let message = format!("a cluster file is one document, found {}", roots.len());
        return Err(vec![syntax_fault(place, message)]);
    };
    let mut faults = Vec::new();
    yaml::check(root, 0, "", &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let sink = Sink::new(0);
    let inventory = read::cluster(root, &sink);
    let faults = sink.into_faults();
    if faults.is_empty() {
        Ok(inventory)
    } else {
        Err(faults)
    }
}

fn empty() -> Fault {
    syntax_fault(
        Place { line: 1, column: 1 },
        "there is no document in the text".to_owned(),
    )
}

fn syntax_fault(place: Place, message: String) -> Fault {
    let Place { line, column } = place;
    Fault {
        document: 0,
        field: String::new(),
        line,
        column,
        message,
        hint: None,
    }
}

/// The objects under a root: the items of a List, or the root itself.
fn objects<'a>(root: &'a yaml::Node, index: usize, faults: &mut Vec<Fault>) -> Vec<&'a yaml::Node> {
    let is_list = root
        .get("kind")
        .and_then(yaml::Node::text)
        .is_some_and(read::is_list_kind);
    let items = root.get("items").map(|items| (items, &*items.value));
    match (is_list, items) {
        (true, Some((_, Value::List(items)))) => {
            faults.extend(read::list_wrapper(root, index));
            items.iter().collect()
        }
        (true, Some((items, _))) if items.is_null() => Vec::new(),
        _ => vec![root],
    }
}

fn document(node: &yaml::Node, index: usize) -> Result<Document, Vec<Fault>> {
    let mut faults = Vec::new();
    yaml::check(node, index, "", &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let sink = Sink::new(index);
    let document = read::kind(node, &sink).and_then(|kind| match kind {
        Kind::NetworkPolicy => read::network_policy(node, &sink).map(Document::NetworkPolicy),
        Kind::Namespace => read::namespace(node, &sink).map(Document::Namespace),
        Kind::Pod => read::pod(node, &sink).map(Document::Pod),
        Kind::Node => read::node(node, &sink).map(Document::Node),
    });
    let faults = sink.into_faults();
    match document {
        Some(document) if faults.is_empty() => Ok(document),
        _ => Err(faults),
    }
}
