//! Objects and their versions, without a store.

use serde_json::{Value, json};

use super::{
    Change, Key, Kind, Objects, Wanted, cleaned,
    managed::{Manager, applied, updated},
};
use crate::{clock::Timestamp, core::PolicySource, store::PolicyChange};

const NOW: i64 = 1_763_692_000_123;

fn now() -> Timestamp {
    Timestamp::from_millis(NOW)
}

fn document(name: &str, port: u16, labels: Value) -> Value {
    let value = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "labels": labels},
        "spec": {"ingress": [{"ports": [{"port": port}]}]},
    });
    cleaned(value, "default")
}

fn put(name: &str, port: u16, labels: Value) -> Change {
    Change::Put(Box::new(Wanted {
        key: Key::new(Kind::NetworkPolicy, "default", name),
        source: Some(PolicySource::Api),
        document: document(name, port, labels),
        managed: None,
    }))
}

fn gone(name: &str) -> Change {
    Change::Gone(Key::new(Kind::NetworkPolicy, "default", name))
}

fn key(name: &str) -> Key {
    Key::new(Kind::NetworkPolicy, "default", name)
}

/// Carries out changes; what the store would be told.
fn change(objects: &Objects, changes: Vec<Change>) -> Vec<PolicyChange> {
    let plan = objects.plan(changes, now());
    let stored = plan.stored();
    objects.commit(plan);
    stored
}

#[test]
fn a_version_for_each_change_and_a_generation_for_each_spec() {
    let objects = Objects::new(7, Vec::new());
    let labels = |value: &str| json!({"a": value});
    #[rustfmt::skip]
    let steps = [
        ("new",            80,  "1", 8,  1),
        ("the same",       80,  "1", 8,  1),
        ("another label",  80,  "2", 9,  1),
        ("another port",   443, "2", 10, 2),
        ("the old port",   80,  "2", 11, 3),
    ];
    for (name, port, label, revision, generation) in steps {
        change(&objects, vec![put("web", port, labels(label))]);
        let object = objects.get(&key("web")).unwrap();
        assert_eq!(object.revision, revision, "{name}");
        let metadata = &object.value["metadata"];
        assert_eq!(metadata["generation"], generation, "{name}");
        assert_eq!(metadata["resourceVersion"], revision.to_string(), "{name}");
        assert_eq!(
            metadata["creationTimestamp"], "2025-11-21T02:26:40Z",
            "{name}"
        );
    }
}

#[test]
fn an_object_that_comes_back_is_another_one() {
    let objects = Objects::new(0, Vec::new());
    change(&objects, vec![put("web", 80, json!({}))]);
    let first = objects.get(&key("web")).unwrap();
    change(&objects, vec![gone("web")]);
    assert!(objects.get(&key("web")).is_none());
    change(&objects, vec![put("web", 80, json!({}))]);
    let second = objects.get(&key("web")).unwrap();
    assert_ne!(first.uid(), second.uid());
    assert_eq!((first.revision, second.revision), (1, 3));
}

#[test]
fn a_plan_that_is_not_committed_is_not_seen() {
    let objects = Objects::new(0, Vec::new());
    let plan = objects.plan(vec![put("web", 80, json!({}))], now());
    assert!(!plan.is_empty());
    assert!(objects.get(&key("web")).is_none());
    assert_eq!(objects.list(Kind::NetworkPolicy, None).0, 0);
}

#[test]
fn what_the_store_knew_keeps_its_version_unless_it_has_changed_meanwhile() {
    let before = Objects::new(0, Vec::new());
    let mut metas = Vec::new();
    let mut revision = 0;
    let changes = ["same", "changed", "lost"].map(|name| put(name, 80, json!({})));
    for stored in change(&before, changes.to_vec()) {
        match stored {
            PolicyChange::Object { key, meta } => metas.push((key, meta)),
            PolicyChange::Revision(stored) => revision = stored,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((metas.len(), revision), (3, 3));

    let after = Objects::new(revision, metas);
    let changes = vec![put("same", 80, json!({})), put("changed", 443, json!({}))];
    let plan = after.plan_first(changes, now());
    let stored = plan.stored();
    after.commit(plan);
    let both = |name: &str| {
        (
            before.get(&key(name)).unwrap(),
            after.get(&key(name)).unwrap(),
        )
    };
    let (old, new) = both("same");
    assert_eq!(old, new);
    let (old, new) = both("changed");
    assert_eq!(old.uid(), new.uid());
    assert!(new.revision > 3);
    assert_eq!(new.value["metadata"]["generation"], 2);
    let is_gone =
        |it: &PolicyChange| matches!(it, PolicyChange::ObjectGone { key } if key == "default/lost");
    assert!(stored.iter().any(is_gone), "{stored:?}");
    let (revision, _) = after.list(Kind::NetworkPolicy, None);
    assert!(after.since(Kind::NetworkPolicy, revision).is_ok());
    let early = after.since(Kind::NetworkPolicy, 3);
    assert!(early.is_err(), "what was before this run cannot be told");
}

#[test]
fn history_is_told_from_a_version_on_and_ends_somewhere() {
    let objects = Objects::new(10, Vec::new());
    for port in 1..=5000u16 {
        change(&objects, vec![put("web", port, json!({}))]);
    }
    let since = |revision| objects.since(Kind::NetworkPolicy, revision);
    let (reached, events) = since(5008).unwrap();
    let revisions: Vec<u64> = events.iter().map(|event| event.revision).collect();
    assert_eq!((reached, revisions), (5010, vec![5009, 5010]));
    assert!(since(5010).unwrap().1.is_empty());
    assert!(objects.since(Kind::Pod, 5000).unwrap().1.is_empty());
    for expired in [0, 10, 500, 5011] {
        let error = since(expired).unwrap_err();
        assert_eq!(error.asked, expired);
        assert!(since(error.oldest).is_ok());
    }
}

fn manager(name: &str, applies: bool) -> Manager {
    Manager {
        name: name.to_owned(),
        applies,
        time: now(),
    }
}

/// `manager operation: fields` of each entry.
fn told(managed: &Value) -> Vec<String> {
    let entries = managed.as_array().unwrap().iter();
    let tell = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap().to_owned();
        let fields = entry["fieldsV1"]
            .to_string()
            .replace(":{}", "")
            .replace('"', "");
        format!("{} {}: {fields}", text("manager"), text("operation"))
    };
    entries.map(tell).collect()
}

#[test]
fn an_update_owns_what_it_changes() {
    let first = document("web", 80, json!({"a": "1"}));
    let managed = updated(&Value::Null, None, &first, &manager("one", false));
    assert_eq!(
        told(&managed),
        [
            "one Update: {f:metadata:{f:labels:{f:a}},f:spec:{f:ingress,f:podSelector,f:policyTypes}}"
        ]
    );
    let second = document("web", 443, json!({"b": "1"}));
    let managed = updated(&managed, Some(&first), &second, &manager("two", false));
    assert_eq!(
        told(&managed),
        [
            "one Update: {f:spec:{f:podSelector,f:policyTypes}}",
            "two Update: {f:metadata:{f:labels:{f:b}},f:spec:{f:ingress}}",
        ]
    );
    let same = updated(&managed, Some(&second), &second, &manager("three", false));
    assert_eq!(same, managed);
}

#[test]
fn fields_of_other_writers_are_read_however_deep_they_go() {
    let managed = json!([{
        "manager": "deep", "operation": "Update", "time": "2025-11-21T02:26:40Z",
        "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:a": {}}},
            "f:spec": {"f:podSelector": {"f:matchLabels": {"f:role": {}}}, "f:ingress": {}}},
    }, {"manager": "broken"}]);
    let document = document("web", 80, json!({"a": "1"}));
    let after = updated(&managed, Some(&document), &document, &manager("x", false));
    assert_eq!(
        told(&after),
        ["deep Update: {f:metadata:{f:labels:{f:a}},f:spec:{f:ingress,f:podSelector}}"]
    );
}

#[test]
fn an_apply_removes_conflicts_and_forces() {
    let sent = |labels: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "web", "namespace": "default", "labels": labels},
        })
    };
    let (one, two) = (manager("one", true), manager("two", true));
    let (document, managed) =
        applied(None, &sent(json!({"a": "1", "b": "1"})), &one, false).unwrap();
    let live = Some((&document, &managed));
    // Shared, where both say the same.
    let (document, managed) = applied(live, &sent(json!({"a": "1"})), &two, false).unwrap();
    let live = Some((&document, &managed));
    let conflicts = applied(live, &sent(json!({"a": "2"})), &two, false).unwrap_err();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].manager, "one");
    assert_eq!(conflicts[0].field, ["metadata", "labels", "a"]);

    let (forced, by) = applied(live, &sent(json!({"a": "2"})), &two, true).unwrap();
    assert_eq!(forced["metadata"]["labels"], json!({"a": "2", "b": "1"}));
    assert_eq!(
        told(&by),
        [
            "one Apply: {f:metadata:{f:labels:{f:b}}}",
            "two Apply: {f:metadata:{f:labels:{f:a}}}"
        ]
    );
    let (less, _) = applied(live, &sent(json!({})), &one, false).unwrap();
    let left = &less["metadata"]["labels"];
    assert_eq!(*left, json!({"a": "1"}), "two has a still, and nobody b");
}
