//! A policy from apply to delete: client-side apply, diff, patch, edit.

use serde_json::{Value, json};

use crate::rig::{POLICY, Rig, text};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_applied_comes_back() {
    let Some(rig) = Rig::new().await else { return };
    let file = rig.file("web.yaml", POLICY);
    let diff = rig.refused(&["diff", "-f", &file]);
    assert!(diff.contains("+  name: web"), "{diff}");
    assert!(rig.kubectl(&["apply", "-f", &file]).contains("created"));
    assert!(rig.kubectl(&["apply", "-f", &file]).contains("unchanged"));
    assert_eq!(rig.kubectl(&["diff", "-f", &file]), "");

    let object = rig.json("web");
    let spec = json!({
        "podSelector": {"matchLabels": {"role": "web"}},
        "policyTypes": ["Ingress"],
        "ingress": [{
            "from": [{"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.66/32"]}}],
            "ports": [{"port": 443}],
        }],
    });
    assert_eq!(object["spec"], spec);
    let metadata = &object["metadata"];
    assert_eq!(metadata["labels"], json!({"team": "edge"}));
    assert_eq!(metadata["generation"], 1);
    let manager = &metadata["managedFields"][0]["manager"];
    assert_eq!(manager, "kubectl-client-side-apply");
    assert!(metadata["uid"].as_str().is_some_and(|uid| uid.len() == 36));
    let yaml = rig.kubectl(&["get", "netpol", "web", "-o", "yaml"]);
    assert!(yaml.contains("cidr: 198.51.100.0/24"), "{yaml}");
    let described = rig.kubectl(&["describe", "netpol", "web"]);
    #[rustfmt::skip]
    let wanted = [
        "CIDR: 198.51.100.0/24", "Except: 198.51.100.66/32", "To Port: 443/TCP", "Not affecting egress",
    ];
    for wanted in wanted {
        assert!(described.contains(wanted), "{wanted}: {described}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_shows_what_a_policy_does() {
    let Some(rig) = Rig::new().await else { return };
    rig.kubectl(&["apply", "-f", &rig.file("web.yaml", POLICY)]);
    let table = rig.kubectl(&["get", "netpol"]);
    let words = |line: Option<&str>| -> Vec<String> {
        let words = line.unwrap_or_default().split_whitespace();
        words.map(str::to_owned).collect()
    };
    let mut lines = table.lines();
    #[rustfmt::skip]
    let columns = ["NAME", "POD-SELECTOR", "ENDPOINTS", "INGRESS", "EGRESS", "SAMPLED-DROPS", "AGE"];
    assert_eq!(words(lines.next()), columns);
    let row = words(lines.next());
    assert_eq!(row[..6], ["web", "role=web", "1", "1", "-", "0"], "{table}");
    let wide = rig.kubectl(&["get", "netpol", "-o", "wide"]);
    assert!(wide.contains("SOURCE") && wide.contains("api"), "{wide}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_a_new_version_and_one_of_the_spec_a_new_generation() {
    let Some(rig) = Rig::new().await else { return };
    rig.kubectl(&["apply", "-f", &rig.file("web.yaml", POLICY)]);
    let first = rig.json("web");

    let changed = POLICY.replace("port: 443", "port: 80");
    let file = rig.file("web.yaml", &changed.replace("team: edge", "team: core"));
    let diff = rig.refused(&["diff", "-f", &file]);
    let shown = diff.contains("-    - port: 443") && diff.contains("+    - port: 80");
    assert!(shown, "{diff}");
    assert!(rig.kubectl(&["apply", "-f", &file]).contains("configured"));
    let second = rig.json("web");
    assert_eq!(second["spec"]["ingress"][0]["ports"][0]["port"], 80);
    assert_eq!(second["metadata"]["labels"]["team"], "core");
    assert_eq!(second["metadata"]["generation"], 2);
    assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"]);
    assert!(version(&second) > version(&first));

    #[rustfmt::skip]
    let patches = [
        ("strategic", r#"{"metadata":{"labels":{"team":null,"tier":"1"}}}"#),
        ("merge",     r#"{"metadata":{"labels":{"tier":"2"}}}"#),
        ("json",      r#"[{"op":"replace","path":"/metadata/labels/tier","value":"3"}]"#),
    ];
    for (kind, patch) in patches {
        let patched = rig.kubectl(&["patch", "netpol", "web", "--type", kind, "-p", patch]);
        assert!(patched.contains("patched"), "{kind}: {patched}");
    }
    let third = rig.json("web");
    assert_eq!(third["metadata"]["labels"], json!({"tier": "3"}));
    assert_eq!(
        third["metadata"]["generation"], 2,
        "labels are not the spec"
    );
    assert_eq!(version(&third), version(&second) + 3);
    rig.kubectl(&["label", "netpol", "web", "a=b"]);
    rig.kubectl(&["annotate", "netpol", "web", "note=x"]);
}

fn version(object: &Value) -> u64 {
    let text = object.pointer("/metadata/resourceVersion");
    let text = text.and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_edited_and_deleted() {
    let Some(rig) = Rig::new().await else { return };
    let file = rig.file("web.yaml", POLICY);
    rig.kubectl(&["apply", "-f", &file]);
    let editor = "#!/bin/sh\nsed -i 's/port: 443/port: 8080/' \"$1\"\n";
    let editor = rig.file("edit.sh", editor);
    let edited = rig
        .command("admin", &["edit", "netpol", "web"])
        .env("KUBE_EDITOR", format!("sh {editor}"))
        .output()
        .expect("kubectl runs");
    assert!(text(&edited).contains("edited"), "{}", text(&edited));
    let port = &rig.json("web")["spec"]["ingress"][0]["ports"][0]["port"];
    assert_eq!(port, 8080);

    let dry = rig.kubectl(&["delete", "--dry-run=server", "-f", &file]);
    assert!(dry.contains("deleted (server dry run)"), "{dry}");
    assert!(rig.kubectl(&["delete", "-f", &file]).contains("deleted"));
    let gone = rig.refused(&["get", "netpol", "web"]);
    assert!(gone.contains("\"web\" not found"), "{gone}");
    let gone = rig.refused(&["delete", "netpol", "web"]);
    assert!(gone.contains("(NotFound)"), "{gone}");

    let generated = POLICY.replace("name: web", "generateName: web-");
    let created = rig.kubectl(&[
        "create",
        "-o",
        "name",
        "-f",
        &rig.file("new.yaml", &generated),
    ]);
    let is_named = created
        .trim()
        .rsplit_once("/web-")
        .is_some_and(|(_, it)| it.len() == 5);
    assert!(is_named, "{created}");
    assert!(
        rig.kubectl(&["delete", "netpol", "--all"])
            .contains("deleted")
    );
    assert_eq!(rig.kubectl(&["get", "netpol", "-A", "-o", "name"]), "");
}
