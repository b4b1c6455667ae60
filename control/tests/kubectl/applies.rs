//! Server-side apply: who set what, and who may change it.

use serde_json::{Value, json};

use crate::rig::{POLICY, Rig, text};

/// Applies a document on behalf of a manager; whether that was done, and what kubectl says.
fn apply(rig: &Rig, document: &str, manager: &str, more: &[&str]) -> (bool, String) {
    let file = rig.file("applied.yaml", document);
    let mut arguments = vec![
        "apply",
        "--server-side",
        "-f",
        &file,
        "--field-manager",
        manager,
    ];
    arguments.extend(more);
    let output = rig.raw(&arguments);
    (output.status.success(), text(&output))
}

/// As [`apply`], which must be done.
fn applied(rig: &Rig, document: &str, manager: &str, more: &[&str]) {
    let (done, says) = apply(rig, document, manager, more);
    assert!(done, "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_again_changes_nothing() {
    let Some(rig) = Rig::new().await else { return };
    applied(&rig, POLICY, "one", &[]);
    let before = rig.json("web");
    applied(&rig, POLICY, "one", &[]);
    assert_eq!(rig.json("web"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_manage_is_a_conflict() {
    let Some(rig) = Rig::new().await else { return };
    applied(&rig, POLICY, "one", &[]);
    let other = POLICY
        .replace("443", "80")
        .replace("team: edge", "tier: one");
    let (done, says) = apply(&rig, &other, "two", &[]);
    let named = says.contains("conflict with \"one\"") && says.contains(".spec.ingress");
    assert!(!done && named, "{says}");

    applied(&rig, &other, "two", &["--force-conflicts"]);
    let both = rig.json("web");
    assert_eq!(
        both["metadata"]["labels"],
        json!({"team": "edge", "tier": "one"})
    );
    assert_eq!(both["spec"]["ingress"][0]["ports"][0]["port"], 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_is_removed_unless_others_manage_it() {
    let Some(rig) = Rig::new().await else { return };
    let other = POLICY.replace("team: edge", "tier: one");
    applied(&rig, POLICY, "one", &[]);
    applied(&rig, &other, "two", &[]);
    applied(&rig, &without_labels(POLICY), "one", &[]);
    assert_eq!(
        rig.json("web")["metadata"]["labels"],
        json!({"tier": "one"})
    );
}

fn without_labels(policy: &str) -> String {
    policy.replace("  labels: {team: edge}\n", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn client_side_apply_becomes_server_side_apply() {
    let Some(rig) = Rig::new().await else { return };
    rig.kubectl(&["apply", "-f", &rig.file("web.yaml", POLICY)]);
    applied(&rig, POLICY, "kubectl", &[]);
    applied(&rig, &without_labels(POLICY), "kubectl", &[]);
    let labels = &rig.json("web")["metadata"]["labels"];
    assert_eq!(*labels, Value::Null, "{}", rig.json("web"));
    let file = rig.file("web.yaml", &without_labels(POLICY));
    let same = [
        "diff",
        "--server-side",
        "-f",
        &file,
        "--field-manager",
        "kubectl",
    ];
    assert_eq!(rig.kubectl(&same), "");
}
