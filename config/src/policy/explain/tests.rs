//! What is said of a small world, word by word.

use super::*;
use crate::policy::{Document, Limits, eval::Flow, parse_documents, view::view};

const WORLD: &str = r"
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}}, spec: {}, status: {podIP: 10.0.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {}, status: {podIP: 10.0.0.2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: ops, namespace: tools}, spec: {}, status: {podIP: 10.0.1.1}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: web}}
    ports: [{port: 5432}]
  - from:
    - ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.64/26]}
";

fn world() -> (Inventory, PolicySet) {
    let documents = parse_documents(WORLD, &Limits::default()).unwrap();
    let inventory = documents.iter().collect();
    let policies = documents.into_iter().filter_map(|document| match document {
        Document::NetworkPolicy(policy) => Some(policy),
        _ => None,
    });
    (inventory, policies.collect())
}

#[test]
fn groups_are_told_in_words() {
    let (inventory, policies) = world();
    let view = view(&inventory, &policies, Dialect::Kubernetes);
    let locate = |rule: &RuleMatch| {
        let at = policies.place(rule)?;
        Some(format!("w.yaml:{}:{}", at.line, at.column))
    };
    let want = "\
shop/db
  isolated for ingress by shop/db
    may be reached by shop/web (pods with app=web in namespace shop) on TCP 5432
      by rule shop/db spec.ingress[0].from[0] (w.yaml:15:7)
    may be reached by 192.0.2.0/24 except 192.0.2.64/26 on all ports
      by rule shop/db spec.ingress[1].from[0] (w.yaml:18:16)
    nobody else may reach it, but for itself and its own node
  may reach anyone: no policy isolates it for egress

Not selected by any policy, so open both ways: shop/web, tools/ops
";
    assert_eq!(groups(&view, &locate), want);
}

#[test]
fn a_connection_is_told_end_by_end() {
    let (inventory, policies) = world();
    #[rustfmt::skip]
    let cases: [(&str, &str, u16, bool, &str); 5] = [
        ("shop/web",   "shop/db",   5432, true,  "ingress: allowed for shop/db by rule shop/db spec.ingress[0].from[0]"),
        ("shop/web",   "shop/db",   80,   false, "shop/db spec.ingress[0].from[0] means this peer, but on TCP 5432 only"),
        ("192.0.2.70", "shop/db",   5432, false, "ingress: denied, shop/db is isolated by shop/db and no rule allows this"),
        ("192.0.2.7",  "shop/db",   5432, true,  "egress: this end is no pod of the inventory, nothing is asked of it"),
        ("192.0.2.7",  "tools/ops", 80,   true,  "ingress: allowed, no policy isolates tools/ops for ingress"),
    ];
    for (from, to, port, allowed, says) in cases {
        let asked = Flow::new(from, to, "TCP", Some(port));
        let connection = asked.connection(&inventory).unwrap();
        let explained = flow(&inventory, &policies, Dialect::Kubernetes, connection);
        let text = flow_words(&explained, &|_| None);
        assert_eq!(explained.allowed, allowed, "{from} {to} {port}: {text}");
        assert!(text.contains(says), "{from} {to} {port}: {text}");
    }
}
