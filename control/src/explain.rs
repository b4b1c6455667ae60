//! Why a packet would pass or be dropped, table by table.
//!
//! Answers from desired state and documents, with the rule that allows; then asks what is really
//! in force, the kernel's tables and the compiled policies, and names every disagreement.

use std::net::IpAddr;

use palisade_abi::{ENDPOINT_EGRESS_ISOLATED, ENDPOINT_INGRESS_ISOLATED, Reason, Verdict};
use palisade_config::{
    policy::{
        Direction, PolicyVerdict, Traffic,
        oracle::{self, AllowedBy, Judgement, RuleMatch},
    },
    types::{PortProtocol, Prefix},
};

use crate::{
    bans::SharedDesired,
    core::{Explanation, PolicySource, Question, RulePlace, Step},
    desired::Effect,
    enforce::Enforcer,
    policies::Published,
};

/// Decides about the packet of `question`, and says why.
pub(crate) fn explain(
    question: &Question,
    desired: &SharedDesired,
    published: &Published,
    always_open: &[PortProtocol],
    enforcer: &dyn Enforcer,
) -> Explanation {
    let mut chain = Chain {
        steps: Vec::new(),
        faults: Vec::new(),
    };
    let question = Question {
        from: question.from.to_canonical(),
        to: question.to.to_canonical(),
        ..question.clone()
    };
    let (verdict, reason) = chain.decide(&question, desired, published, always_open, enforcer);
    if enforcer.generation() != published.generation {
        chain.faults.push(format!(
            "the kernel works with generation {}, {} is wanted",
            enforcer.generation(),
            published.generation
        ));
    }
    Explanation {
        from: question.from,
        to: question.to,
        protocol: question.protocol.name().to_ascii_lowercase(),
        port: question.port,
        verdict: verdict.label().to_owned(),
        reason: reason.label().to_owned(),
        generation: published.generation,
        steps: chain.steps,
        faults: chain.faults,
    }
}

struct Chain {
    steps: Vec<Step>,
    faults: Vec<String>,
}

fn step(table: &str, decided: bool, finding: String) -> Step {
    Step {
        table: table.to_owned(),
        decided,
        finding,
        bans: Vec::new(),
        guard: None,
        endpoint: None,
        rule: None,
        policies: Vec::new(),
    }
}

impl Chain {
    fn decide(
        &mut self,
        question: &Question,
        desired: &SharedDesired,
        published: &Published,
        always_open: &[PortProtocol],
        enforcer: &dyn Enforcer,
    ) -> (Verdict, Reason) {
        if self.ban(question.from, desired, enforcer) {
            return (Verdict::Drop, Reason::Banned);
        }
        let Question {
            from,
            to,
            protocol,
            port,
        } = *question;
        let traffic = Traffic::Port(protocol, port);
        let judge = |direction, endpoint, peer| {
            let (inventory, policies) = (&published.inventory, &published.policies);
            let dialect = published.dialect;
            oracle::decide(
                inventory, policies, dialect, direction, endpoint, peer, traffic,
            )
        };
        let leaving = judge(Direction::Egress, from, to);
        if leaving.verdict != PolicyVerdict::NotIsolated {
            self.endpoint(Direction::Egress, from, &leaving, published, enforcer);
            let outcome = self.policy(Direction::Egress, question, &leaving, published);
            if outcome.0 == Verdict::Drop {
                return outcome;
            }
        }
        let judgement = judge(Direction::Ingress, to, from);
        if !self.endpoint(Direction::Ingress, to, &judgement, published, enforcer) {
            if leaving.verdict != PolicyVerdict::NotIsolated {
                return (Verdict::Pass, Reason::PolicyAllowed);
            }
            return (Verdict::Pass, Reason::NoPolicy);
        }
        let open = always_open.contains(&PortProtocol { protocol, port });
        let kernel_open = enforcer
            .always_open()
            .contains(&PortProtocol { protocol, port });
        if open != kernel_open {
            let port = PortProtocol { protocol, port };
            self.faults.push(format!(
                "whether {port} is always open differs in the kernel"
            ));
        }
        if open {
            let finding = format!("{} is always open", PortProtocol { protocol, port });
            self.steps.push(step("always_open", true, finding));
            return (Verdict::Pass, Reason::Guarded);
        }
        self.steps.push(step(
            "flow",
            false,
            "a packet that starts a flow has none".to_owned(),
        ));
        self.policy(Direction::Ingress, question, &judgement, published)
    }

    /// Whether the source is banned.
    fn ban(&mut self, from: IpAddr, desired: &SharedDesired, enforcer: &dyn Enforcer) -> bool {
        let (bans, guard) = {
            let desired = desired.read();
            (
                desired.covering(from),
                desired.guards().holding(&Prefix::host(from)),
            )
        };
        let banned = guard.is_none() && !bans.is_empty();
        let finding = match (bans.first(), guard) {
            (None, _) => format!("no ban holds {from}"),
            (Some(_), Some(guard)) => {
                format!("banned, but the guard {guard} exempts {from}")
            }
            (Some(ban), None) => match ban.expires {
                Some(expires) => {
                    format!("{} is banned by {} until {expires}", ban.prefix, ban.origin)
                }
                None => format!("{} is banned by {}", ban.prefix, ban.origin),
            },
        };
        match enforcer.ban_of(from) {
            Ok(found) if (found == Some(Effect::Banned)) == banned => {}
            Ok(found) => self.faults.push(format!(
                "the kernel's ban table says {} of {from}",
                match found {
                    Some(Effect::Banned) => "banned",
                    Some(Effect::Exempt) => "exempt",
                    None => "nothing",
                }
            )),
            Err(error) => self
                .faults
                .push(format!("the ban table cannot be read: {error}")),
        }
        self.steps.push(Step {
            bans,
            guard,
            ..step("ban", banned, finding)
        });
        banned
    }

    /// Whether policies judge packets in this direction, which `to` receives or sends.
    fn endpoint(
        &mut self,
        direction: Direction,
        to: IpAddr,
        judgement: &Judgement,
        published: &Published,
        enforcer: &dyn Enforcer,
    ) -> bool {
        let isolated = judgement.verdict != PolicyVerdict::NotIsolated;
        let finding = match (&judgement.endpoint, isolated) {
            (None, _) => format!("{to} is no endpoint"),
            (Some(name), false) => format!("no policy selects {name} for {}", direction.name()),
            (Some(name), true) => format!("{to} is the endpoint {name}"),
        };
        let wanted = published.endpoints.get(&to).copied();
        let flag = match direction {
            Direction::Ingress => ENDPOINT_INGRESS_ISOLATED,
            Direction::Egress => ENDPOINT_EGRESS_ISOLATED,
        };
        let says = |flags: Option<u32>| flags.is_some_and(|flags| flags & flag != 0);
        if says(wanted) != isolated {
            self.faults.push(format!(
                "the compiled policies differ about whether {to} is isolated"
            ));
        }
        match enforcer.endpoint(to) {
            Ok(found) if found == wanted => {}
            Ok(_) => self
                .faults
                .push(format!("the kernel's endpoint table differs about {to}")),
            Err(error) => self
                .faults
                .push(format!("the endpoint table cannot be read: {error}")),
        }
        self.steps.push(Step {
            endpoint: judgement.endpoint.clone(),
            policies: judgement.isolated_by.clone(),
            ..step("endpoint", !isolated, finding)
        });
        isolated
    }

    fn policy(
        &mut self,
        direction: Direction,
        question: &Question,
        judgement: &Judgement,
        published: &Published,
    ) -> (Verdict, Reason) {
        let Question {
            from,
            to,
            protocol,
            port,
        } = *question;
        let traffic = Traffic::Port(protocol, port);
        let (endpoint, peer) = match direction {
            Direction::Ingress => (to, from),
            Direction::Egress => (from, to),
        };
        let compiled = published
            .compiled
            .decide(direction, endpoint, peer, traffic);
        if compiled != judgement.verdict {
            self.faults.push(format!(
                "the compiled policies say {compiled:?}, the documents say {:?}",
                judgement.verdict
            ));
        }
        let allowed = judgement.verdict == PolicyVerdict::Allowed;
        let (finding, rule) = match &judgement.allowed_by {
            Some(AllowedBy::Rule(found)) => {
                let place = place(found, published);
                let at = format!("{} of {}/{}", place.field, found.namespace, found.name);
                (format!("allowed by {at}"), Some(place))
            }
            Some(AllowedBy::Itself) => ("an endpoint always reaches itself".to_owned(), None),
            Some(AllowedBy::OwnNode { node }) => (
                format!("the endpoint's own node {node} always reaches it"),
                None,
            ),
            None => (
                "no rule of the policies that select it allows this".to_owned(),
                None,
            ),
        };
        // What the policies of the sender allow still meets those of the receiver.
        let decided = direction == Direction::Ingress || !allowed;
        let table = match direction {
            Direction::Ingress => "policy",
            Direction::Egress => "egress_policy",
        };
        self.steps.push(Step {
            rule,
            policies: judgement.isolated_by.clone(),
            ..step(table, decided, finding)
        });
        if allowed {
            (Verdict::Pass, Reason::PolicyAllowed)
        } else {
            (Verdict::Drop, Reason::PolicyDenied)
        }
    }
}

fn place(found: &RuleMatch, published: &Published) -> RulePlace {
    let RuleMatch {
        namespace,
        name,
        direction,
        rule,
        peer,
        port,
    } = found;
    let mut field = format!("spec.{}[{rule}]", direction.name());
    if let Some(peer) = peer {
        field = format!("{field}.{}[{peer}]", direction.peers_name());
    }
    if let Some(port) = port {
        field = format!("{field} with ports[{port}]");
    }
    let source = published.sources.get(&(namespace.clone(), name.clone()));
    RulePlace {
        namespace: namespace.clone(),
        name: name.clone(),
        file: match source {
            Some(PolicySource::File(file)) => Some(file.clone()),
            Some(PolicySource::Api) | None => None,
        },
        field,
    }
}
