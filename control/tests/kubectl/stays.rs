//! What stays as it is: over restarts, in files, and when a document has faults.

use std::fs;

use serde_json::Value;

use crate::rig::{POLICY, Rig};

#[tokio::test(flavor = "multi_thread")]
async fn policies_outlive_a_restart() {
    let Some(rig) = Rig::new().await else { return };
    let file = rig.file("web.yaml", POLICY);
    rig.kubectl(&["apply", "-f", &file]);
    rig.kubectl(&["label", "netpol", "web", "a=b"]);
    let before = rig.json("web");
    let rig = rig.restart().await;
    assert_eq!(rig.json("web"), before);
    rig.kubectl(&["label", "netpol", "web", "a=c", "--overwrite"]);
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().map(str::len);
    let after = rig.json("web");
    assert_ne!(
        after["metadata"]["resourceVersion"],
        before["metadata"]["resourceVersion"]
    );
    assert!(version(&after) >= version(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_shown_and_stay_as_they_are() {
    let Some(rig) = Rig::new().await else { return };
    let path = rig.path("policies.d").join("own.yaml");
    fs::write(&path, POLICY.replace("name: web", "name: own")).expect("written");
    let rig = rig.restart().await;
    let shown = rig.json("own");
    assert_eq!(shown["spec"]["ingress"][0]["ports"][0]["port"], 443);
    assert!(
        rig.kubectl(&["get", "netpol", "-o", "wide"])
            .contains("own.yaml")
    );
    let again = rig.file("again.yaml", &POLICY.replace("name: web", "name: own"));
    for arguments in [
        &["delete", "netpol", "own"] as &[&str],
        &["label", "netpol", "own", "a=b"],
        &["apply", "-f", &again],
        &["create", "-f", &again],
    ] {
        let says = rig.refused(arguments);
        assert!(says.contains("file own.yaml"), "{arguments:?}: {says}");
    }
    assert_eq!(rig.json("own"), shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_named_and_nothing_is_let_through() {
    let Some(rig) = Rig::new().await else { return };
    #[rustfmt::skip]
    let cases = [
        ("unknown key",   POLICY.replace("podSelector", "podSelektor"),            "spec.podSelektor"),
        ("bad prefix",    POLICY.replace("198.51.100.0/24", "198.51.100.7/24"),    "spec.ingress[0].from[0].ipBlock.cidr"),
        ("bad port",      POLICY.replace("port: 443", "port: 70000"),              "spec.ingress[0].ports[0].port"),
        ("bad protocol",  POLICY.replace("port: 443", "protocol: ICMP"),           "spec.ingress[0].ports[0].protocol"),
    ];
    for (name, policy, field) in cases {
        let file = rig.file("bad.yaml", &policy);
        for arguments in [
            &["apply", "-f", &file] as &[&str],
            &["apply", "--validate=false", "-f", &file],
            &["create", "-f", &file],
            &["apply", "--server-side", "-f", &file],
        ] {
            let says = rig.refused(arguments);
            assert!(says.contains(field), "{name}, {arguments:?}: {says}");
        }
    }
    assert!(
        rig.raw(&["get", "netpol"]).stdout.is_empty(),
        "nothing was created"
    );

    let file = rig.file("web.yaml", POLICY);
    rig.kubectl(&["apply", "-f", &file]);
    let before = rig.json("web");
    let patch = r#"{"spec":{"ingres":[]}}"#;
    let says = rig.refused(&["patch", "netpol", "web", "--type=merge", "-p", patch]);
    assert!(says.contains("spec.ingres"), "{says}");
    let stale = serde_json::json!({"metadata": {"resourceVersion": "1"}}).to_string();
    let says = rig.refused(&["patch", "netpol", "web", "--type=merge", "-p", &stale]);
    assert!(
        says.contains("(Conflict)") && says.contains("has been modified"),
        "{says}"
    );
    assert_eq!(rig.json("web"), before);

    let mut old = before.clone();
    rig.kubectl(&["label", "netpol", "web", "a=b"]);
    old["metadata"]["labels"]["c"] = "d".into();
    let file = rig.file("old.json", &old.to_string());
    let says = rig.refused(&["replace", "-f", &file]);
    assert!(says.contains("(Conflict)"), "{says}");
    let says = rig.refused(&["create", "-f", &rig.file("web.yaml", POLICY)]);
    assert!(says.contains("(AlreadyExists)"), "{says}");
}
