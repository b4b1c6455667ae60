//! `policy explain`, `policy diff` and `policy draw`, wherever the documents come from.

use std::path::PathBuf;

use palisade_config::policy::{
    self, Dialect,
    eval::{Flow, FlowError},
    view::view,
};

use super::documents::Documents;
use crate::cli::{
    arguments::{PolicyDiff, PolicyExplain},
    exit::{Exit, Failure},
    output::{Output, printable},
};

/// `FROM TO:PORT[/PROTO]` as somebody wrote it; pods are `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) from: String,
    pub(super) to: String,
    port: u16,
    protocol: String,
}

impl Asked {
    /// The connection that arguments begin with, and the files that follow. A
    /// second argument that ends with a port makes it one.
    pub(super) fn split(arguments: &[String]) -> (Option<Self>, Vec<PathBuf>) {
        let (asked, files) = match arguments {
            [from, to, files @ ..] => match Self::of(from, to) {
                Some(asked) => (Some(asked), files),
                None => (None, arguments),
            },
            _ => (None, arguments),
        };
        (asked, files.iter().map(PathBuf::from).collect())
    }

    fn of(from: &str, to: &str) -> Option<Self> {
        let (place, rest) = to.rsplit_once(':')?;
        let (port, protocol) = rest.split_once('/').unwrap_or((rest, "tcp"));
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let place = place
            .strip_prefix('[')
            .and_then(|place| place.strip_suffix(']'))
            .unwrap_or(place);
        Some(Self {
            from: from.to_owned(),
            to: place.to_owned(),
            port,
            protocol: protocol.to_ascii_uppercase(),
        })
    }

    fn flow(&self) -> Flow {
        Flow::new(&self.from, &self.to, &self.protocol, Some(self.port))
    }

    /// `ADDRESS:PORT/PROTO`, as `palisade explain` takes it.
    pub(super) fn target(&self) -> String {
        let protocol = self.protocol.to_ascii_lowercase();
        if self.to.contains(':') {
            format!("[{}]:{}/{protocol}", self.to, self.port)
        } else {
            format!("{}:{}/{protocol}", self.to, self.port)
        }
    }
}

pub(super) fn explain(
    documents: &Documents,
    arguments: &PolicyExplain,
    dialect: Dialect,
    asked: Option<&Asked>,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let Documents {
        inventory,
        policies,
        ..
    } = documents;
    let locate = |rule: &_| documents.locate(rule);
    let Some(asked) = asked else {
        let view = view(inventory, policies, dialect);
        if arguments.read.json {
            out.json(&view)?;
        } else {
            print(&policy::explain::groups(&view, &locate), out)?;
        }
        return Ok(Exit::Done);
    };
    let connection = asked.flow().connection(inventory);
    let connection = connection.map_err(|error: FlowError| Failure::Usage(error.to_string()))?;
    let found = policy::explain::flow(inventory, policies, dialect, connection);
    if arguments.read.json {
        out.json(&found)?;
    } else {
        let head = format!("{} -> {}: ", asked.from, asked.target());
        print(&(head + &policy::explain::flow_words(&found, &locate)), out)?;
    }
    Ok(Exit::Done)
}

pub(super) fn diff(
    documents: &Documents,
    arguments: &PolicyDiff,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let dialects: [Dialect; 2] = match arguments.dialect.as_slice() {
        [] => [Dialect::Kubernetes, Dialect::Cilium],
        [one, two] => [*one, *two],
        _ => {
            let help = "name two dialects: --dialect kubernetes --dialect cilium";
            return Err(Failure::Usage(help.to_owned()));
        }
    };
    let diff = policy::diff::diff(&documents.inventory, &documents.policies, dialects)
        .map_err(|error| Failure::Reported(error.to_string()))?;
    if arguments.read.json {
        out.json(&diff)?;
    } else {
        let locate = |rule: &_| documents.locate(rule);
        let words = policy::diff::words(&diff, &documents.inventory, &locate);
        print(&words, out)?;
    }
    let differ = arguments.exit_code && !diff.differences.is_empty();
    Ok(if differ { Exit::Failed } else { Exit::Done })
}

pub(super) fn draw(
    documents: &Documents,
    dialect: Dialect,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let view = view(&documents.inventory, &documents.policies, dialect);
    out.text(&policy::draw::svg(&view))?;
    Ok(Exit::Done)
}

/// Names come from files, so no line of them may steer the terminal.
fn print(text: &str, out: &mut Output) -> Result<(), Failure> {
    for line in text.lines() {
        out.line(&printable(line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Asked;

    #[test]
    fn a_connection_stands_before_the_files() {
        /// The words, the connection in them, and how many files are left.
        type Case<'a> = (&'a [&'a str], Option<(&'a str, &'a str)>, usize);
        #[rustfmt::skip]
        let cases: [Case<'_>; 6] = [
            (&["192.0.2.1", "shop/db:5432", "a.yaml"],   Some(("192.0.2.1", "shop/db:5432/tcp")),  1),
            (&["shop/web", "[2001:db8::1]:53/udp"],      Some(("shop/web", "[2001:db8::1]:53/udp")), 0),
            (&["192.0.2.1", "192.0.2.2:80/SCTP"],        Some(("192.0.2.1", "192.0.2.2:80/sctp")), 0),
            (&["a.yaml", "b.yaml"],                      None,                                     2),
            (&["a.yaml"],                                None,                                     1),
            (&["a.yaml", "b.yaml:0"],                    None,                                     2),
        ];
        for (line, want, files) in cases {
            let line: Vec<_> = line.iter().map(|&word| word.to_owned()).collect();
            let (asked, rest) = Asked::split(&line);
            let got = asked.map(|asked| (asked.from.clone(), asked.target()));
            let want = want.map(|(from, to)| (from.to_owned(), to.to_owned()));
            assert_eq!((got, rest.len()), (want, files), "{line:?}");
        }
    }
}
