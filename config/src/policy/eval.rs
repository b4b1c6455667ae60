//! `policy eval`: policies and flows in, verdicts out, one JSON line each.
//!
//! ```text
//! line -> Request -> inventory, policies -> Compiled -> a verdict for each flow
//!             \-> the first fault, with its place in the text it came from
//! ```
//!
//! Judged by the compiled form, so that what a pipeline tests is what packets
//! meet. Pure: the caller owns the pipe and flushes it.

mod flow;

use serde::{Deserialize, Serialize};

pub use self::flow::{Connection, Flow, FlowError, FlowPacket, Judge, judge};
use super::{
    CompileError, Compiled, Dialect, DialectError, Direction, Document, Fault, Inventory, Limits,
    PolicySet, PolicyVerdict, Traffic, compile, parse_cluster, parse_documents,
};

/// One input line. Keys that are not named here are left alone, so that a
/// caller can keep notes beside a flow.
#[derive(Debug, Deserialize)]
struct Request {
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    flows: Vec<Flow>,
    cluster: Option<serde_json::Value>,
    dialect: Option<String>,
}

/// One output line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Verdicts(Vec<FlowVerdict>),
    Error(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum FlowVerdict {
    Allow,
    Deny,
}

/// Why a line got no verdicts.
#[derive(Debug, Default, Serialize)]
struct Refusal {
    /// Index of the text; absent when the fault is in no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<usize>,
    field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    message: String,
}

impl Refusal {
    fn of(field: impl Into<String>, message: impl ToString) -> Self {
        Self {
            field: field.into(),
            message: message.to_string(),
            ..Self::default()
        }
    }

    fn of_text(policy: usize, faults: Vec<Fault>) -> Self {
        let Some(fault) = faults.into_iter().next() else {
            return Self::default();
        };
        Self {
            policy: Some(policy),
            document: Some(fault.document),
            ..Self::of_fault(fault)
        }
    }

    fn of_fault(fault: Fault) -> Self {
        // Whoever prints the message alone still says which field it is about.
        let mut message = fault.message;
        if !fault.field.is_empty() {
            message = format!("{}: {message}", fault.field);
        }
        if let Some(hint) = fault.hint {
            message = format!("{message}; {hint}");
        }
        Self {
            field: fault.field,
            line: Some(fault.line),
            column: Some(fault.column),
            message,
            ..Self::default()
        }
    }
}

/// Answers lines, with what a line does not say itself.
#[derive(Clone, Debug, Default)]
pub struct Evaluator {
    pub cluster: Inventory,
    pub dialect: Dialect,
    pub limits: Limits,
}

impl Evaluator {
    /// The answer to one line, without a newline. A bad line gets an error for
    /// an answer and never ends the conversation.
    pub fn answer(&self, line: &str) -> String {
        let answer = match self.verdicts(line) {
            Ok(verdicts) => Answer::Verdicts(verdicts),
            Err(refusal) => Answer::Error(refusal),
        };
        serde_json::to_string(&answer)
            .unwrap_or_else(|error| format!(r#"{{"error":{{"message":"{error}"}}}}"#))
    }

    fn verdicts(&self, line: &str) -> Result<Vec<FlowVerdict>, Refusal> {
        let request: Request =
            serde_json::from_str(line).map_err(|error| Refusal::of("", error))?;
        let dialect = match &request.dialect {
            None => self.dialect,
            Some(text) => text
                .parse()
                .map_err(|error: DialectError| Refusal::of("dialect", error))?,
        };
        let mut inventory = self.inventory(request.cluster.as_ref())?;
        let policies = self.policies(&request.policies, &mut inventory)?;
        let compiled = compile(&inventory, &policies, dialect)
            .map_err(|error: CompileError| Refusal::of("", error))?;
        let verdict = |(index, flow): (usize, &Flow)| {
            let allowed = judge(flow, &inventory, &compiled)
                .map_err(|error| Refusal::of(format!("flows[{index}].{}", error.field()), error))?;
            Ok(if allowed {
                FlowVerdict::Allow
            } else {
                FlowVerdict::Deny
            })
        };
        request.flows.iter().enumerate().map(verdict).collect()
    }

    fn inventory(&self, cluster: Option<&serde_json::Value>) -> Result<Inventory, Refusal> {
        let Some(cluster) = cluster else {
            return Ok(self.cluster.clone());
        };
        parse_cluster(&cluster.to_string(), &self.limits).map_err(|faults| {
            let mut refusal = faults
                .into_iter()
                .next()
                .map(Refusal::of_fault)
                .unwrap_or_default();
            refusal.field = format!("cluster.{}", refusal.field);
            refusal
        })
    }

    /// Reads the texts; what they say of the inventory is added to it.
    fn policies(&self, texts: &[String], inventory: &mut Inventory) -> Result<PolicySet, Refusal> {
        let mut policies = PolicySet::default();
        for (index, text) in texts.iter().enumerate() {
            let documents = parse_documents(text, &self.limits)
                .map_err(|faults| Refusal::of_text(index, faults))?;
            for document in documents {
                inventory.add_document(&document);
                if let Document::NetworkPolicy(policy) = document {
                    policies.insert(policy);
                }
            }
        }
        Ok(policies)
    }
}

impl Judge for Compiled {
    fn decide(
        &self,
        direction: Direction,
        endpoint: std::net::IpAddr,
        peer: std::net::IpAddr,
        traffic: Traffic,
    ) -> PolicyVerdict {
        Self::decide(self, direction, endpoint, peer, traffic)
    }
}

#[cfg(test)]
mod tests;
