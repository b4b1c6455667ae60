//! `palisade policy`: documents checked here, or handed to the daemon.

mod documents;
mod tools;

use std::path::{Path, PathBuf};

use hyper::Method;
use palisade_config::policy::Dialect;
use serde::Serialize;

pub(super) use self::documents::cluster;
use self::{
    documents::{Documents, FileFault, FileWarning, name_of, read},
    tools::Asked,
};
use super::{
    arguments::{
        Explain, Global, PolicyApply, PolicyCheck, PolicyCommand, PolicyExplain, PolicyGet,
        PolicyName,
    },
    client,
    client::{Client, ClientError, encoded, with_query},
    eval,
    exit::{Exit, Failure},
    explain,
    output::{Align, Ink, Output, Table},
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
        PolicyCommand::Explain(arguments) => explain(global, &arguments, out).await,
        PolicyCommand::Diff(arguments) => {
            let cluster = arguments.cluster.as_deref();
            let (documents, _) = sources(global, cluster, &arguments.files).await?;
            tools::diff(&documents, &arguments, out)
        }
        PolicyCommand::Draw(arguments) => {
            let cluster = arguments.cluster.as_deref();
            let (documents, dialect) = sources(global, cluster, &arguments.files).await?;
            let dialect = arguments.dialect.unwrap_or(dialect);
            tools::draw(&documents, dialect, out)
        }
        PolicyCommand::Apply(arguments) => apply(&super::client(global)?, &arguments, out).await,
        PolicyCommand::Delete(name) => delete(&super::client(global)?, &name, out).await,
        PolicyCommand::Get(arguments) => get(&super::client(global)?, &arguments, out).await,
    }
}

fn check(arguments: &PolicyCheck, out: &mut Output) -> Result<Exit, Failure> {
    let documents = Documents::read(arguments.cluster.as_deref(), &arguments.files)?;
    let warnings = documents.warnings();
    let faults = &documents.faults;
    if arguments.read.json {
        out.json(&serde_json::json!({
            "documents": documents.count,
            "faults": faults,
            "warnings": warnings,
        }))?;
    } else {
        for fault in faults {
            out.line(&fault.line())?;
        }
        for warning in &warnings {
            out.line(&warning.line())?;
        }
        if faults.is_empty() {
            let (count, files) = (documents.count, arguments.files.len());
            let warned = match warnings.len() {
                0 => String::new(),
                1 => ", 1 warning".to_owned(),
                count => format!(", {count} warnings"),
            };
            out.line(&format!(
                "{count} documents in {files} files, no fault{warned}"
            ))?;
        }
    }
    Ok(if faults.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn explain(
    global: &Global,
    arguments: &PolicyExplain,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let (asked, files) = Asked::split(&arguments.what);
    if let (Some(asked), None, []) = (&asked, &arguments.cluster, files.as_slice()) {
        return explain_in_force(global, arguments, asked, out).await;
    }
    let (documents, dialect) = sources(global, arguments.cluster.as_deref(), &files).await?;
    let dialect = arguments.dialect.unwrap_or(dialect);
    tools::explain(&documents, arguments, dialect, asked.as_ref(), out)
}

/// The documents of files, or those of the daemon when no file is named, and how they are read
/// unless somebody says otherwise.
async fn sources(
    global: &Global,
    cluster: Option<&Path>,
    files: &[PathBuf],
) -> Result<(Documents, Dialect), Failure> {
    if cluster.is_some() || !files.is_empty() {
        return Ok((Documents::sound(cluster, files)?, Dialect::default()));
    }
    Documents::of_daemon(&super::client(global)?).await
}

/// One connection between addresses: the daemon knows more tables than the policies'.
async fn explain_in_force(
    global: &Global,
    arguments: &PolicyExplain,
    asked: &Asked,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let no_address = |text: &str| {
        let help = "the daemon is asked about addresses; pods by name need files";
        Failure::Usage(format!("'{text}': {help}"))
    };
    let explain = Explain {
        from: asked.from.parse().map_err(|_| no_address(&asked.from))?,
        to: asked.target().parse().map_err(|_| no_address(&asked.to))?,
        read: arguments.read,
    };
    explain::explain(&super::client(global)?, &explain, out).await
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

    /// The classic traps, as `policy check` tells them. The inventory is what
    /// the files say of it; the daemon may know of more.
    fn warnings(&self) -> Vec<FileWarning> {
        let mut warnings = Documents::of_text(&self.text).warnings();
        for warning in &mut warnings {
            let (file, line) = self.locate(warning.line as u64);
            warning.file = file.to_owned();
            warning.line = usize::try_from(line).unwrap_or(usize::MAX);
        }
        warnings
    }

    /// The daemon's faults with the names of our files.
    fn report(&self, problem: &Problem) -> String {
        let mut report = String::new();
        for item in &problem.errors {
            let (file, line) = self.locate(item.line.unwrap_or(0));
            let fault = FileFault {
                file: file.to_owned(),
                document: 0,
                line: usize::try_from(line).unwrap_or(usize::MAX),
                column: usize::try_from(item.column.unwrap_or(0)).unwrap_or(usize::MAX),
                field: item.field.clone().unwrap_or_default(),
                message: item.message.clone(),
                hint: item.hint.clone(),
            };
            report.push_str(&fault.line());
            report.push('\n');
        }
        report + "nothing was applied"
    }
}

/// What the daemon did, and what we noticed.
#[derive(Serialize)]
struct WithWarnings<'a> {
    #[serde(flatten)]
    applied: &'a Applied,
    warnings: Vec<FileWarning>,
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
    let warnings = bundle.warnings();
    if arguments.read.json {
        out.json(&WithWarnings {
            applied: &applied,
            warnings,
        })?;
        return Ok(Exit::Done);
    }
    for warning in warnings {
        out.line(&warning.line())?;
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
