//! NetworkPolicy of networking.k8s.io/v1.

use super::{metadata::metadata, rule::rule, selector::selector};
use crate::policy::{
    Direction, NetworkPolicy, Rule, Selector,
    yaml::{
        self,
        fields::{Field, Object, Sink},
    },
};

const KEYS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
const SPEC_KEYS: &[&str] = &["podSelector", "policyTypes", "ingress", "egress"];
const NO_DENY: &str =
    "NetworkPolicy has no deny rules: leave out of the allow rules what is not meant";
const SPEC_ADVICE: &[(&str, &str)] = &[("ingressDeny", NO_DENY), ("egressDeny", NO_DENY)];

pub(in crate::policy) fn network_policy(node: &yaml::Node, sink: &Sink) -> Option<NetworkPolicy> {
    let root = Field::root(node, sink);
    let object = root.object(KEYS, &[])?;
    let metadata = metadata(&object);
    let spec = match object.get("spec") {
        // Every field of the spec is optional, and so is the spec.
        None => Some(Spec::default()),
        Some(field) => field
            .object(SPEC_KEYS, SPEC_ADVICE)
            .and_then(|object| spec(&object)),
    };
    let (metadata, spec) = (metadata?, spec?);
    let (ingress_isolated, egress_isolated) = isolated(&spec);
    Some(NetworkPolicy {
        namespace: metadata.namespace,
        name: metadata.name,
        labels: metadata.labels,
        annotations: metadata.annotations,
        pod_selector: spec.pod_selector,
        ingress_isolated,
        egress_isolated,
        types_defaulted: spec.types.is_empty(),
        ingress: spec.ingress,
        egress: spec.egress,
        place: root.place(),
    })
}

#[derive(Debug, Default)]
struct Spec {
    pod_selector: Selector,
    /// Empty when absent: then the default applies.
    types: Vec<Direction>,
    ingress: Vec<Rule>,
    egress: Vec<Rule>,
}

fn spec(object: &Object<'_>) -> Option<Spec> {
    let pod_selector = object
        .get("podSelector")
        .map_or(Some(Selector::default()), |field| selector(&field));
    let types = policy_types(object);
    let ingress = rules(object, Direction::Ingress);
    let egress = rules(object, Direction::Egress);
    Some(Spec {
        pod_selector: pod_selector?,
        types: types?,
        ingress: ingress?,
        egress: egress?,
    })
}

fn rules(object: &Object<'_>, direction: Direction) -> Option<Vec<Rule>> {
    let rules: Vec<_> = object
        .items(direction.name())
        .iter()
        .map(|field| rule(field, direction))
        .collect();
    rules.into_iter().collect()
}

fn policy_types(object: &Object<'_>) -> Option<Vec<Direction>> {
    let items = object.items("policyTypes");
    if let (Some(field), 3..) = (object.get("policyTypes"), items.len()) {
        field.fault("there are only two policyTypes, Ingress and Egress");
        return None;
    }
    let types: Vec<_> = items.iter().map(policy_type).collect();
    types.into_iter().collect()
}

fn policy_type(field: &Field<'_>) -> Option<Direction> {
    match field.text()? {
        "Ingress" => Some(Direction::Ingress),
        "Egress" => Some(Direction::Egress),
        other => {
            field.fault(format!(
                "'{other}' is no policy type; write Ingress or Egress"
            ));
            None
        }
    }
}

/// The directions that the policy isolates. Without `policyTypes` that is
/// ingress always, and egress when there is an egress rule.
fn isolated(spec: &Spec) -> (bool, bool) {
    if spec.types.is_empty() {
        (true, !spec.egress.is_empty())
    } else {
        (
            spec.types.contains(&Direction::Ingress),
            spec.types.contains(&Direction::Egress),
        )
    }
}
