//! `palisade policy eval`: what policies would do to flows, without a daemon and without root.
//!
//! ```text
//! line -> documents -> inventory + policies -> compile -> a verdict for each flow -> line
//! ```
//!
//! The verdicts come from the compiled form that the workers use. Every line in is answered by one
//! line out, flushed, so that a program can hold a conversation.

use std::{
    fs,
    io::{self, BufRead},
    net::IpAddr,
};

use palisade_config::{
    policy::{
        Compiled, Dialect, Direction, Document, Fault, Inventory, Limits, PolicySet, PolicyVerdict,
        Traffic, compile, parse_cluster, parse_documents,
    },
    types::Protocol,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    arguments::PolicyEval,
    exit::{Exit, Failure},
    output::Output,
};

/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Source port of a flow that names none.
const SOURCE_PORT: u16 = 40_000;

/// What is asked in one line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    flows: Vec<Flow>,
    #[serde(default)]
    cluster: Option<Value>,
    #[serde(default)]
    dialect: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flow {
    /// `namespace/pod` or an address.
    from: String,
    to: String,
    #[serde(default = "tcp")]
    protocol: String,
    port: u16,
    #[serde(default)]
    sport: Option<u16>,
    #[serde(default)]
    family: Option<u8>,
    #[serde(default)]
    packet: Packet,
}

fn tcp() -> String {
    "TCP".to_owned()
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Packet {
    #[default]
    New,
    /// The answer to the connection.
    Reply,
    /// Looks like the answer, but there was no connection.
    Unsolicited,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Verdicts(Vec<&'static str>),
    Error(Box<EvalError>),
}

/// Why a line got no verdicts. Only what is known is told.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct EvalError {
    /// Which text, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<usize>,
    /// Which document of the text, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<usize>,
    /// Which flow, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<usize>,
    field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    message: String,
}

impl EvalError {
    fn field(field: &str, message: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            field: field.to_owned(),
            message: message.into(),
            ..Self::default()
        })
    }

    /// The first of a text's faults, in the words of `policy check`.
    fn of_text(policy: Option<usize>, faults: Vec<Fault>) -> Box<Self> {
        let Some(fault) = faults.into_iter().next() else {
            return Self::field("", "refused");
        };
        let hint = fault
            .hint
            .map(|hint| format!("; {hint}"))
            .unwrap_or_default();
        Box::new(Self {
            policy,
            document: policy.map(|_| fault.document),
            flow: None,
            field: fault.field,
            line: Some(fault.line).filter(|line| *line > 0),
            message: fault.message + &hint,
        })
    }
}

pub(super) fn eval(arguments: &PolicyEval, out: &mut Output) -> Result<Exit, Failure> {
    let path = &arguments.cluster;
    let text = fs::read_to_string(path);
    let text = text.map_err(|source| Failure::Read {
        path: path.clone(),
        source,
    })?;
    let inventory = parse_cluster(&text, &Limits::default()).map_err(|faults| {
        let lines = faults
            .iter()
            .map(|fault| format!("{}:{fault}", path.display()));
        Failure::Reported(lines.collect::<Vec<_>>().join("\n"))
    })?;
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    let failed = |source| Failure::Read {
        path: "<stdin>".into(),
        source,
    };
    loop {
        line.clear();
        let mut limited = io::Read::take(&mut input, LINE_BYTES_MAX);
        if limited.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(Exit::Done);
        }
        let answer = match answer(&line, &inventory, arguments.dialect) {
            Ok(verdicts) => Answer::Verdicts(verdicts),
            Err(error) => Answer::Error(error),
        };
        out.line(&serde_json::to_string(&answer).map_err(anyhow::Error::from)?)?;
        out.flush()?;
    }
}

fn answer(
    line: &[u8],
    inventory: &Inventory,
    dialect: Dialect,
) -> Result<Vec<&'static str>, Box<EvalError>> {
    let ask: Ask = serde_json::from_slice(line)
        .map_err(|error| EvalError::field("", format!("the line is not understood: {error}")))?;
    let dialect = match ask.dialect.as_deref() {
        Some(name) => name
            .parse()
            .map_err(|error| EvalError::field("dialect", format!("{error}")))?,
        None => dialect,
    };
    let mut inventory = match ask.cluster {
        Some(cluster) => parse_cluster(&cluster.to_string(), &Limits::default())
            .map_err(|faults| EvalError::of_text(None, faults))?,
        None => inventory.clone(),
    };
    let mut policies = PolicySet::default();
    for (index, text) in ask.policies.iter().enumerate() {
        let documents = parse_documents(text, &Limits::default())
            .map_err(|faults| EvalError::of_text(Some(index), faults))?;
        for document in documents {
            match document {
                Document::NetworkPolicy(policy) => {
                    policies.insert(policy);
                }
                other => inventory.add_document(&other),
            }
        }
    }
    let compiled = compile(&inventory, &policies, dialect)
        .map_err(|error| EvalError::field("", error.to_string()))?;
    let judge = |(index, flow): (usize, &Flow)| {
        judge(flow, &inventory, &compiled).map_err(|(field, message)| {
            Box::new(EvalError {
                flow: Some(index),
                field: field.to_owned(),
                message,
                ..EvalError::default()
            })
        })
    };
    ask.flows.iter().enumerate().map(judge).collect()
}

/// A field of a flow, and what is wrong with it.
type FlowFault = (&'static str, String);

fn judge(
    flow: &Flow,
    inventory: &Inventory,
    compiled: &Compiled,
) -> Result<&'static str, FlowFault> {
    let is_v6 = match flow.family {
        Some(4) => false,
        Some(6) => true,
        Some(other) => return Err(("family", format!("{other} is neither 4 nor 6"))),
        None => is_v6_address(&flow.from) || is_v6_address(&flow.to),
    };
    let from = place("from", &flow.from, is_v6, inventory)?;
    let to = place("to", &flow.to, is_v6, inventory)?;
    let protocol: Protocol = flow.protocol.to_ascii_lowercase().parse().map_err(|_| {
        (
            "protocol",
            format!("{} is not TCP, UDP or SCTP", flow.protocol),
        )
    })?;
    let allowed = match flow.packet {
        // An answer follows the verdict of the connection it belongs to.
        Packet::New | Packet::Reply => connects(compiled, from, to, protocol, flow.port),
        Packet::Unsolicited => connects(
            compiled,
            to,
            from,
            protocol,
            flow.sport.unwrap_or(SOURCE_PORT),
        ),
    };
    Ok(if allowed { "allow" } else { "deny" })
}

/// Whether both ends let a new connection be.
fn connects(compiled: &Compiled, from: IpAddr, to: IpAddr, protocol: Protocol, port: u16) -> bool {
    let traffic = Traffic::Port(protocol, port);
    let leaves = compiled.decide(Direction::Egress, from, to, traffic);
    let enters = compiled.decide(Direction::Ingress, to, from, traffic);
    leaves != PolicyVerdict::Denied && enters != PolicyVerdict::Denied
}

fn is_v6_address(text: &str) -> bool {
    text.parse::<IpAddr>()
        .is_ok_and(|address| address.to_canonical().is_ipv6())
}

/// The address that `text` means in this family.
fn place(
    field: &'static str,
    text: &str,
    is_v6: bool,
    inventory: &Inventory,
) -> Result<IpAddr, FlowFault> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let address = address.to_canonical();
        if address.is_ipv6() != is_v6 {
            return Err((field, format!("{text} is of the other address family")));
        }
        return Ok(address);
    }
    let Some((namespace, name)) = text.split_once('/') else {
        return Err((
            field,
            format!("`{text}` is neither an address nor namespace/pod"),
        ));
    };
    let pod = inventory
        .pod(namespace, name)
        .ok_or_else(|| (field, format!("there is no pod {text}")))?;
    let mut addresses = pod.addresses.iter().copied();
    let family = if is_v6 { "IPv6" } else { "IPv4" };
    addresses
        .find(|address| address.is_ipv6() == is_v6)
        .ok_or_else(|| (field, format!("pod {text} has no {family} address")))
}
