//! Every case gives its expected verdicts, by the compiled form and by the
//! oracle, with policies read from their text and changed step by step.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    super::{
        Dialect, Direction, Document, Inventory, Limits, Namespace, PolicySet, PolicyVerdict,
        Traffic, compile,
        eval::{Evaluator, Flow, FlowPacket, Judge, judge},
        oracle, parse_cluster, parse_documents, read,
        yaml::{
            Node,
            fields::{Field, Sink},
        },
    },
    data,
};

struct Oracle<'a> {
    inventory: &'a Inventory,
    policies: &'a PolicySet,
    dialect: Dialect,
}

impl Judge for Oracle<'_> {
    fn decide(
        &self,
        direction: Direction,
        endpoint: IpAddr,
        peer: IpAddr,
        traffic: Traffic,
    ) -> PolicyVerdict {
        let Self {
            inventory,
            policies,
            dialect,
        } = *self;
        oracle::decide(
            inventory, policies, dialect, direction, endpoint, peer, traffic,
        )
        .verdict
    }
}

struct World {
    inventory: Inventory,
    policies: PolicySet,
    dialect: Dialect,
    wrong: Vec<String>,
    judged: usize,
}

#[test]
fn cases_give_their_expected_verdicts() {
    let cluster = std::fs::read_to_string(data::directory("cluster.yaml")).unwrap();
    let cluster = parse_cluster(&cluster, &Limits::default()).unwrap();
    let files = data::files("cases");
    assert!(files.len() >= 100, "only {} cases found", files.len());
    let mut judged = 0;
    let mut wrong = Vec::new();
    for path in &files {
        let case = data::load(path);
        let mut world = World {
            inventory: cluster.clone(),
            policies: PolicySet::default(),
            dialect: text(&case, "dialect").parse().unwrap(),
            wrong: Vec::new(),
            judged: 0,
        };
        if case.get("steps").is_some() {
            data::list(case.get("steps"))
                .iter()
                .for_each(|step| world.step(step));
        } else {
            world.apply(data::list(case.get("policies")));
            world.expect(&case);
        }
        judged += world.judged;
        wrong.extend(
            world
                .wrong
                .iter()
                .map(|line| format!("{}: {line}", data::name(path))),
        );
    }
    assert!(
        wrong.is_empty(),
        "{} of {judged} verdicts:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(judged > 5_000, "only {judged} verdicts compared");
}

/// The cases without steps once more, as lines for `policy eval`.
#[test]
fn eval_gives_the_expected_verdicts() {
    let cluster = std::fs::read_to_string(data::directory("cluster.yaml")).unwrap();
    let cluster = parse_cluster(&cluster, &Limits::default()).unwrap();
    let evaluator = Evaluator {
        cluster,
        ..Evaluator::default()
    };
    let mut asked = 0;
    for path in data::files("cases") {
        let case = data::load(&path);
        let expectations = data::list(case.get("expectations"));
        let texts = data::list(case.get("policies"))
            .iter()
            .map(|text| text.text().unwrap());
        let flows: Vec<_> = expectations.iter().map(flow_json).collect();
        let want: Vec<_> = expectations.iter().map(|one| text(one, "expect")).collect();
        let line = json!({
            "policies": texts.collect::<Vec<_>>(), "dialect": text(&case, "dialect"), "flows": flows,
        });
        let answer: Value = serde_json::from_str(&evaluator.answer(&line.to_string())).unwrap();
        assert_eq!(answer, json!({"verdicts": want}), "{}", data::name(&path));
        asked += want.len();
    }
    assert!(asked > 4_500, "only {asked} flows asked");
}

fn flow_json(node: &Node) -> Value {
    let mut flow = json!({});
    for key in ["from", "to", "protocol", "packet"] {
        flow[key] = json!(node.get(key).and_then(Node::text));
    }
    for key in ["port", "sport", "family"] {
        flow[key] = json!(data::integer(node.get(key)));
    }
    flow
}

fn text<'a>(node: &'a Node, key: &str) -> &'a str {
    node.get(key).and_then(Node::text).unwrap()
}

fn names(node: Option<&Node>) -> impl Iterator<Item = (&str, &str)> {
    data::list(node)
        .iter()
        .map(|name| name.text().unwrap().split_once('/').unwrap())
}

impl World {
    /// The order is that of the data's README.
    fn step(&mut self, step: &Node) {
        for key in ["add_namespaces", "namespace_labels"] {
            for (name, labels) in data::map(step.get(key)) {
                let name = name.text().unwrap().to_owned();
                self.inventory.add_namespace(Namespace {
                    name,
                    labels: strings(labels),
                });
            }
        }
        for (namespace, name) in names(step.get("delete_pods")) {
            self.inventory.remove_pod(namespace, name).unwrap();
        }
        for pod in data::list(step.get("add_pods")) {
            let sink = Sink::new(0);
            self.inventory
                .add_pod(read::cluster_pod(&Field::root(pod, &sink)).unwrap());
            assert!(sink.into_faults().is_empty());
        }
        for (name, labels) in data::map(step.get("pod_labels")) {
            self.change_pod(name, |pod| pod.labels = strings(labels));
        }
        for (name, phase) in data::map(step.get("pod_phase")) {
            let finished = matches!(phase.text().unwrap(), "Succeeded" | "Failed");
            self.change_pod(name, |pod| pod.finished = finished);
        }
        for name in data::list(step.get("delete_namespaces")) {
            self.inventory.remove_namespace(name.text().unwrap());
        }
        for (namespace, name) in names(step.get("delete")) {
            self.policies.remove(namespace, name).unwrap();
        }
        self.apply(data::list(step.get("apply")));
        self.expect(step);
    }

    fn change_pod(&mut self, name: &Node, change: impl FnOnce(&mut super::super::Pod)) {
        let (namespace, name) = name.text().unwrap().split_once('/').unwrap();
        let mut pod = self.inventory.remove_pod(namespace, name).unwrap();
        change(&mut pod);
        self.inventory.add_pod(pod);
    }

    fn apply(&mut self, texts: &[Node]) {
        for text in texts {
            for document in parse_documents(text.text().unwrap(), &Limits::default()).unwrap() {
                match document {
                    Document::NetworkPolicy(policy) => drop(self.policies.insert(policy)),
                    other => self.inventory.add_document(&other),
                }
            }
        }
    }

    fn expect(&mut self, step: &Node) {
        let Self {
            inventory,
            policies,
            dialect,
            ..
        } = &*self;
        let compiled = compile(inventory, policies, *dialect).unwrap();
        let oracle = Oracle {
            inventory,
            policies,
            dialect: *dialect,
        };
        let mut wrong = Vec::new();
        let expectations = data::list(step.get("expectations"));
        for expectation in expectations {
            let flow = flow(expectation);
            let want = match text(expectation, "expect") {
                "allow" => true,
                "deny" => false,
                other => panic!("unknown verdict {other}"),
            };
            for (by, got) in [
                ("compiled", judge(&flow, inventory, &compiled).unwrap()),
                ("oracle", judge(&flow, inventory, &oracle).unwrap()),
            ] {
                if got != want {
                    wrong.push(format!("{by}: want allow={want} for {flow:?}"));
                }
            }
        }
        self.judged += expectations.len();
        self.wrong.extend(wrong);
    }
}

fn strings(node: &Node) -> std::collections::BTreeMap<String, String> {
    let own = |node: &Node| node.text().unwrap().to_owned();
    data::map(Some(node))
        .iter()
        .map(|(key, value)| (own(key), own(value)))
        .collect()
}

fn flow(node: &Node) -> Flow {
    let number = |key: &str| data::integer(node.get(key)).map(|n| u16::try_from(n).unwrap());
    Flow {
        from: text(node, "from").to_owned(),
        to: text(node, "to").to_owned(),
        protocol: text(node, "protocol").to_owned(),
        port: number("port"),
        sport: number("sport"),
        family: number("family").map(|n| u8::try_from(n).unwrap()),
        packet: match node.get("packet").and_then(Node::text) {
            None => None,
            Some("reply") => Some(FlowPacket::Reply),
            Some("unsolicited") => Some(FlowPacket::Unsolicited),
            Some(other) => panic!("unknown packet {other}"),
        },
    }
}
