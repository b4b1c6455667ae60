//! Policies from files and API to a kernel made of maps.

use std::{fs, path::PathBuf, sync::Arc};

use palisade_config::{
    policy::{Direction, PolicyVerdict, Traffic},
    settings::Settings,
    types::Protocol,
};
use tempfile::TempDir;

use crate::{
    assemble::{Assembly, assemble},
    clock::SystemClock,
    core::{PolicyFileState, PolicyRefusal, PolicySource, Question, Refusal},
    enforce::Enforcer,
    policies::NoWorkers,
    testing::FakeKernel,
};

const SETTINGS: &str = "
[[endpoint]]
name = \"web\"
namespace = \"default\"
labels = { role = \"web\" }
addresses = [\"192.0.2.10\", \"2001:db8::10\"]
";

struct Bench {
    directory: TempDir,
    kernel: Arc<FakeKernel>,
    assembly: Assembly,
}

fn policy(name: &str, cidr: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {{name: {name}, namespace: default}}\n\
         spec:\n  podSelector: {{matchLabels: {{role: web}}}}\n  policyTypes: [Ingress]\n  \
         ingress:\n  - from:\n    - ipBlock: {{cidr: {cidr}}}\n    \
         ports: [{{protocol: TCP, port: 443}}]\n"
    )
}

impl Bench {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("policies.d")).unwrap();
        Self::on(directory, Arc::default()).await
    }

    async fn on(directory: TempDir, kernel: Arc<FakeKernel>) -> Self {
        let mut settings =
            Settings::parse(SETTINGS, std::path::Path::new("palisade.toml")).unwrap();
        settings.policy.directory = directory.path().join("policies.d");
        let assembly = assemble(
            &settings,
            directory.path(),
            Arc::clone(&kernel) as Arc<dyn Enforcer>,
            Arc::new(SystemClock),
            Arc::new(NoWorkers),
            Vec::new(),
        )
        .await
        .unwrap();
        let staged = assembly.policies.prepare().await.unwrap();
        assembly.policies.publish_first(staged).await.unwrap();
        Self {
            directory,
            kernel,
            assembly,
        }
    }

    async fn restart(self) -> Self {
        let Self {
            directory,
            kernel,
            assembly,
        } = self;
        assembly.bans.stop();
        let Assembly { writer, .. } = assembly;
        writer.join();
        Self::on(directory, kernel).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("policies.d").join(name)
    }

    async fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.assembly.policies.reload().await.unwrap();
    }

    /// What the tables of the workers say of a new connection to the endpoint, port 443.
    fn verdict(&self, from: &str) -> PolicyVerdict {
        let tables = self.assembly.tables.load();
        let [to, from] = ["192.0.2.10", from].map(|text| text.parse().unwrap());
        tables.policy.decide(
            Direction::Ingress,
            to,
            from,
            Traffic::Port(Protocol::Tcp, 443),
        )
    }

    fn state(&self, name: &str) -> Option<PolicyFileState> {
        let files = self.assembly.policies.files();
        files
            .into_iter()
            .find(|file| file.file == name)
            .map(|file| file.state)
    }

    fn generation(&self) -> u32 {
        let generation = self.kernel.generation();
        assert_eq!(generation, self.assembly.policies.published().generation);
        assert_eq!(generation, self.assembly.tables.load().generation);
        generation
    }
}

#[tokio::test]
async fn files_come_into_force_and_leave_it() {
    let bench = Bench::new().await;
    let first = bench.generation();
    assert_eq!(bench.verdict("198.51.100.7"), PolicyVerdict::NotIsolated);
    bench
        .write("web.yaml", &policy("web", "198.51.100.0/24"))
        .await;
    assert_eq!(bench.verdict("198.51.100.7"), PolicyVerdict::Allowed);
    assert_eq!(bench.verdict("203.0.113.7"), PolicyVerdict::Denied);
    assert_eq!(bench.generation(), first + 1);
    let isolated = bench
        .kernel
        .endpoint("192.0.2.10".parse().unwrap())
        .unwrap();
    assert_eq!(isolated, Some(palisade_abi::ENDPOINT_INGRESS_ISOLATED));
    assert!(bench.kernel.judges());

    // The same content again publishes nothing.
    bench
        .write("web.yaml", &policy("web", "198.51.100.0/24"))
        .await;
    assert_eq!(bench.generation(), first + 1);
    // What is no policy file is none.
    bench.write("README.txt", "not a policy").await;
    bench.write(".web.yaml.swp", "not a policy").await;
    assert_eq!(bench.assembly.policies.files().len(), 1);

    fs::remove_file(bench.path("web.yaml")).unwrap();
    bench.assembly.policies.reload().await.unwrap();
    assert_eq!(bench.verdict("203.0.113.7"), PolicyVerdict::NotIsolated);
}

#[tokio::test]
async fn a_broken_file_changes_nothing_even_over_a_restart() {
    let bench = Bench::new().await;
    bench
        .write("web.yaml", &policy("web", "198.51.100.0/24"))
        .await;
    let generation = bench.generation();
    for broken in ["spec: [", "kind: NetworkPolicy", "\u{0}"] {
        bench.write("web.yaml", broken).await;
        assert_eq!(
            bench.state("web.yaml"),
            Some(PolicyFileState::BrokenLastGoodInForce)
        );
        assert_eq!(bench.generation(), generation, "{broken:?}");
    }
    bench.write("other.yaml", "spec: [").await;
    assert_eq!(bench.state("other.yaml"), Some(PolicyFileState::Broken));
    let files = bench.assembly.policies.files();
    assert!(
        files
            .iter()
            .all(|file| file.faults.iter().all(|fault| fault.line > 0)),
        "{files:?}"
    );

    let bench = bench.restart().await;
    assert_eq!(bench.verdict("203.0.113.7"), PolicyVerdict::Denied);
    assert_eq!(
        bench.state("web.yaml"),
        Some(PolicyFileState::BrokenLastGoodInForce)
    );
    bench
        .write("web.yaml", &policy("web", "203.0.113.0/24"))
        .await;
    assert_eq!(bench.verdict("203.0.113.7"), PolicyVerdict::Allowed);
    assert_eq!(bench.state("web.yaml"), Some(PolicyFileState::InForce));

    // Removed while nothing runs: its last good version must not come back, not even for a
    // broken file of the same name.
    fs::remove_file(bench.path("web.yaml")).unwrap();
    let bench = bench.restart().await;
    assert_eq!(bench.verdict("203.0.113.7"), PolicyVerdict::NotIsolated);
    fs::write(bench.path("web.yaml"), "spec: [").unwrap();
    let bench = bench.restart().await;
    assert_eq!(bench.state("web.yaml"), Some(PolicyFileState::Broken));
}

#[tokio::test]
async fn what_is_in_force_wins_over_what_is_new() {
    let bench = Bench::new().await;
    bench
        .write("z.yaml", &policy("web", "198.51.100.0/24"))
        .await;
    bench
        .write("a.yaml", &policy("web", "203.0.113.0/24"))
        .await;
    assert_eq!(bench.state("a.yaml"), Some(PolicyFileState::Broken));
    assert_eq!(bench.verdict("203.0.113.7"), PolicyVerdict::Denied);
    // A policy that moves to another file is no clash.
    fs::write(bench.path("z.yaml"), policy("other", "198.51.100.0/24")).unwrap();
    bench.assembly.policies.reload().await.unwrap();
    assert_eq!(bench.state("a.yaml"), Some(PolicyFileState::InForce));
    assert_eq!(bench.verdict("203.0.113.7"), PolicyVerdict::Allowed);
    assert_eq!(bench.verdict("198.51.100.7"), PolicyVerdict::Allowed);
}

#[tokio::test]
async fn the_api_takes_all_or_nothing_and_keeps_it() {
    let bench = Bench::new().await;
    let core = bench.assembly.core.clone();
    let two = format!(
        "{}---\n{}",
        policy("one", "198.51.100.0/24"),
        policy("two", "203.0.113.0/24")
    );
    let dry = core.apply_policies(two.clone(), true).await.unwrap();
    assert_eq!(dry.created, ["default/one", "default/two"]);
    assert_eq!(core.policies().len(), 0);
    core.apply_policies(two.clone(), false).await.unwrap();
    let again = core.apply_policies(two.clone(), false).await.unwrap();
    assert_eq!((again.unchanged.len(), again.changed.len()), (2, 0));

    let half = format!("{}---\nkind: Nonsense\n", policy("one", "192.0.2.0/24"));
    let refusal = core
        .apply_policies(half, false)
        .await
        .expect_err("second document");
    assert!(matches!(refusal, PolicyRefusal::Faults(_)), "{refusal:?}");
    assert_eq!(bench.verdict("192.0.2.7"), PolicyVerdict::Denied);

    bench
        .write("file.yaml", &policy("three", "192.0.2.0/24"))
        .await;
    let refusal = core
        .apply_policies(policy("three", "192.0.2.0/24"), false)
        .await;
    let refusal = refusal.expect_err("a file has it");
    assert!(
        matches!(refusal, PolicyRefusal::Refused(Refusal::Conflict { .. })),
        "{refusal:?}"
    );
    let refusal = core
        .delete_policy("default", "three")
        .await
        .expect_err("a file has it");
    assert!(
        matches!(refusal, PolicyRefusal::Refused(Refusal::Conflict { .. })),
        "{refusal:?}"
    );

    let bench = bench.restart().await;
    let core = bench.assembly.core.clone();
    let listed = core.policies();
    let names: Vec<&str> = listed.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["one", "three", "two"]);
    assert_eq!(listed[0].document, policy("one", "198.51.100.0/24"));
    assert_eq!(listed[1].source, PolicySource::File("file.yaml".to_owned()));
    assert_eq!(listed[2].document, policy("two", "203.0.113.0/24"));
    core.delete_policy("default", "two").await.unwrap();
    assert_eq!(bench.verdict("203.0.113.7"), PolicyVerdict::Denied);
    let refusal = core
        .delete_policy("default", "two")
        .await
        .expect_err("gone");
    assert!(
        matches!(refusal, PolicyRefusal::Refused(Refusal::NotFound { .. })),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn a_kernel_that_refuses_leaves_the_old_tables() {
    let bench = Bench::new().await;
    bench
        .write("web.yaml", &policy("web", "198.51.100.0/24"))
        .await;
    let generation = bench.generation();
    bench.kernel.fail(3);
    fs::write(bench.path("web.yaml"), policy("web", "203.0.113.0/24")).unwrap();
    let refusal = bench
        .assembly
        .policies
        .reload()
        .await
        .expect_err("three tries");
    assert!(
        matches!(refusal, Refusal::Unavailable { .. }),
        "{refusal:?}"
    );
    assert_eq!(bench.generation(), generation);
    assert_eq!(bench.verdict("198.51.100.7"), PolicyVerdict::Allowed);
    // The next look takes it, under a generation that nobody has seen.
    bench.assembly.policies.reload().await.unwrap();
    assert_eq!(bench.verdict("203.0.113.7"), PolicyVerdict::Allowed);
    assert!(bench.generation() > generation + 1);

    // What the API was refused does not come back with a restart either.
    bench.kernel.fail(3);
    let applied = bench
        .assembly
        .core
        .apply_policies(policy("api", "192.0.2.0/24"), false)
        .await;
    assert!(applied.is_err(), "{applied:?}");
    let bench = bench.restart().await;
    assert_eq!(bench.assembly.core.policies().len(), 1);
    assert_eq!(bench.verdict("192.0.2.7"), PolicyVerdict::Denied);
}

#[tokio::test]
async fn tables_that_drifted_are_put_right() {
    let bench = Bench::new().await;
    bench
        .write("web.yaml", &policy("web", "198.51.100.0/24"))
        .await;
    assert_eq!(bench.assembly.core.reconcile().await.unwrap(), 0);
    bench
        .kernel
        .replace_endpoints(&[("192.0.2.99".parse().unwrap(), 1)])
        .unwrap();
    bench.kernel.replace_always_open(&[]);
    bench.kernel.set_generation(999);
    bench.kernel.lose_policy();
    assert_eq!(
        bench.assembly.core.reconcile().await.unwrap(),
        2 + 1 + 1 + 1 + 1
    );
    assert_eq!(bench.assembly.core.reconcile().await.unwrap(), 0);
    bench.generation();
    assert_eq!(bench.kernel.endpoints().unwrap().len(), 2);
    assert_eq!(bench.assembly.core.status().reconcile.drift_repaired, 6);
}

#[tokio::test]
async fn both_ends_of_a_connection_are_explained() {
    let bench = Bench::new().await;
    let text = policy("web", "198.51.100.0/24")
        .replace("ingress:", "egress:")
        .replace("Ingress", "Egress")
        .replace("from:", "to:");
    bench.write("web.yaml", &text).await;
    assert_eq!(
        bench.state("web.yaml"),
        Some(PolicyFileState::InForce),
        "egress is enforced"
    );
    #[rustfmt::skip]
    let cases = [
        ("192.0.2.10",   "198.51.100.7", 443, "pass", "policy_allowed", &["ban", "endpoint", "egress_policy", "endpoint"][..]),
        ("192.0.2.10",   "203.0.113.7",  443, "drop", "policy_denied",  &["ban", "endpoint", "egress_policy"]),
        ("198.51.100.7", "192.0.2.10",   443, "pass", "no_policy",      &["ban", "endpoint"]),
    ];
    for (from, to, port, verdict, reason, tables) in cases {
        let question = Question {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            protocol: Protocol::Tcp,
            port,
        };
        let explanation = bench.assembly.core.explain(&question).unwrap();
        let steps: Vec<_> = explanation
            .steps
            .iter()
            .map(|step| step.table.as_str())
            .collect();
        assert_eq!(
            (
                explanation.verdict.as_str(),
                explanation.reason.as_str(),
                &steps[..]
            ),
            (verdict, reason, tables),
            "{from} -> {to}"
        );
        assert_eq!(explanation.faults, [] as [&str; 0], "{from} -> {to}");
    }
}

#[tokio::test]
async fn explain_names_what_decides_and_what_disagrees() {
    let bench = Bench::new().await;
    bench
        .write("web.yaml", &policy("web", "198.51.100.0/24"))
        .await;
    let core = &bench.assembly.core;
    core.ban(crate::core::BanRequest {
        prefix: "198.51.100.128/25".parse().unwrap(),
        ttl: None,
        reason: None,
        origin: "api".parse().unwrap(),
        force: false,
        caller: None,
    })
    .await
    .unwrap();
    #[rustfmt::skip]
    let cases = [
        ("198.51.100.200", "192.0.2.10",   443, "drop", "banned",         "ban"),
        ("198.51.100.7",   "192.0.2.10",   443, "pass", "policy_allowed", "policy"),
        ("198.51.100.7",   "192.0.2.10",   80,  "drop", "policy_denied",  "policy"),
        ("203.0.113.7",    "192.0.2.10",   443, "drop", "policy_denied",  "policy"),
        ("203.0.113.7",    "192.0.2.10",   22,  "pass", "guarded",        "always_open"),
        ("203.0.113.7",    "192.0.2.11",   443, "pass", "no_policy",      "endpoint"),
        ("2001:db8::1",    "2001:db8::10", 443, "drop", "policy_denied",  "policy"),
    ];
    let ask = |from: &str, to: &str, port| {
        let question = Question {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            protocol: Protocol::Tcp,
            port,
        };
        core.explain(&question).unwrap()
    };
    for (from, to, port, verdict, reason, table) in cases {
        let explanation = ask(from, to, port);
        let decided: Vec<&str> = explanation
            .steps
            .iter()
            .filter(|step| step.decided)
            .map(|step| step.table.as_str())
            .collect();
        let got = (
            explanation.verdict.as_str(),
            explanation.reason.as_str(),
            decided,
        );
        assert_eq!(got, (verdict, reason, vec![table]), "{from} -> {to}:{port}");
        assert_eq!(explanation.faults, [] as [&str; 0], "{from} -> {to}:{port}");
    }
    let rule = ask("198.51.100.7", "192.0.2.10", 443)
        .steps
        .pop()
        .unwrap()
        .rule
        .unwrap();
    assert_eq!(rule.file.as_deref(), Some("web.yaml"));
    assert!(
        rule.field.starts_with("spec.ingress[0].from[0]"),
        "{}",
        rule.field
    );

    bench.kernel.tamper(std::collections::BTreeMap::clear);
    bench.kernel.replace_endpoints(&[]).unwrap();
    bench.kernel.set_generation(0);
    assert_eq!(ask("198.51.100.200", "192.0.2.10", 443).faults.len(), 2);
    assert_eq!(ask("198.51.100.7", "192.0.2.10", 443).faults.len(), 2);
}
