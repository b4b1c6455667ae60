//! The tables that `kubectl get` prints.

use std::{collections::HashMap, sync::Arc};

use axum::Json;
use palisade_config::policy::{Direction, Inventory, Pod};
use serde_json::{Value, json};

use super::Resource;
use crate::{
    api::App,
    clock::Timestamp,
    core::PolicySource,
    objects::{Kind, Object},
    policies::Published,
};

/// Makes rows of one kind, by the tables in force.
#[derive(Debug)]
pub(super) struct Tables<'a> {
    app: &'a App,
    kind: Kind,
    now: Timestamp,
    published: Arc<Published>,
}

/// An object as JSON, or as a table of one row.
pub(super) fn shown(
    app: &App,
    resource: &Resource,
    object: &Object,
    as_table: bool,
) -> Json<Value> {
    if as_table {
        let metadata = json!({"resourceVersion": object.revision.to_string()});
        Json(Tables::new(app, resource).table([object].into_iter(), &metadata))
    } else {
        Json(object.value.clone())
    }
}

impl<'a> Tables<'a> {
    pub(super) fn new(app: &'a App, resource: &Resource) -> Self {
        Self {
            app,
            kind: resource.kind,
            now: app.core.now(),
            published: app.core.published(),
        }
    }

    pub(super) fn table<'o>(
        &self,
        objects: impl Iterator<Item = &'o Object>,
        metadata: &Value,
    ) -> Value {
        let mut pods = None;
        let rows: Vec<Value> = objects
            .map(|object| {
                let age = age(object.created().until(self.now).as_secs());
                let cells = match self.kind {
                    Kind::NetworkPolicy => {
                        let inventory = &self.published.inventory;
                        let pods = pods.get_or_insert_with(|| by_namespace(inventory));
                        self.policy(object, pods, age)
                    }
                    Kind::Namespace => vec![json!(object.key.name), json!("Active"), json!(age)],
                    Kind::Pod => pod(object, age),
                };
                json!({"cells": cells, "object": partial(object)})
            })
            .collect();
        json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": self.columns(),
            "rows": rows,
        })
    }

    fn columns(&self) -> Vec<Value> {
        let name = column("Name", "string", "Name of the object", 0);
        let age = column("Age", "string", "Time since the object was first seen", 0);
        match self.kind {
            Kind::NetworkPolicy => vec![
                name,
                column(
                    "Pod-Selector",
                    "string",
                    "Labels that the selected pods have",
                    0,
                ),
                column(
                    "Endpoints",
                    "integer",
                    "Pods of the inventory that are selected",
                    0,
                ),
                column(
                    "Ingress",
                    "string",
                    "Rules that let in; - where ingress is not isolated",
                    0,
                ),
                column(
                    "Egress",
                    "string",
                    "Rules that let out; - where egress is not isolated",
                    0,
                ),
                column(
                    "Sampled-Drops",
                    "integer",
                    "Packets dropped for want of a rule of this policy, of those sampled since the daemon started",
                    0,
                ),
                age,
                column(
                    "Source",
                    "string",
                    "api, or a file of the policy directory",
                    1,
                ),
            ],
            Kind::Namespace => vec![name, column("Status", "string", "Always Active", 0), age],
            Kind::Pod => vec![
                name,
                column(
                    "Status",
                    "string",
                    "Running, or Succeeded for a finished pod",
                    0,
                ),
                column("Addresses", "string", "Addresses of the pod", 0),
                column("Ports", "string", "Named ports", 0),
                age,
            ],
        }
    }

    fn policy(&self, object: &Object, pods: &Pods<'_>, age: String) -> Vec<Value> {
        let (namespace, name) = (object.key.namespace.as_str(), object.key.name.as_str());
        let policy = self.published.policies.get(namespace, name);
        let selected = policy.map_or(0, |policy| {
            let pods = pods.get(namespace).into_iter().flatten();
            pods.filter(|pod| policy.pod_selector.matches(&pod.labels))
                .count()
        });
        let rules = |direction| match policy {
            Some(policy) if policy.isolates(direction) => policy.rules(direction).len().to_string(),
            _ => "-".to_owned(),
        };
        let source = match &object.source {
            Some(PolicySource::File(file)) => file.as_str(),
            Some(PolicySource::Api) | None => "api",
        };
        let selector = object.value.pointer("/spec/podSelector");
        vec![
            json!(name),
            json!(selector_text(selector.unwrap_or(&Value::Null))),
            json!(selected),
            json!(rules(Direction::Ingress)),
            json!(rules(Direction::Egress)),
            json!(self.app.drops.of(namespace, name)),
            json!(age),
            json!(source),
        ]
    }
}

fn column(name: &str, kind: &str, description: &str, priority: u8) -> Value {
    json!({
        "name": name,
        "type": kind,
        "format": if name == "Name" { "name" } else { "" },
        "description": description,
        "priority": priority,
    })
}

/// Pods that can be selected, by namespace.
type Pods<'a> = HashMap<&'a str, Vec<&'a Pod>>;

fn by_namespace(inventory: &Inventory) -> Pods<'_> {
    let mut pods = Pods::new();
    for pod in inventory
        .pods()
        .filter(|pod| !pod.own_addresses().is_empty())
    {
        pods.entry(pod.namespace.as_str()).or_default().push(pod);
    }
    pods
}

fn pod(object: &Object, age: String) -> Vec<Value> {
    let list = |pointer: &str, show: &dyn Fn(&Value) -> Option<String>| {
        let items = object.value.pointer(pointer).and_then(Value::as_array);
        let shown: Vec<String> = items.into_iter().flatten().filter_map(show).collect();
        if shown.is_empty() {
            "<none>".to_owned()
        } else {
            shown.join(",")
        }
    };
    let addresses = list("/status/podIPs", &|it| it["ip"].as_str().map(str::to_owned));
    let ports = list("/spec/containers/0/ports", &|it| {
        let (name, port) = (it["name"].as_str()?, it["containerPort"].as_u64()?);
        let protocol = it["protocol"].as_str()?;
        Some(format!("{name}:{port}/{protocol}"))
    });
    let phase = object.value.pointer("/status/phase");
    vec![
        json!(object.key.name),
        phase.cloned().unwrap_or_default(),
        json!(addresses),
        json!(ports),
        json!(age),
    ]
}

fn partial(object: &Object) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.value.get("metadata"),
    })
}

/// A label selector on one line, as kubectl writes it.
fn selector_text(selector: &Value) -> String {
    let mut parts = Vec::new();
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        parts.push(format!("{key}={}", value.as_str().unwrap_or_default()));
    }
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for expression in expressions.into_iter().flatten() {
        let text = |key: &str| expression.get(key).and_then(Value::as_str);
        let key = text("key").unwrap_or_default();
        let values = expression.get("values").and_then(Value::as_array);
        let values: Vec<&str> = values
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let values = values.join(",");
        parts.push(match text("operator") {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    if parts.is_empty() {
        "<none>".to_owned()
    } else {
        parts.join(",")
    }
}

/// A time span in at most two units, as kubectl writes it.
fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: u64, unit: char, rest: u64, small: char| match rest {
        0 => format!("{large}{unit}"),
        rest => format!("{large}{unit}{rest}{small}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        _ => two(days / 365, 'y', days % 365, 'd'),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{age, selector_text};

    #[test]
    fn ages_as_kubectl_writes_them() {
        #[rustfmt::skip]
        let cases = [
            (0, "0s"), (119, "119s"), (120, "2m"), (190, "3m10s"), (600, "10m"), (10_799, "179m"),
            (10_800, "3h"), (11_000, "3h3m"), (28_800, "8h"), (172_799, "47h"), (180_000, "2d2h"),
            (691_200, "8d"), (63_072_000, "2y"), (63_160_000, "2y1d"),
        ];
        for (seconds, want) in cases {
            assert_eq!(age(seconds), want, "{seconds}");
        }
    }

    #[test]
    fn selectors_on_one_line() {
        let expressions = json!([
            {"key": "a", "operator": "In", "values": ["x", "y"]},
            {"key": "b", "operator": "NotIn", "values": ["z"]},
            {"key": "c", "operator": "Exists"},
            {"key": "d", "operator": "DoesNotExist"},
        ]);
        let selector = json!({"matchLabels": {"role": "web"}, "matchExpressions": expressions});
        assert_eq!(
            selector_text(&selector),
            "role=web,a in (x,y),b notin (z),c,!d"
        );
        assert_eq!(selector_text(&json!({})), "<none>");
    }
}
