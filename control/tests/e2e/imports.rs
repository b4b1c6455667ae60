//! Lists: whole or not at all.

use crate::node::{MOMENT, Node, SOON};
use anyhow::{Context, Result};
use palisade_lab::require_root;
use serde_json::{Value, json};

fn import(node: &Node, query: &str, body: &str) -> Result<palisade_lab::Answer> {
    let path = format!("/v1/bans/import?{query}");
    node.daemon
        .api()
        .call("POST", &path, "text/plain", body.as_bytes())
}

fn count(node: &Node, origin: &str) -> Result<usize> {
    let page = node
        .daemon
        .api()
        .get(&format!("/v1/bans?origin={origin}"))?
        .expect(200)?
        .json()?;
    let bans = page
        .pointer("/bans")
        .and_then(Value::as_array)
        .context("no bans in the page")?;
    Ok(bans.len())
}

#[test]
fn a_list_is_imported_whole_or_not_at_all() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    let _servers = node.edge().serve_echo(&["tcp/80"])?;
    let to = (node.edge().v4, 80);

    let mut broken: String = (0..2000)
        .map(|n| format!("10.{}.{}.1\n", n / 250, n % 250))
        .collect();
    broken.insert_str(0, "# a list\n203.0.113.0/24\n");
    broken.push_str("10.0.0.1/8\n");
    let answer = import(&node, "origin=list", &broken)?.expect(400)?;
    let errors = answer.json()?;
    assert_eq!(
        errors.pointer("/errors/0/line"),
        Some(&json!(2003)),
        "{}",
        answer.body
    );
    assert_eq!(count(&node, "list")?, 0);
    assert!(
        node.attacker.reaches(to, SOON)?,
        "a refused list is in force"
    );

    let sound = broken.replace("10.0.0.1/8\n", "");
    let answer = import(&node, "origin=list", &sound)?.expect(200)?.json()?;
    assert_eq!(answer.pointer("/added"), Some(&json!(2001)));
    assert!(
        !node.attacker.reaches(to, MOMENT)?,
        "the list is not in force"
    );

    let answer = import(&node, "origin=list", "203.0.113.0/24\n")?
        .expect(200)?
        .json()?;
    assert_eq!(answer.pointer("/unchanged"), Some(&json!(1)));
    assert_eq!(answer.pointer("/removed"), Some(&json!(0)));

    // Replacing takes away what this origin had, and nothing of others.
    node.ban("198.51.100.250")?;
    let answer = import(&node, "origin=list&mode=replace", "10.0.0.1\n10.99.0.1\n")?;
    let answer = answer.expect(200)?.json()?;
    let counts = ["added", "unchanged", "removed"].map(|key| answer.get(key).cloned());
    assert_eq!(
        counts,
        [json!(1), json!(1), json!(2000)].map(Some),
        "{answer}"
    );
    assert!(
        node.attacker.reaches(to, SOON)?,
        "what the list no longer has is still banned"
    );
    assert_eq!((count(&node, "list")?, count(&node, "api")?), (2, 1));
    Ok(())
}

#[test]
fn what_is_exported_can_be_imported() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    node.daemon
        .api()
        .ban(
            "203.0.113.9",
            r#"{"ttl":"1h","reason":"a \"quoted\" reason"}"#,
        )?
        .expect(201)?;
    node.ban("2001:db8:bad::/48")?;
    let exported = node.daemon.cli(&["bans", "export"])?;
    assert!(exported.status.success(), "{exported:?}");
    let file = node.lab.folder.join("export.ndjson");
    std::fs::write(&file, &exported.stdout)?;
    for prefix in ["203.0.113.9", "2001:db8:bad::/48"] {
        node.daemon.api().unban(prefix)?.expect(204)?;
    }
    let file = file.to_str().context("a path of text")?;
    let imported = node.daemon.cli(&["bans", "import", file, "--json"])?;
    assert!(imported.status.success(), "{imported:?}");
    let again = node.daemon.cli(&["bans", "export"])?;
    let prefixes = |bytes: &[u8]| -> Result<Vec<Value>> {
        let lines = String::from_utf8_lossy(bytes).into_owned();
        lines
            .lines()
            .map(|line| {
                let ban: Value = serde_json::from_str(line)?;
                Ok(json!([
                    ban.get("prefix"),
                    ban.get("reason"),
                    ban.get("expires").is_some()
                ]))
            })
            .collect()
    };
    assert_eq!(prefixes(&again.stdout)?, prefixes(&exported.stdout)?);
    assert_eq!(prefixes(&again.stdout)?.len(), 2);
    Ok(())
}
