use super::*;
use crate::policy::{Document, Limits, parse_cluster, parse_documents};

fn read(texts: &[&str]) -> PolicySet {
    let mut policies = PolicySet::default();
    for (number, spec) in texts.iter().enumerate() {
        let text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{number}, namespace: x}}\nspec: {spec}\n"
        );
        for document in parse_documents(&text, &Limits::default()).unwrap() {
            if let Document::NetworkPolicy(policy) = document {
                policies.insert(policy);
            }
        }
    }
    policies
}

fn found(policies: &PolicySet) -> Vec<(String, Trap, String)> {
    let cluster = "{pods: [{name: a, namespace: x, labels: {app: a}, ipv4: 10.0.0.1}, {name: b, namespace: x, labels: {app: b}, ipv4: 10.0.0.2}]}";
    let inventory = parse_cluster(cluster, &Limits::default()).unwrap();
    warnings(&inventory, policies)
        .into_iter()
        .map(|warning| (warning.name, warning.trap, warning.field))
        .collect()
}

const BAN: &str = "{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [192.0.2.0/24]}}, {ipBlock: {cidr: '::/0'}}]}]}";
const BAN_2: &str = "{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [203.0.113.0/24]}}, {ipBlock: {cidr: '::/0'}}]}]}";

#[test]
fn traps_are_found_and_their_innocent_likes_are_not() {
    let except = "spec.ingress[0].from[0].ipBlock.except[0]";
    let undone = |name, trap| (name, trap, except);
    /// A name, the specs, and policy, trap and field of each warning.
    type Case = (
        &'static str,
        Vec<&'static str>,
        Vec<(&'static str, Trap, &'static str)>,
    );
    #[rustfmt::skip]
    let cases: Vec<Case> = vec![
        ("a ban alone", vec![BAN], vec![]),
        ("a ban and a rule for everyone", vec![BAN, "{ingress: [{}]}"], vec![undone("p0", Trap::ExceptUndone)]),
        ("a ban and a wider block", vec![BAN, "{ingress: [{from: [{ipBlock: {cidr: 192.0.0.0/16}}]}]}"], vec![undone("p0", Trap::ExceptUndone)]),
        ("a ban and a block inside it", vec![BAN, "{ingress: [{from: [{ipBlock: {cidr: 192.0.2.9/32}}]}]}"], vec![undone("p0", Trap::ExceptUndone)]),
        ("a ban and a block elsewhere", vec![BAN, "{ingress: [{from: [{ipBlock: {cidr: 198.51.100.0/24}}]}]}"], vec![]),
        ("a ban and another port", vec![
            "{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80}]}]}",
            "{ingress: [{ports: [{port: 81}]}]}"], vec![]),
        ("a ban and a rule for other pods", vec![
            "{podSelector: {matchLabels: {app: a}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]}",
            "{podSelector: {matchLabels: {app: b}}, ingress: [{}]}"], vec![]),
        ("two bans", vec![BAN, BAN_2], vec![undone("p0", Trap::BansCancel), undone("p1", Trap::BansCancel)]),
        ("the same ban twice", vec![BAN, BAN], vec![]),
        ("a ban for IPv4 only", vec!["{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [192.0.2.0/24]}}]}]}"],
            vec![("p0", Trap::Ipv6ShutOut, "spec.ingress[0].from[0].ipBlock.cidr")]),
        ("egress without policyTypes", vec!["{egress: [{}]}"], vec![("p0", Trap::IngressClosedToo, "spec.policyTypes")]),
        ("egress with policyTypes", vec!["{policyTypes: [Egress, Ingress], egress: [{}]}"], vec![]),
        ("a selector without pods", vec!["{podSelector: {matchLabels: {app: z}}}"], vec![("p0", Trap::SelectsNothing, "spec.podSelector")]),
        ("a peer without pods", vec!["{ingress: [{from: [{podSelector: {}}, {podSelector: {matchLabels: {app: z}}}]}]}"],
            vec![("p0", Trap::SelectsNothing, "spec.ingress[0].from[1]")]),
        ("egress to the web only", vec!["{policyTypes: [Egress], egress: [{ports: [{port: 443}]}]}"], vec![("p0", Trap::DnsForgotten, "spec.egress")]),
        ("DNS in another policy", vec![
            "{policyTypes: [Egress], egress: [{ports: [{port: 443}]}]}",
            "{policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]}"], vec![]),
        ("all egress denied on purpose", vec!["{policyTypes: [Egress]}"], vec![]),
        ("a dash too many", vec!["{ingress: [{from: [{namespaceSelector: {}}, {podSelector: {matchLabels: {app: a}}}]}]}"],
            vec![("p0", Trap::DashMeansOr, "spec.ingress[0].from[1]")]),
        ("both selectors in one item", vec!["{ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: a}}}]}]}"], vec![]),
    ];
    for (name, specs, want) in cases {
        let got = found(&read(&specs));
        let got: Vec<_> = got
            .iter()
            .map(|(n, trap, field)| (n.as_str(), *trap, field.as_str()))
            .collect();
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn a_warning_says_where_and_what() {
    let warnings = warnings(&Inventory::default(), &read(&[BAN, BAN_2]));
    assert_eq!(
        warnings[0].to_string(),
        "4:36: x/p0: spec.ingress[0].from[0].ipBlock.except[0]: 192.0.2.0/24 is not denied: x/p1 ingress[0] allows 0.0.0.0/0 but for its own excepts: the two cancel each other, put all excepts into one block"
    );
}
