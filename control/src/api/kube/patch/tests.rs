//! What each kind of patch makes of a document.

use serde_json::{Value, json};

use super::{json_patch, merge, strategic};

#[test]
fn merge_patches_of_rfc_7396() {
    let cases = [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (
            json!({"a": "b"}),
            json!({"b": "c"}),
            json!({"a": "b", "b": "c"}),
        ),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (
            json!({"a": {"b": "c"}}),
            json!({"a": {"b": "d", "c": null}}),
            json!({"a": {"b": "d"}}),
        ),
        (json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
        (json!([1]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (
            json!({}),
            json!({"a": {"bb": {"ccc": null}}}),
            json!({"a": {"bb": {}}}),
        ),
        (json!({"a": 1}), json!(["c"]), json!(["c"])),
    ];
    for (mut target, patch, want) in cases {
        let name = format!("{target} with {patch}");
        merge(&mut target, patch);
        assert_eq!(target, want, "{name}");
    }
}

#[test]
fn strategic_merge_patches() {
    let target = json!({
        "metadata": {"labels": {"a": "1", "b": "2"}, "finalizers": ["x", "y"],
            "ownerReferences": [{"uid": "u1", "name": "n1"}, {"uid": "u2", "name": "n2"}]},
        "spec": {"ingress": [{"from": [1]}, {"from": [2]}], "podSelector": {"matchLabels": {"a": "1"}}},
    });
    #[rustfmt::skip]
    let cases: [(&str, Value, &str, Value); 11] = [
        ("a list is replaced",       json!({"spec": {"ingress": [{"from": [3]}]}}),                                              "/spec/ingress", json!([{"from": [3]}])),
        ("a map is merged",          json!({"spec": {"podSelector": {"matchLabels": {"b": "2"}}}}),                              "/spec/podSelector/matchLabels", json!({"a": "1", "b": "2"})),
        ("null deletes",             json!({"metadata": {"labels": {"a": null}}}),                                               "/metadata/labels", json!({"b": "2"})),
        ("replace a map",            json!({"metadata": {"labels": {"$patch": "replace", "c": "3"}}}),                           "/metadata/labels", json!({"c": "3"})),
        ("delete a map",             json!({"spec": {"podSelector": {"matchLabels": {"$patch": "delete"}}}}),                    "/spec/podSelector", json!({})),
        ("retain keys",              json!({"metadata": {"labels": {"$retainKeys": ["b", "c"], "c": "3"}}}),                     "/metadata/labels", json!({"b": "2", "c": "3"})),
        ("finalizers are added",     json!({"metadata": {"$setElementOrder/finalizers": ["y", "z"], "finalizers": ["z", "x"]}}), "/metadata/finalizers", json!(["x", "y", "z"])),
        ("finalizers go away",       json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"]}}),                        "/metadata/finalizers", json!(["y"])),
        ("owners merge by uid",      json!({"metadata": {"ownerReferences": [{"uid": "u2", "name": "m"}]}}),                     "/metadata/ownerReferences", json!([{"uid": "u1", "name": "n1"}, {"uid": "u2", "name": "m"}])),
        ("owners go by uid",         json!({"metadata": {"ownerReferences": [{"$patch": "delete", "uid": "u1"}]}}),              "/metadata/ownerReferences", json!([{"uid": "u2", "name": "n2"}])),
        ("directives do not stay",   json!({"spec": {"$setElementOrder/ingress": []}}),                                          "/spec/ingress", json!([{"from": [1]}, {"from": [2]}])),
    ];
    for (name, patch, pointer, want) in cases {
        let mut target = target.clone();
        strategic(&mut target, patch).expect(name);
        assert_eq!(target.pointer(pointer), Some(&want), "{name}: {target}");
        assert!(!target.to_string().contains('$'), "{name}: {target}");
    }
    let mut target = target;
    assert!(strategic(&mut target, json!({"spec": {"$patch": "burn"}})).is_err());
    assert!(strategic(&mut target, json!([1])).is_err());
}

#[test]
fn json_patches_of_rfc_6902() {
    #[rustfmt::skip]
    let cases = [
        (json!([{"op": "add", "path": "/c", "value": 1}]),                 Some(json!({"a": [1, 2], "b": {"x/y": 1}, "c": 1}))),
        (json!([{"op": "add", "path": "/a/1", "value": 9}]),               Some(json!({"a": [1, 9, 2], "b": {"x/y": 1}}))),
        (json!([{"op": "add", "path": "/a/-", "value": 9}]),               Some(json!({"a": [1, 2, 9], "b": {"x/y": 1}}))),
        (json!([{"op": "remove", "path": "/b/x~1y"}]),                     Some(json!({"a": [1, 2], "b": {}}))),
        (json!([{"op": "replace", "path": "/a/0", "value": 7}]),           Some(json!({"a": [7, 2], "b": {"x/y": 1}}))),
        (json!([{"op": "move", "from": "/b/x~1y", "path": "/b/z"}]),       Some(json!({"a": [1, 2], "b": {"z": 1}}))),
        (json!([{"op": "copy", "from": "/a/1", "path": "/b/z"}]),          Some(json!({"a": [1, 2], "b": {"x/y": 1, "z": 2}}))),
        (json!([{"op": "test", "path": "/a/1", "value": 2}]),              Some(json!({"a": [1, 2], "b": {"x/y": 1}}))),
        (json!([{"op": "remove", "path": "/a"}, {"op": "test", "path": "/b", "value": 0}]), None),
        (json!([{"op": "add", "path": "/a/3", "value": 9}]),               None),
        (json!([{"op": "add", "path": "/a/01", "value": 9}]),              None),
        (json!([{"op": "remove", "path": "/c"}]),                          None),
        (json!([{"op": "remove", "path": ""}]),                            None),
        (json!([{"op": "replace", "path": "/c", "value": 1}]),             None),
        (json!([{"op": "move", "from": "/b", "path": "/b/z"}]),            None),
        (json!([{"op": "add", "path": "/c"}]),                             None),
        (json!([{"op": "burn", "path": "/a"}]),                            None),
        (json!({"op": "remove", "path": "/a"}),                            None),
    ];
    for (patch, want) in cases {
        let before = json!({"a": [1, 2], "b": {"x/y": 1}});
        let mut target = before.clone();
        let done = json_patch(&mut target, &patch);
        assert_eq!(done.is_ok(), want.is_some(), "{patch}: {done:?}");
        assert_eq!(target, want.unwrap_or(before), "{patch}");
    }
}
