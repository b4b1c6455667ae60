//! What kubectl reads without changing anything, and what it may not change.

use std::fs;

use crate::rig::{POLICY, Rig, Watch, text};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_finds_out_what_there_is() {
    let Some(rig) = Rig::new().await else { return };
    let resources = rig.kubectl(&["api-resources"]);
    for (name, short, version, namespaced, kind) in [
        (
            "networkpolicies",
            "netpol",
            "networking.k8s.io/v1",
            "true",
            "NetworkPolicy",
        ),
        ("namespaces", "ns", "v1", "false", "Namespace"),
        ("pods", "po", "v1", "true", "Pod"),
    ] {
        let want = [name, short, version, namespaced, kind];
        let is_it = |line: &str| line.split_whitespace().eq(want);
        assert!(resources.lines().any(is_it), "{want:?} in {resources}");
    }
    assert!(rig.kubectl(&["version"]).contains("palisade"));
    let explained = rig.kubectl(&["explain", "networkpolicy.spec.ingress.from.ipBlock"]);
    for wanted in ["networking.k8s.io", "cidr", "except", "-required-"] {
        assert!(explained.contains(wanted), "{wanted}: {explained}");
    }
    let explained = rig.kubectl(&["explain", "pod.status"]);
    assert!(explained.contains("podIPs"), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inventory_is_readable_and_no_more() {
    let Some(rig) = Rig::new().await else { return };
    let namespaces = rig.kubectl(&["get", "namespaces", "-o", "name"]);
    assert_eq!(namespaces, "namespace/default\nnamespace/shop\n");
    let pods = rig.kubectl(&["get", "pods", "-A"]);
    assert!(pods.contains("192.0.2.10,2001:db8::10"), "{pods}");
    assert!(pods.contains("https:443/TCP"), "{pods}");
    let pods = rig.kubectl(&["get", "pods", "-A", "-l", "role in (db)", "-o", "name"]);
    assert_eq!(pods, "pod/db\n");
    let described = rig.kubectl(&["describe", "pod", "web"]);
    assert!(described.contains("192.0.2.10"), "{described}");
    let described = rig.kubectl(&["describe", "namespace", "shop"]);
    assert!(
        described.contains("kubernetes.io/metadata.name=shop"),
        "{described}"
    );
    let missing = rig.refused(&["get", "pod", "nobody"]);
    assert!(
        missing.contains("(NotFound): pods \"nobody\" not found"),
        "{missing}"
    );
    let refused = rig.refused(&["delete", "pod", "web"]);
    assert!(refused.contains("(MethodNotAllowed)"), "{refused}");
    let refused = rig.refused(&["create", "namespace", "new"]);
    assert!(refused.contains("(MethodNotAllowed)"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sees_what_happens() {
    let Some(rig) = Rig::new().await else { return };
    let watch = Watch::start(
        &rig,
        &["get", "netpol", "-A", "-w", "--output-watch-events"],
    );
    let file = rig.file("web.yaml", POLICY);
    // The list comes first; only then does kubectl watch.
    rig.kubectl(&["apply", "-f", &file]);
    assert!(watch.sees("ADDED").contains("web"));
    rig.kubectl(&[
        "patch",
        "netpol",
        "web",
        "-p",
        r#"{"spec":{"podSelector":{"matchLabels":{"role":"x"}}}}"#,
    ]);
    assert!(watch.sees("MODIFIED").contains("role=x"));
    rig.kubectl(&["delete", "netpol", "web"]);
    watch.sees("DELETED");
    let says = rig.refused(&[
        "get",
        "--raw",
        "/apis/networking.k8s.io/v1/networkpolicies?watch=1&resourceVersion=999999",
    ]);
    assert!(says.contains("list again"), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_cannot_write() {
    let Some(rig) = Rig::new().await else { return };
    rig.kubeconfig("read");
    let file = rig.file("web.yaml", POLICY);
    let output = rig
        .command("read", &["apply", "-f", &file])
        .output()
        .expect("kubectl runs");
    assert!(text(&output).contains("(Forbidden)"), "{}", text(&output));
    let output = rig
        .command("read", &["get", "pods", "-A"])
        .output()
        .expect("kubectl runs");
    assert!(output.status.success(), "{}", text(&output));
    let config = fs::read_to_string(rig.path("read.kubeconfig")).expect("read");
    let config = config.replace("token: palisade_", "token: palisade_0");
    fs::write(rig.path("wrong.kubeconfig"), config).expect("written");
    let output = rig
        .command("wrong", &["get", "pods"])
        .output()
        .expect("kubectl runs");
    assert!(
        text(&output).contains("the token is not valid"),
        "{}",
        text(&output)
    );
}
