//! What the daemon can enforce of a policy.
//!
//! A policy that cannot be enforced exactly is refused with the place of what
//! is in the way, never loosened. `policy eval` and `policy check` judge what a
//! policy means and do not ask.

use super::{Direction, Fault, NetworkPolicy, Place};

/// The directions that the data path enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enforced {
    pub ingress: bool,
    pub egress: bool,
}

impl Enforced {
    pub const INGRESS_ONLY: Self = Self {
        ingress: true,
        egress: false,
    };
    pub const ALL: Self = Self {
        ingress: true,
        egress: true,
    };

    fn covers(self, direction: Direction) -> bool {
        match direction {
            Direction::Ingress => self.ingress,
            Direction::Egress => self.egress,
        }
    }
}

/// What of `policy` cannot be enforced. Empty: all of it can.
///
/// Rules of a direction that the policy does not isolate have no effect and are
/// no hindrance.
pub fn unsupported(policy: &NetworkPolicy, enforced: Enforced) -> Vec<Fault> {
    let hindered =
        |direction: &Direction| policy.isolates(*direction) && !enforced.covers(*direction);
    let mut faults = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress]
        .into_iter()
        .filter(hindered)
    {
        let section = direction.name();
        let message = format!("{section} is not enforced here yet, and the policy isolates it");
        let rules = policy.rules(direction);
        if rules.is_empty() {
            faults.push(fault("spec.policyTypes".to_owned(), policy.place, message));
            continue;
        }
        let rule = |(index, rule): (usize, &super::Rule)| {
            fault(
                format!("spec.{section}[{index}]"),
                rule.place,
                message.clone(),
            )
        };
        faults.extend(rules.iter().enumerate().map(rule));
    }
    faults
}

fn fault(field: String, place: Place, message: String) -> Fault {
    let Place { line, column } = place;
    Fault {
        document: 0,
        field,
        line,
        column,
        message,
        hint: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Document, Limits, parse_documents};

    #[test]
    fn egress_is_refused_where_it_has_an_effect() {
        #[rustfmt::skip]
        let cases: [(&str, &str, &[&str]); 6] = [
            ("ingress only",            "ingress: [{}]",                                &[]),
            ("no spec field",           "podSelector: {}",                              &[]),
            ("egress rules by default", "egress: [{}, {}]",                             &["spec.egress[0]", "spec.egress[1]"]),
            ("egress rules left out",   "{policyTypes: [Ingress], egress: [{}]}",       &[]),
            ("isolation alone",         "policyTypes: [Egress]",                        &["spec.policyTypes"]),
            ("both",                    "{policyTypes: [Ingress, Egress], egress: [{}]}", &["spec.egress[0]"]),
        ];
        for (name, spec, want) in cases {
            let spec = if spec.starts_with('{') {
                spec.to_owned()
            } else {
                format!("{{{spec}}}")
            };
            let text = format!(
                "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: a}}, spec: {spec}}}"
            );
            let documents = parse_documents(&text, &Limits::default()).unwrap();
            let [Document::NetworkPolicy(policy)] = documents.as_slice() else {
                panic!("{name}")
            };
            let faults = unsupported(policy, Enforced::INGRESS_ONLY);
            let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
            assert_eq!(fields, want, "{name}");
            assert!(unsupported(policy, Enforced::ALL).is_empty(), "{name}");
        }
    }
}
