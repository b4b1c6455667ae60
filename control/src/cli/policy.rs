//! `palisade policy`: documents checked here, or handed to the daemon.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use hyper::Method;
use palisade_config::policy::{Document, Enforced, Limits, parse_bytes, unsupported};
use serde::Serialize;

use super::{
    arguments::{Global, PolicyApply, PolicyCheck, PolicyCommand, PolicyGet, PolicyName},
    client,
    client::{Client, ClientError, encoded, with_query},
    eval,
    exit::{Exit, Failure},
    output::{Align, Ink, Output, Table, printable},
};
use crate::{
    api::{PolicyList, problem::Problem},
    core::{Applied, PolicySource, StoredPolicy},
};

pub(super) async fn policy(
    global: &Global,
    command: PolicyCommand,
    out: &mut Output,
) -> Result<Exit, Failure> {
    match command {
        PolicyCommand::Check(arguments) => check(&arguments, out),
        PolicyCommand::Eval(arguments) => eval::eval(&arguments, out),
        PolicyCommand::Apply(arguments) => apply(&super::client(global)?, &arguments, out).await,
        PolicyCommand::Delete(name) => delete(&super::client(global)?, &name, out).await,
        PolicyCommand::Get(arguments) => get(&super::client(global)?, &arguments, out).await,
    }
}

/// A fault and the file it is in.
#[derive(Debug, Serialize)]
struct FileFault {
    file: String,
    document: usize,
    line: usize,
    column: usize,
    field: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

fn check(arguments: &PolicyCheck, out: &mut Output) -> Result<Exit, Failure> {
    let mut faults = Vec::new();
    let mut documents = 0;
    for path in &arguments.files {
        let bytes = read(path)?;
        let found = match parse_bytes(&bytes, &Limits::default()) {
            Ok(parsed) => {
                documents += parsed.len();
                let policies = parsed.iter().filter_map(|document| match document {
                    Document::NetworkPolicy(policy) => Some(policy),
                    _ => None,
                });
                policies
                    .flat_map(|policy| unsupported(policy, Enforced::INGRESS_ONLY))
                    .collect()
            }
            Err(found) => found,
        };
        faults.extend(found.into_iter().map(|fault| FileFault {
            file: name_of(path),
            document: fault.document,
            line: fault.line,
            column: fault.column,
            field: fault.field,
            message: fault.message,
            hint: fault.hint,
        }));
    }
    if arguments.read.json {
        out.json(&serde_json::json!({ "documents": documents, "faults": faults }))?;
    } else {
        for fault in &faults {
            out.line(&place(&fault.file, fault))?;
        }
        if faults.is_empty() {
            let files = arguments.files.len();
            out.line(&format!("{documents} documents in {files} files, no fault"))?;
        }
    }
    Ok(if faults.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// `file:line:column: field: message; hint`
fn place(file: &str, fault: &FileFault) -> String {
    let mut line = format!("{file}:{}:{}: ", fault.line, fault.column);
    if !fault.field.is_empty() {
        line += &format!("{}: ", fault.field);
    }
    line += &fault.message;
    if let Some(hint) = &fault.hint {
        line += &format!("; {hint}");
    }
    printable(&line)
}

fn name_of(path: &Path) -> String {
    if path == Path::new("-") {
        "<stdin>".to_owned()
    } else {
        path.display().to_string()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
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

/// Several files as one text, with what is needed to find a line's file again.
struct Bundle {
    text: String,
    /// File, and how many lines of the text come before it.
    starts: Vec<(String, u64)>,
}

impl Bundle {
    fn of(files: &[PathBuf]) -> Result<Self, Failure> {
        let mut bundle = Self {
            text: String::new(),
            starts: Vec::new(),
        };
        for path in files {
            let text = String::from_utf8(read(path)?)
                .map_err(|_| Failure::Reported(format!("{}: not UTF-8", name_of(path))))?;
            if !bundle.text.is_empty() {
                bundle.text.push_str("---\n");
            }
            let before = bundle.text.bytes().filter(|byte| *byte == b'\n').count() as u64;
            bundle.starts.push((name_of(path), before));
            bundle.text.push_str(&text);
            if !text.ends_with('\n') {
                bundle.text.push('\n');
            }
        }
        Ok(bundle)
    }

    fn locate(&self, line: u64) -> (&str, u64) {
        let start = self.starts.iter().rev().find(|(_, before)| *before < line);
        start.map_or(("<unknown>", line), |(file, before)| {
            (file.as_str(), line - before)
        })
    }

    /// The daemon's faults with the names of our files.
    fn report(&self, problem: &Problem) -> String {
        let mut report = String::new();
        for item in &problem.errors {
            let (file, line) = self.locate(item.line.unwrap_or(0));
            let place = place(
                file,
                &FileFault {
                    file: file.to_owned(),
                    document: 0,
                    line: usize::try_from(line).unwrap_or(usize::MAX),
                    column: usize::try_from(item.column.unwrap_or(0)).unwrap_or(usize::MAX),
                    field: item.field.clone().unwrap_or_default(),
                    message: item.message.clone(),
                    hint: item.hint.clone(),
                },
            );
            report.push_str(&place);
            report.push('\n');
        }
        report + "nothing was applied"
    }
}

async fn apply(
    client: &Client,
    arguments: &PolicyApply,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let bundle = Bundle::of(&arguments.files)?;
    let dry_run = arguments.dry_run.then(|| "true".to_owned());
    let path = with_query("/v1/policies", &[("dry_run", dry_run)]);
    let answer = client
        .call(Method::POST, &path, Some(bundle.text.clone()))
        .await;
    let answer = match answer {
        Ok((_, answer)) => answer,
        Err(ClientError::Problem(problem)) if !problem.errors.is_empty() => {
            return Err(Failure::Reported(bundle.report(&problem)));
        }
        Err(error) => return Err(error.into()),
    };
    let applied: Applied = serde_json::from_slice(&answer).map_err(anyhow::Error::from)?;
    if arguments.read.json {
        out.json(&applied)?;
        return Ok(Exit::Done);
    }
    let suffix = if arguments.dry_run { " (dry run)" } else { "" };
    let groups = [
        ("created", &applied.created),
        ("changed", &applied.changed),
        ("unchanged", &applied.unchanged),
    ];
    for (what, names) in groups {
        for name in names {
            out.line(&format!("{name} {what}{suffix}"))?;
        }
    }
    if !arguments.dry_run {
        out.line(&format!("generation {} is in force", applied.generation))?;
    }
    Ok(Exit::Done)
}

async fn delete(client: &Client, name: &PolicyName, out: &mut Output) -> Result<Exit, Failure> {
    client
        .call(Method::DELETE, &path_of(&name.namespace, &name.name), None)
        .await?;
    out.line(&format!("{}/{} deleted", name.namespace, name.name))?;
    Ok(Exit::Done)
}

fn path_of(namespace: &str, name: &str) -> String {
    format!(
        "/v1/policies/{}/{}",
        client::encoded(namespace),
        encoded(name)
    )
}

async fn get(client: &Client, arguments: &PolicyGet, out: &mut Output) -> Result<Exit, Failure> {
    if let Some(name) = &arguments.name {
        let namespace = arguments.namespace.as_deref().unwrap_or("default");
        let policy: StoredPolicy = client.get(&path_of(namespace, name)).await?;
        if arguments.read.json {
            out.json(&policy)?;
        } else {
            out.text(&policy.document)?;
            if !policy.document.ends_with('\n') {
                out.line("")?;
            }
        }
        return Ok(Exit::Done);
    }
    let mut list: PolicyList = client.get("/v1/policies").await?;
    if let Some(namespace) = &arguments.namespace {
        list.policies
            .retain(|policy| policy.namespace == *namespace);
    }
    if arguments.read.json {
        out.json(&list)?;
        return Ok(Exit::Done);
    }
    if list.policies.is_empty() {
        out.line("no policies")?;
        return Ok(Exit::Done);
    }
    let columns = ["NAMESPACE", "NAME", "SOURCE"].map(|title| (title, Align::Left));
    let mut table = Table::new(&columns);
    for policy in list.policies {
        let source = match policy.source {
            PolicySource::Api => "api".to_owned(),
            PolicySource::File(file) => file,
        };
        table.row(vec![
            (policy.namespace, Ink::Plain),
            (policy.name, Ink::Bold),
            (source, Ink::Plain),
        ]);
    }
    out.text(&table.render(out.colour, 0))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::Bundle;

    #[test]
    fn lines_of_a_bundle_are_found_in_their_files() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("a"), dir.path().join("b")];
        std::fs::write(&paths[0], "a1\na2").unwrap();
        std::fs::write(&paths[1], "b1\nb2\n").unwrap();
        let bundle = Bundle::of(&paths).unwrap();
        assert_eq!(bundle.text, "a1\na2\n---\nb1\nb2\n");
        let name = |index: usize| paths[index].display().to_string();
        assert_eq!(bundle.locate(1), (name(0).as_str(), 1));
        assert_eq!(bundle.locate(2), (name(0).as_str(), 2));
        assert_eq!(bundle.locate(4), (name(1).as_str(), 1));
        assert_eq!(bundle.locate(5), (name(1).as_str(), 2));
    }
}
