use serde_json::{Value, json};

use super::*;

fn evaluator() -> Evaluator {
    let cluster = r#"
        namespaces: [{name: x, labels: {ns: x}}]
        nodes: [{name: edge-1, ipv4: 198.18.250.1}]
        pods:
        - {name: a, namespace: x, labels: {pod: a}, ipv4: 10.77.1.11, ipv6: "fd77:0:0:1::11", node: edge-1}
        - {name: b, namespace: x, labels: {pod: b}, ipv4: 10.77.1.12, node: edge-1}
    "#;
    let cluster = parse_cluster(cluster, &Limits::default()).unwrap();
    Evaluator {
        cluster,
        ..Evaluator::default()
    }
}

const ONLY_B_80: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-b, namespace: x}
spec:
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}], ports: [{port: 80}]}]
";

fn ask(request: &Value) -> Value {
    serde_json::from_str(&evaluator().answer(&request.to_string())).unwrap()
}

#[test]
fn verdicts_come_in_the_order_of_the_flows() {
    let flow = |from: &str, port: u16| json!({"from": from, "to": "x/a", "protocol": "TCP", "port": port, "note": "kept"});
    let flows = json!([
        flow("x/b", 80),
        flow("x/b", 81),
        flow("192.0.2.1", 80),
        flow("198.18.250.1", 81)
    ]);
    let answer = ask(&json!({"policies": [ONLY_B_80], "flows": flows}));
    assert_eq!(
        answer,
        json!({"verdicts": ["allow", "deny", "deny", "allow"]})
    );
}

#[test]
fn replies_follow_their_connection_and_look_alikes_do_not() {
    let flow = |packet: &str, port: u16| json!({"from": "x/a", "to": "x/b", "protocol": "UDP", "port": port, "sport": 40000, "packet": packet});
    let flows = json!([flow("new", 53), flow("reply", 53), flow("unsolicited", 53)]);
    let answer = ask(&json!({"policies": [ONLY_B_80], "flows": flows}));
    assert_eq!(answer, json!({"verdicts": ["allow", "allow", "deny"]}));
}

#[test]
fn the_later_text_replaces_its_namesake_and_a_line_may_bring_its_cluster() {
    let open = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: only-b, namespace: x}, spec: {ingress: [{}]}}";
    let flows = json!([{"from": "192.0.2.1", "to": "x/a", "protocol": "ICMP"}]);
    let answer = ask(&json!({"policies": [ONLY_B_80, open], "flows": flows}));
    assert_eq!(answer, json!({"verdicts": ["allow"]}));

    let cluster = json!({"pods": [{"name": "new", "namespace": "x", "labels": {"pod": "a"}, "ipv4": "10.0.0.1"}]});
    let flows = json!([{"from": "192.0.2.1", "to": "x/new", "protocol": "TCP", "port": 80}]);
    let answer = ask(&json!({"policies": [ONLY_B_80], "flows": flows, "cluster": cluster}));
    assert_eq!(answer, json!({"verdicts": ["deny"]}));
}

#[test]
fn refusals_say_where() {
    let bad = ONLY_B_80.replace("port: 80", "port: 0");
    let error = |policies: &[&str], flow: Value| {
        ask(&json!({"policies": policies, "flows": [flow]}))["error"].clone()
    };
    let good = json!({"from": "x/a", "to": "x/b", "protocol": "TCP", "port": 80});
    assert_eq!(
        error(&[ONLY_B_80, &bad], good.clone()),
        json!({
            "policy": 1, "document": 0, "field": "spec.ingress[0].ports[0].port",
            "line": 7, "column": 77,
            "message": "spec.ingress[0].ports[0].port: 0 is not between 1 and 65535",
        })
    );
    #[rustfmt::skip]
    let cases = [
        (json!({"from": "x/no", "to": "x/b", "protocol": "TCP", "port": 80}), "flows[0].from", "'x/no' is no address and no pod of the cluster"),
        (json!({"from": "x/a", "to": "x/b", "protocol": "GRE", "port": 80}), "flows[0].protocol", "'GRE' is no protocol; write TCP, UDP, SCTP or ICMP"),
        (json!({"from": "x/a", "to": "x/b", "protocol": "TCP"}), "flows[0].port", "a TCP flow needs a port"),
        (json!({"from": "x/a", "to": "x/b", "protocol": "TCP", "port": 80, "family": 6}), "flows[0].to", "'x/b' has no IPv6 address"),
        (json!({"from": "192.0.2.1", "to": "2001:db8::1", "protocol": "TCP", "port": 80}), "flows[0].to", "'192.0.2.1' and '2001:db8::1' are not of one family"),
    ];
    for (flow, field, message) in cases {
        let got = error(&[], flow);
        assert_eq!(
            (got["field"].as_str(), got["message"].as_str()),
            (Some(field), Some(message))
        );
    }
    assert!(
        evaluator()
            .answer("{")
            .starts_with(r#"{"error":{"field":"","message":"EOF"#)
    );
    let dialect = ask(&json!({"dialect": "gke", "flows": [good]}));
    assert_eq!(dialect["error"]["field"], "dialect");
}
