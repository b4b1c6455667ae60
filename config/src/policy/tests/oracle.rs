//! The compiled form gives the oracle's verdicts, whatever the policies.

use std::collections::BTreeMap;

use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use super::{
    super::{
        Dialect, Direction, Document, Inventory, Limits, compile, list, oracle, parse_documents,
    },
    random,
};

/// `PROPTEST_CASES` sets another number of policy sets.
fn sets(default: u32) -> Config {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default(),
        None => Config::with_cases(default),
    }
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..sets(300) })]

    #[test]
    fn compiled_form_agrees_with_the_oracle(
        inventory in random::inventory(),
        policies in random::policies(),
        flows in vec((random::any_address(), random::any_traffic()), 24),
    ) {
        for dialect in Dialect::ALL {
            let compiled = compile(&inventory, &policies, dialect).unwrap();
            for endpoint in (0..32).map(random::address) {
                for (peer, traffic) in &flows {
                    for direction in [Direction::Ingress, Direction::Egress] {
                        let got = compiled.decide(direction, endpoint, *peer, *traffic);
                        let want = oracle::decide(
                            &inventory, &policies, dialect, direction, endpoint, *peer, *traffic,
                        );
                        prop_assert_eq!(
                            got, want.verdict,
                            "{:?} {} of {} with {} {:?}: {:?}",
                            dialect, direction.name(), endpoint, peer, traffic, want
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_policy_survives_its_manifest(policies in random::policies()) {
        for policy in policies.iter() {
            let text = policy.manifest().to_string();
            let documents = parse_documents(&text, &Limits::default());
            let Ok([Document::NetworkPolicy(read)]) = documents.as_deref() else {
                return Err(TestCaseError::fail(format!("{text}: {documents:?}")));
            };
            prop_assert!(read.says_the_same(policy), "{} became {:?}", text, read);
        }
    }
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..sets(300) })]

    #[test]
    fn a_cluster_survives_its_list(
        inventory in random::inventory(),
        policies in random::policies(),
    ) {
        let text = list(&inventory, &policies).to_string();
        let documents = parse_documents(&text, &Limits::default());
        let documents = documents.map_err(|faults| TestCaseError::fail(format!("{faults:?}: {text}")))?;
        let read: Inventory = documents.iter().collect();
        prop_assert!(read.pods().eq(inventory.pods()), "{}", text);
        prop_assert!(read.nodes().eq(inventory.nodes()), "{}", text);
        prop_assert!(read.namespaces().eq(inventory.namespaces()), "{}", text);
        prop_assert_eq!(documents.len(), inventory.namespaces().count()
            + inventory.nodes().len() + inventory.pods().len() + policies.len());
    }
}

/// The agreement above is worth something only if the random worlds reach every
/// answer and every way to it.
#[test]
fn random_worlds_reach_every_verdict() {
    let mut runner = TestRunner::deterministic();
    let world = (
        random::inventory(),
        random::policies(),
        vec(random::any_traffic(), 4),
    );
    let mut reached = BTreeMap::<_, usize>::new();
    for _ in 0..100 {
        let (inventory, policies, traffics) = world.new_tree(&mut runner).unwrap().current();
        for number in 0..32 * 32 {
            let [endpoint, peer] = [number / 32, number % 32]
                .map(|number| random::address(u8::try_from(number).unwrap()));
            for (direction, traffic) in [Direction::Ingress, Direction::Egress]
                .into_iter()
                .flat_map(|direction| traffics.iter().map(move |traffic| (direction, *traffic)))
            {
                let answer = oracle::decide(
                    &inventory,
                    &policies,
                    Dialect::Kubernetes,
                    direction,
                    endpoint,
                    peer,
                    traffic,
                );
                let by = match &answer.allowed_by {
                    None => "none",
                    Some(oracle::AllowedBy::Itself) => "itself",
                    Some(oracle::AllowedBy::OwnNode { .. }) => "own node",
                    Some(oracle::AllowedBy::Rule(rule)) => match (rule.peer, rule.port) {
                        (None, None) => "anyone, any port",
                        (Some(_), None) => "a peer, any port",
                        (None, Some(_)) => "anyone, a port",
                        (Some(_), Some(_)) => "a peer, a port",
                    },
                };
                *reached
                    .entry((format!("{:?}", answer.verdict), by))
                    .or_default() += 1;
            }
        }
    }
    assert_eq!(reached.len(), 8, "{reached:?}");
    assert!(reached.values().all(|times| *times > 100), "{reached:?}");
}
