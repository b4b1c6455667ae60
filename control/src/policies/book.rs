//! Which documents are in force, by where they came from. Pure.
//!
//! A source (a file, or one policy applied through the API) is taken whole or not at all. What is
//! in force comes before what is new: a new file that declares what another source has already is
//! the one at fault, whatever its name.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use palisade_config::{
    policy::{
        Compiled, Dialect, Document, Fault, Inventory, Limits, NetworkPolicy, Place, Pod,
        PolicySet, compile, parse_bytes,
    },
    settings::Endpoint,
};

use crate::core::PolicySource;

/// Namespace and name.
pub(super) type Name = (String, String);

/// A text without a fault and what it declares.
#[derive(Debug, PartialEq)]
pub(super) struct Good {
    pub(super) text: Arc<str>,
    pub(super) documents: Vec<Document>,
}

/// A file of the policy directory.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    /// The bytes that were looked at last.
    pub(super) seen: Option<Arc<[u8]>>,
    /// The version in force.
    pub(super) good: Option<Arc<Good>>,
    /// What is wrong with the version that was looked at last.
    pub(super) faults: Vec<Fault>,
}

/// A policy that came through the API.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    pub(super) good: Arc<Good>,
    pub(super) applied: crate::clock::Timestamp,
}

/// Every source.
#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) endpoints: Arc<[Endpoint]>,
    pub(super) dialect: Dialect,
    pub(super) files: BTreeMap<String, File>,
    pub(super) api: BTreeMap<Name, Applied>,
}

/// Everything in force, compiled.
#[derive(Clone, Debug, Default)]
pub(super) struct Assembled {
    pub(super) inventory: Inventory,
    pub(super) policies: PolicySet,
    pub(super) sources: BTreeMap<Name, PolicySource>,
    pub(super) compiled: Compiled,
}

/// A source that cannot come into force beside the others.
#[derive(Clone, Debug)]
pub(super) struct Clash {
    pub(super) source: PolicySource,
    pub(super) fault: Fault,
}

/// What was found of the directory's files: content, or why it cannot be read.
pub(super) type Found = BTreeMap<String, Result<Vec<u8>, String>>;

impl Book {
    /// Takes the directory as it was found. Faults of files are in the book.
    pub(super) fn with_files(&self, found: &Found) -> Self {
        let mut next = self.clone();
        next.files.retain(|name, _| found.contains_key(name));
        let mut staged: BTreeMap<String, Arc<Good>> = BTreeMap::new();
        for (name, content) in found {
            let file = next.files.entry(name.clone()).or_default();
            let content = match content {
                Ok(content) => content,
                Err(problem) => {
                    file.seen = None;
                    file.faults = vec![fault(Place::default(), problem.clone())];
                    continue;
                }
            };
            if file.seen.as_deref() == Some(content) && file.faults.is_empty() {
                continue;
            }
            file.seen = Some(content.as_slice().into());
            match read(content) {
                Ok(good) => {
                    file.faults.clear();
                    if file.good.as_deref() != Some(&good) {
                        staged.insert(name.clone(), Arc::new(good));
                    }
                }
                Err(faults) => file.faults = faults,
            }
        }
        next.settle(&mut staged);
        next
    }

    /// This book with the files of `before` in force, and `fault` on those that differ.
    pub(super) fn keeping(&self, before: &Self, fault: &Fault) -> Self {
        let mut kept = self.clone();
        for (name, file) in &mut kept.files {
            let old = before.files.get(name).and_then(|old| old.good.clone());
            if file.good != old {
                file.good = old;
                file.faults.push(fault.clone());
            }
        }
        kept
    }

    /// Puts staged files into force, except those that clash.
    fn settle(&mut self, staged: &mut BTreeMap<String, Arc<Good>>) {
        while let Err(clash) = self.declared(staged) {
            let PolicySource::File(name) = clash.source else {
                break;
            };
            if let Some(file) = self.files.get_mut(&name) {
                file.faults.push(clash.fault);
                if staged.remove(&name).is_none() {
                    // What was in force clashes with the settings themselves.
                    file.good = None;
                }
            }
        }
        for (name, good) in staged.iter() {
            if let Some(file) = self.files.get_mut(name) {
                file.good = Some(Arc::clone(good));
            }
        }
    }

    /// What all sources declare together, not compiled yet.
    fn declared(&self, staged: &BTreeMap<String, Arc<Good>>) -> Result<Declared, Clash> {
        let mut declared = Declared::default();
        for endpoint in self.endpoints.iter() {
            // The settings have checked their endpoints against one another.
            let pod = Pod::from(endpoint);
            let _ = declared.pod(&pod, "the settings");
        }
        let in_force = self
            .files
            .iter()
            .filter(|(name, _)| !staged.contains_key(*name));
        let in_force = in_force.filter_map(|(name, file)| Some((name, file.good.as_ref()?)));
        for (name, good) in in_force {
            declared.source(good, &PolicySource::File(name.clone()))?;
        }
        for applied in self.api.values() {
            declared.source(&applied.good, &PolicySource::Api)?;
        }
        for (name, good) in staged {
            declared.source(good, &PolicySource::File(name.clone()))?;
        }
        Ok(declared)
    }

    /// Everything in force, compiled.
    pub(super) fn assemble(&self) -> Result<Assembled, Clash> {
        let declared = self.declared(&BTreeMap::new())?;
        let Declared {
            inventory,
            policies,
            sources,
            ..
        } = declared;
        let compiled = compile(&inventory, &policies, self.dialect).map_err(|error| Clash {
            source: PolicySource::Api,
            fault: fault(Place::default(), error.to_string()),
        })?;
        Ok(Assembled {
            inventory,
            policies,
            sources,
            compiled,
        })
    }
}

/// Reads a text whole or not at all.
pub(super) fn read(content: &[u8]) -> Result<Good, Vec<Fault>> {
    let documents = parse_bytes(content, &Limits::default())?;
    // Parsed, so it is UTF-8.
    let text = String::from_utf8_lossy(content).into();
    Ok(Good { text, documents })
}

/// The part of `text` between document markers that holds line `line`.
///
/// A line that starts with `---` is a marker wherever it stands, block scalars included.
pub(super) fn cut_out(text: &str, line: usize) -> String {
    let mut part = String::new();
    for (index, content) in text.split_inclusive('\n').enumerate() {
        let marker = content.trim_end() == "---" || content.starts_with("--- ");
        if marker {
            if index + 1 > line {
                break;
            }
            part.clear();
        } else {
            part.push_str(content);
        }
    }
    part
}

pub(super) fn fault(place: Place, message: String) -> Fault {
    Fault {
        document: 0,
        field: String::new(),
        line: place.line,
        column: place.column,
        message,
        hint: None,
    }
}

/// What has been declared so far, and by whom.
#[derive(Debug, Default)]
struct Declared {
    inventory: Inventory,
    policies: PolicySet,
    sources: BTreeMap<Name, PolicySource>,
    pods: HashMap<Name, String>,
    addresses: HashMap<IpAddr, String>,
}

impl Declared {
    fn source(&mut self, good: &Good, source: &PolicySource) -> Result<(), Clash> {
        let clash = |fault| Clash {
            source: source.clone(),
            fault,
        };
        let whose = whose(source);
        for (index, document) in good.documents.iter().enumerate() {
            let added = match document {
                Document::NetworkPolicy(policy) => self.policy(policy, source),
                Document::Pod(pod) => self.pod(pod, &whose),
                Document::Namespace(_) | Document::Node(_) => {
                    self.inventory.add_document(document);
                    Ok(())
                }
            };
            added.map_err(|fault| {
                clash(Fault {
                    document: index,
                    ..fault
                })
            })?;
        }
        Ok(())
    }

    fn policy(&mut self, policy: &NetworkPolicy, source: &PolicySource) -> Result<(), Fault> {
        let name = (policy.namespace.clone(), policy.name.clone());
        if let Some(first) = self.sources.get(&name) {
            let message = format!(
                "NetworkPolicy {}/{} is declared by {} already",
                policy.namespace,
                policy.name,
                self::whose(first)
            );
            return Err(Fault {
                field: "metadata.name".to_owned(),
                ..fault(policy.place, message)
            });
        }
        self.sources.insert(name, source.clone());
        self.policies.insert(policy.clone());
        Ok(())
    }

    fn pod(&mut self, pod: &Pod, whose: &str) -> Result<(), Fault> {
        let name = (pod.namespace.clone(), pod.name.clone());
        if let Some(first) = self.pods.get(&name) {
            let message = format!(
                "Pod {}/{} is declared by {first} already",
                pod.namespace, pod.name
            );
            return Err(fault(Place::default(), message));
        }
        if !pod.host_network && !pod.finished {
            for address in &pod.addresses {
                let owner = format!("{}/{}", pod.namespace, pod.name);
                if let Some(first) = self.addresses.insert(*address, owner) {
                    let message = format!("address {address} belongs to {first} already");
                    return Err(fault(Place::default(), message));
                }
            }
        }
        self.pods.insert(name, whose.to_owned());
        self.inventory.add_pod(pod.clone());
        Ok(())
    }
}

fn whose(source: &PolicySource) -> String {
    match source {
        PolicySource::Api => "a policy applied through the API".to_owned(),
        PolicySource::File(name) => format!("file {name}"),
    }
}
