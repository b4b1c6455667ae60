//! Reading documents: limits, spellings, kubectl's exports, and text that no
//! person would write.

use std::fmt::Write;

use proptest::{collection::vec, prelude::*, sample::Index, test_runner::Config};

use super::super::{Document, Limits, NamedPort, Peer, PortSpec, parse_documents};
use crate::types::Protocol;

const POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: x}
spec:
  podSelector:
    matchExpressions:
    - {key: app, operator: In, values: [\"a\", b]}
  ingress:
  - from: &peers
    - ipBlock:
        cidr: 192.0.2.0/24
        except: ['192.0.2.128/25']
    - podSelector: {matchLabels: {app: c}}
    ports:
    - {port: 80, endPort: 90}
    - port: dns
      protocol: UDP
  egress:
  - to: *peers
";

fn first_fault(text: &str, limits: &Limits) -> String {
    match parse_documents(text, limits) {
        Ok(documents) => format!("taken as {} documents", documents.len()),
        Err(faults) => faults[0].to_string(),
    }
}

#[test]
fn spellings_of_one_policy_are_one_policy() {
    let read = |text: &str| match parse_documents(text, &Limits::default()).as_deref() {
        Ok([Document::NetworkPolicy(policy)]) => policy.clone(),
        other => panic!("{other:?} from {text}"),
    };
    let policy = read(POLICY);
    let [rule] = policy.ingress.as_slice() else {
        panic!("{policy:?}")
    };
    assert!(matches!(
        rule.peers.as_slice(),
        [
            Peer::Block(_),
            Peer::Pods {
                namespaces: None,
                ..
            }
        ]
    ));
    assert_eq!(rule.ports[0].port, PortSpec::Range(80, 90));
    assert!(policy.ingress_isolated && policy.egress_isolated);
    assert_eq!(policy.egress[0].peers, rule.peers);

    let spellings = [
        ("windows lines", POLICY.replace('\n', "\r\n")),
        ("byte order mark", format!("\u{feff}{POLICY}")),
        (
            "document marks",
            format!("# first\n---\n{POLICY}...\n---\n"),
        ),
        ("JSON", policy.manifest().to_string()),
        (
            "explicit types",
            POLICY.replace("  egress:", "  policyTypes: [Egress, Ingress]\n  egress:"),
        ),
        (
            "a tagged string",
            POLICY.replace("name: a,", "name: !!str a,"),
        ),
        (
            "nulls are absent",
            POLICY.replace("spec:\n", "status: null\nspec:\n  policyTypes:\n"),
        ),
    ];
    for (name, text) in spellings {
        assert!(read(&text).says_the_same(&policy), "{name}");
    }
}

#[test]
fn texts_beyond_a_limit_are_refused_before_they_cost() {
    let limits = Limits::default();
    let deep = format!("a: {}1{}", "[".repeat(70), "]".repeat(70));
    let mut bomb = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let parts = vec![format!("*l{}", level - 1); 10].join(", ");
        writeln!(bomb, "l{level}: &l{level} [{parts}]").unwrap();
    }
    let many = format!("a: [{}]", "1,".repeat(2_000));
    let few = Limits {
        nodes: 1_000,
        ..limits
    };
    #[rustfmt::skip]
    let cases = [
        ("depth",           deep.as_str(),           limits, "1:67: nested more than 64 levels deep"),
        ("alias bomb",      bomb.as_str(),           limits, "4:45: aliases stand for more than 10000 nodes"),
        ("alias in itself", "a: &a [*a]",            limits, "1:8: the alias refers to itself"),
        ("nodes",           many.as_str(),           few,    "1:2003: more than 1000 nodes"),
        ("unknown anchor",  "a: *b",                 limits, "1:4: not valid YAML at line 1: while parsing node, found unknown anchor"),
    ];
    for (name, text, limits, want) in cases {
        assert_eq!(first_fault(text, &limits), want, "{name}");
    }
}

#[test]
fn every_fault_of_a_text_is_reported_and_nothing_is_taken() {
    let bad = POLICY
        .replace("192.0.2.128/25", "10.0.0.0/8")
        .replace("port: 80,", "port: 0,");
    let text = format!("{POLICY}---\n{bad}---\nkind: Pod\napiVersion: v1\nmetadata: {{}}\n");
    let faults = parse_documents(&text, &Limits::default()).unwrap_err();
    let found: Vec<_> = faults
        .iter()
        .map(|fault| (fault.document, fault.field.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (1, "spec.ingress[0].from[0].ipBlock.except[0]"),
            (1, "spec.ingress[0].ports[0].port"),
            (1, "spec.egress[0].to[0].ipBlock.except[0]"),
            (2, "metadata.name"),
        ]
    );
}

/// What `kubectl get namespaces,pods,nodes,networkpolicies -o yaml` prints, cut short.
const EXPORT: &str = "
apiVersion: v1
kind: List
metadata: {resourceVersion: \"\"}
items:
- apiVersion: v1
  kind: Namespace
  metadata:
    name: x
    labels: {kubernetes.io/metadata.name: x, env: lab}
    creationTimestamp: \"2026-11-20T10:00:00Z\"
    managedFields: [{manager: kubectl, fieldsV1: {'f:metadata': {'f:labels': {'.': {}}}}}]
  spec: {finalizers: [kubernetes]}
  status: {phase: Active}
- apiVersion: v1
  kind: Node
  metadata: {name: edge-1, uid: 6c1c3c1e}
  spec: {podCIDR: 10.77.0.0/24}
  status:
    addresses:
    - {type: InternalIP, address: 198.18.250.1}
    - {type: Hostname, address: edge-1}
- apiVersion: v1
  kind: Pod
  metadata: {name: web, namespace: x, labels: {app: web}, ownerReferences: [{kind: ReplicaSet}]}
  spec:
    nodeName: edge-1
    hostNetwork: false
    containers:
    - {name: web, image: nginx, ports: [{name: http, containerPort: 8080}, {containerPort: 9090}]}
    - {name: dns, ports: [{name: dns, containerPort: 53, protocol: UDP}]}
  status:
    phase: Running
    podIP: 10.77.1.11
    podIPs: [{ip: 10.77.1.11}, {ip: 'fd77:0:0:1::11'}]
- apiVersion: v1
  kind: Pod
  metadata: {name: job, namespace: x}
  spec: {nodeName: edge-1, hostNetwork: true}
  status: {phase: Succeeded, podIP: 198.18.250.1}
";

#[test]
fn an_export_becomes_the_inventory() {
    let documents = parse_documents(EXPORT, &Limits::default()).unwrap();
    let [
        Document::Namespace(namespace),
        Document::Node(node),
        Document::Pod(web),
        Document::Pod(job),
    ] = documents.as_slice()
    else {
        panic!("{documents:?}")
    };
    assert_eq!(namespace.labels.get("env").map(String::as_str), Some("lab"));
    assert_eq!(
        node.addresses,
        ["198.18.250.1".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(web.addresses.len(), 2);
    assert_eq!(web.node.as_deref(), Some("edge-1"));
    let port = |name: &str, protocol, port| NamedPort {
        name: name.to_owned(),
        protocol,
        port,
    };
    assert_eq!(
        web.ports,
        [
            port("http", Protocol::Tcp, 8080),
            port("dns", Protocol::Udp, 53)
        ]
    );
    assert!(job.host_network && job.finished && job.own_addresses().is_empty());
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(400) })]

    /// Damaged text is read or refused with a place; it never panics.
    #[test]
    fn damaged_text_is_read_or_refused(
        damage in vec((any::<Index>(), 0_usize..4, "[-:{}\\[\\]&*!|>'\"%@`?,# \t\n\u{0}a0é]{0,3}"), 1..6),
    ) {
        let mut text: Vec<char> = POLICY.chars().collect();
        for (at, length, replacement) in damage {
            let start = at.index(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, replacement.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(faults) = parse_documents(&text, &Limits::default()) {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                prop_assert!(fault.line > 0 && fault.column > 0, "{fault} in {text:?}");
            }
        }
    }
}
