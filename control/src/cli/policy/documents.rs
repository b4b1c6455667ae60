//! Files of documents, read together: policies, inventory and, for each policy,
//! the file it stands in.
//!
//! What `check` and `apply` say of faults and warnings, and what `explain`,
//! `diff` and `draw` work on.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use palisade_config::policy::{
    Dialect, Document, Fault, Inventory, Limits, PolicySet, Trap, oracle::RuleMatch, parse_bytes,
    parse_cluster, warnings,
};
use serde::Serialize;

use crate::{
    api::InForce,
    cli::{client::Client, exit::Failure, output::printable},
};

/// A fault and the file it is in.
#[derive(Debug, Serialize)]
pub(super) struct FileFault {
    pub(super) file: String,
    pub(super) document: usize,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) field: String,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

impl FileFault {
    fn of(file: &str, fault: Fault) -> Self {
        Self {
            file: file.to_owned(),
            document: fault.document,
            line: fault.line,
            column: fault.column,
            field: fault.field,
            message: fault.message,
            hint: fault.hint,
        }
    }

    /// `file:line:column: field: message; hint`
    pub(super) fn line(&self) -> String {
        let mut line = format!("{}:{}:{}: ", self.file, self.line, self.column);
        if !self.field.is_empty() {
            line += &format!("{}: ", self.field);
        }
        line += &self.message;
        if let Some(hint) = &self.hint {
            line += &format!("; {hint}");
        }
        printable(&line)
    }
}

/// A trap that a policy walks into, and the file it is in.
#[derive(Debug, Serialize)]
pub(super) struct FileWarning {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
    /// `namespace/name`.
    pub(super) policy: String,
    pub(super) field: String,
    pub(super) trap: Trap,
    pub(super) message: String,
}

impl FileWarning {
    /// `file:line:column: warning: namespace/name: field: message`
    pub(super) fn line(&self) -> String {
        let place = format!("{}:{}:{}", self.file, self.line, self.column);
        printable(&format!(
            "{place}: warning: {}: {}: {}",
            self.policy, self.field, self.message
        ))
    }
}

/// Everything that the files say.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) inventory: Inventory,
    pub(super) policies: PolicySet,
    pub(super) count: usize,
    pub(super) faults: Vec<FileFault>,
    files: BTreeMap<(String, String), String>,
}

impl Documents {
    /// Reads `files`, and the inventory of `cluster` before them. Files with
    /// faults add nothing but their faults.
    pub(super) fn read(cluster: Option<&Path>, files: &[PathBuf]) -> Result<Self, Failure> {
        let mut documents = Self::default();
        if let Some(path) = cluster {
            documents.inventory = self::cluster(path)?;
        }
        for path in files {
            documents.add(&name_of(path), &read(path)?);
        }
        Ok(documents)
    }

    /// Reads a text that comes from no single file.
    pub(super) fn of_text(text: &str) -> Self {
        let mut documents = Self::default();
        documents.add("<text>", text.as_bytes());
        documents
    }

    /// What the running daemon has in force; the places of its rules are not known here.
    pub(super) async fn of_daemon(client: &Client) -> Result<(Self, Dialect), Failure> {
        let answer: InForce = client.get("/v1/documents").await?;
        let limits = Limits {
            bytes: usize::MAX,
            nodes: usize::MAX,
            ..Limits::default()
        };
        let text = answer.documents.to_string();
        let parsed = parse_bytes(text.as_bytes(), &limits).map_err(|faults| {
            let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
            Failure::Reported(format!("/v1/documents: {}", lines.join("\n")))
        })?;
        let mut documents = Self::default();
        for document in parsed {
            documents.inventory.add_document(&document);
            if let Document::NetworkPolicy(policy) = document {
                documents.policies.insert(policy);
            }
        }
        Ok((documents, answer.dialect))
    }

    fn add(&mut self, file: &str, bytes: &[u8]) {
        let parsed = match parse_bytes(bytes, &Limits::default()) {
            Ok(parsed) => parsed,
            Err(faults) => return self.refuse(file, faults),
        };
        self.count += parsed.len();
        for document in parsed {
            self.inventory.add_document(&document);
            if let Document::NetworkPolicy(policy) = document {
                let name = (policy.namespace.clone(), policy.name.clone());
                self.files.insert(name, file.to_owned());
                self.policies.insert(policy);
            }
        }
    }

    /// As [`Self::read`], for commands that can do nothing with faults.
    pub(super) fn sound(cluster: Option<&Path>, files: &[PathBuf]) -> Result<Self, Failure> {
        let documents = Self::read(cluster, files)?;
        if documents.faults.is_empty() {
            return Ok(documents);
        }
        let lines: Vec<_> = documents.faults.iter().map(FileFault::line).collect();
        Err(Failure::Reported(lines.join("\n")))
    }

    fn refuse(&mut self, file: &str, faults: Vec<Fault>) {
        let faults = faults.into_iter().map(|fault| FileFault::of(file, fault));
        self.faults.extend(faults);
    }

    /// The classic traps, in the order of files and places.
    pub(super) fn warnings(&self) -> Vec<FileWarning> {
        let mut found: Vec<_> = warnings(&self.inventory, &self.policies)
            .into_iter()
            .map(|warning| FileWarning {
                file: self.file(&warning.namespace, &warning.name).to_owned(),
                line: warning.place.line,
                column: warning.place.column,
                policy: format!("{}/{}", warning.namespace, warning.name),
                field: warning.field,
                trap: warning.trap,
                message: warning.message,
            })
            .collect();
        found.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        found
    }

    /// `file:line:column` of a rule.
    pub(super) fn locate(&self, rule: &RuleMatch) -> Option<String> {
        let name = (rule.namespace.clone(), rule.name.clone());
        let file = self.files.get(&name)?;
        let place = self.policies.place(rule)?;
        Some(format!("{file}:{}:{}", place.line, place.column))
    }

    fn file(&self, namespace: &str, name: &str) -> &str {
        let name = (namespace.to_owned(), name.to_owned());
        self.files.get(&name).map_or("<unknown>", String::as_str)
    }
}

/// The inventory of a cluster file.
pub(in crate::cli) fn cluster(path: &Path) -> Result<Inventory, Failure> {
    let text = fs::read_to_string(path).map_err(|source| Failure::Read {
        path: path.to_owned(),
        source,
    })?;
    parse_cluster(&text, &Limits::default()).map_err(|faults| {
        let lines = faults
            .iter()
            .map(|fault| format!("{}:{fault}", path.display()));
        Failure::Reported(lines.collect::<Vec<_>>().join("\n"))
    })
}

pub(super) fn name_of(path: &Path) -> String {
    if path == Path::new("-") {
        "<stdin>".to_owned()
    } else {
        path.display().to_string()
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let done = if path == Path::new("-") {
        io::stdin().read_to_end(&mut bytes).map(|_| ())
    } else {
        fs::read(path).map(|read| bytes = read)
    };
    done.map_err(|source| Failure::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(bytes)
}
