//! Pictures of the whole data set and of random worlds: no boxes or labels that
//! meet, nothing outside the frame, nothing that a name could inject.

use proptest::{prelude::*, test_runner::Config};

use super::{
    layout::{Layout, Rect},
    scene::Scene,
    *,
};
use crate::policy::{
    Dialect, Document, Inventory, Limits, PolicySet, parse_cluster, parse_documents,
    tests::{data, random},
    view::view,
    yaml::Node,
};

fn apart(a: &Rect, b: &Rect) -> bool {
    let beside = a.x + a.width <= b.x || b.x + b.width <= a.x;
    let below = a.y + a.height <= b.y || b.y + b.height <= a.y;
    beside || below
}

/// What is wrong with a layout; empty when it is readable.
fn faults(scene: &Scene, layout: &Layout) -> Vec<String> {
    let mut rects: Vec<Rect> = [&layout.sources, &layout.endpoints, &layout.targets]
        .into_iter()
        .flatten()
        .copied()
        .chain(layout.open)
        .collect();
    for path in &layout.paths {
        let (near, y) = path.endpoint;
        let (x, width) = (path.label.min(near), (path.label - near).abs());
        let chars = scene.edges[path.edge].label.chars().count();
        if super::layout::width_of(chars) > width {
            return vec![format!("label wider than its room: {path:?}")];
        }
        rects.push(Rect {
            x,
            y: y - 8.0,
            width,
            height: 16.0,
        });
    }
    let mut faults = Vec::new();
    for (number, rect) in rects.iter().enumerate() {
        if rect.x < 0.0
            || rect.x + rect.width > layout.width
            || rect.y + rect.height > layout.legend
        {
            faults.push(format!("outside: {rect:?}"));
        }
        for other in &rects[number + 1..] {
            if !apart(rect, other) {
                faults.push(format!("{rect:?} meets {other:?}"));
            }
        }
    }
    faults
}

fn checked(
    inventory: &Inventory,
    policies: &PolicySet,
    dialect: Dialect,
) -> Result<String, String> {
    let view = view(inventory, policies, dialect);
    let scene = Scene::of(&view);
    let faults = faults(&scene, &Layout::of(&scene));
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    let picture = svg(&view);
    if picture != svg(&view) {
        return Err("drawn differently the second time".to_owned());
    }
    Ok(picture)
}

#[test]
fn every_case_of_the_data_set_can_be_drawn() {
    let cluster = std::fs::read_to_string(data::directory("cluster.yaml")).unwrap();
    let cluster = parse_cluster(&cluster, &Limits::default()).unwrap();
    let mut drawn = 0;
    for path in data::files("cases") {
        let case = data::load(&path);
        let mut inventory = cluster.clone();
        let mut policies = PolicySet::default();
        for text in data::list(case.get("policies")) {
            for document in parse_documents(text.text().unwrap(), &Limits::default()).unwrap() {
                inventory.add_document(&document);
                if let Document::NetworkPolicy(policy) = document {
                    policies.insert(policy);
                }
            }
        }
        let dialect = case.get("dialect").and_then(Node::text).unwrap();
        checked(&inventory, &policies, dialect.parse().unwrap())
            .unwrap_or_else(|faults| panic!("{}: {faults}", data::name(&path)));
        drawn += 1;
    }
    assert!(drawn > 100, "only {drawn} cases");
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(150) })]

    #[test]
    fn nothing_meets_in_random_worlds(
        inventory in random::inventory(),
        policies in random::policies(),
    ) {
        for dialect in Dialect::ALL {
            checked(&inventory, &policies, dialect).map_err(TestCaseError::fail)?;
        }
    }
}

#[test]
fn names_stay_text() {
    let escaped = super::svg::escaped("<script>alert(\"1\")</script>&\u{1b}[2J\u{0}");
    assert_eq!(
        escaped,
        "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;\u{fffd}[2J\u{fffd}"
    );
    let mut inventory = Inventory::default();
    inventory.add_pod(crate::policy::Pod {
        namespace: "n".to_owned(),
        name: "</text><script/>".to_owned(),
        labels: [].into(),
        addresses: vec![[10, 0, 0, 1].into()],
        ports: Vec::new(),
        node: None,
        host_network: false,
        finished: false,
    });
    let picture = svg(&view(
        &inventory,
        &PolicySet::default(),
        Dialect::Kubernetes,
    ));
    assert!(!picture.contains("<script"), "{picture}");
    assert!(
        picture.contains("&lt;/text&gt;&lt;script/&gt;"),
        "{picture}"
    );
    // Nothing is fetched: the only address is the name of the format.
    assert_eq!(picture.matches("http").count(), 1, "{picture}");
}
