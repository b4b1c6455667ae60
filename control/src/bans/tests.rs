//! Bans through the writer, on a real store and a kernel made of maps.

mod imports;

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use palisade_config::types::Prefix;
use tokio::sync::broadcast;

use super::{Bans, Drift, Surroundings, WriterThread, load};
use crate::{
    clock::{Clock, Timestamp},
    core::{
        Ban, BanOutcome, BanQuery, BanRequest, ImportError, ImportMode, ImportOutcome,
        ImportRequest, Refusal,
    },
    desired::{Desired, Effect, Guards},
    enforce::Enforcer,
    store::Store,
    testing::{FakeClock, FakeKernel},
};

struct Bench {
    bans: Bans,
    writer: WriterThread,
    kernel: Arc<FakeKernel>,
    clock: Arc<FakeClock>,
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn request(text: &str) -> BanRequest {
    BanRequest {
        prefix: prefix(text),
        ttl: None,
        reason: None,
        origin: "api".parse().unwrap(),
        force: false,
        caller: None,
    }
}

impl Bench {
    fn new(directory: &Path, guards: &[&str]) -> Self {
        let kernel = Arc::new(FakeKernel::default());
        let clock = Arc::new(FakeClock::at(Timestamp::from_millis(1_763_692_000_000)));
        Self::on(directory, guards, kernel, clock)
    }

    fn on(
        directory: &Path,
        guards: &[&str],
        kernel: Arc<FakeKernel>,
        clock: Arc<FakeClock>,
    ) -> Self {
        let store = Store::open(directory).unwrap();
        let mut desired = Desired::new(Guards::new(guards.iter().map(|text| prefix(text))));
        load(&store, &mut desired, clock.now()).unwrap();
        let node = vec!["192.0.2.1".parse().unwrap()];
        let surroundings = Surroundings {
            enforcer: Arc::clone(&kernel) as Arc<dyn Enforcer>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            notices: broadcast::channel(64).0,
            apply_durations: Arc::default(),
            node_addresses: Arc::new(ArcSwap::from_pointee(node)),
        };
        let (bans, writer) = Bans::start(store, desired, surroundings).unwrap();
        Self {
            bans,
            writer,
            kernel,
            clock,
        }
    }

    fn stop(self) -> (Arc<FakeKernel>, Arc<FakeClock>) {
        self.bans.stop();
        self.writer.join();
        (self.kernel, self.clock)
    }

    async fn ban(&self, text: &str) -> Result<BanOutcome, Refusal> {
        self.bans.ban(request(text)).await
    }

    async fn import(&self, mode: ImportMode, text: &str) -> Result<ImportOutcome, ImportError> {
        let request = ImportRequest {
            origin: "feed".parse().unwrap(),
            mode,
            force: false,
            caller: None,
        };
        self.bans.import(request, text.as_bytes()).await
    }

    fn listed(&self) -> Vec<Ban> {
        self.bans
            .page(&BanQuery {
                limit: 1000,
                ..BanQuery::default()
            })
            .unwrap()
            .bans
    }

    fn enforced(&self) -> Vec<String> {
        let bans = self.kernel.bans();
        bans.iter()
            .map(|(prefix, effect)| format!("{effect:?} {prefix}"))
            .collect()
    }

    /// Waits until the writer has looked at the clock and the queue.
    async fn settle(&self) {
        self.bans.begin_scan().await.unwrap();
        self.bans.repair(Drift::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_ban_is_durable_and_in_force_when_it_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(directory.path(), &["198.51.100.0/28"]);
    let outcome = bench.ban("198.51.100.0/24").await.unwrap();
    assert!(outcome.created);
    assert_eq!(outcome.exempted, [prefix("198.51.100.0/28")]);
    assert_eq!(
        bench.enforced(),
        ["Banned 198.51.100.0/24", "Exempt 198.51.100.0/28"]
    );
    let order: Vec<_> = bench.kernel.batches().concat();
    assert_eq!(
        order[0].1,
        Some(Effect::Exempt),
        "the exemption goes in first"
    );
    assert!(!bench.ban("198.51.100.0/24").await.unwrap().created);

    // The same file, a kernel that has lost everything.
    let (_, clock) = bench.stop();
    let again = Bench::on(directory.path(), &[], Arc::default(), clock);
    assert_eq!(again.listed().len(), 1);
    again.stop();
}

#[tokio::test]
async fn unban_lifts_one_origin_or_all() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(directory.path(), &["10.1.0.0/16"]);
    bench.ban("10.0.0.0/8").await.unwrap();
    let mut other = request("10.0.0.0/8");
    other.origin = "feed".parse().unwrap();
    bench.bans.ban(other).await.unwrap();

    let unban = async |origin: Option<&str>| {
        bench
            .bans
            .unban(
                prefix("10.0.0.0/8"),
                origin.map(|name| name.parse().unwrap()),
            )
            .await
    };
    assert!(matches!(
        unban(Some("nobody")).await,
        Err(Refusal::NotFound { .. })
    ));
    assert_eq!(unban(Some("api")).await.unwrap().len(), 1);
    assert_eq!(bench.enforced().len(), 2, "the other origin still bans");
    assert_eq!(unban(None).await.unwrap().len(), 1);
    assert_eq!(
        bench.enforced(),
        [] as [&str; 0],
        "ban and exemption are gone"
    );
    let order = bench.kernel.batches().concat();
    let last: Vec<Prefix> = order
        .iter()
        .rev()
        .map(|(prefix, _)| *prefix)
        .take(2)
        .collect();
    assert_eq!(
        last,
        ["10.1.0.0/16", "10.0.0.0/8"].map(prefix),
        "the exemption leaves last"
    );
    assert!(matches!(unban(None).await, Err(Refusal::NotFound { .. })));
    bench.stop();
}

#[tokio::test]
async fn wishes_that_break_a_rule_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(directory.path(), &["10.0.0.0/8"]);
    bench.kernel.set_capacity(2);
    type Edit = fn(&mut BanRequest);
    #[rustfmt::skip]
    let cases: [(&str, &str, Edit, &str); 6] = [
        ("guard",        "10.1.0.0/16",     |_| {},                                   "Guarded"),
        ("own address",  "192.0.2.0/24",    |_| {},                                   "OwnAddress"),
        ("caller",       "203.0.113.0/24",  |r| r.caller = "203.0.113.9".parse().ok(), "OwnAddress"),
        ("too short",    "96.0.0.0/4",      |_| {},                                   "TooShort"),
        ("no time",      "203.0.113.0/24",  |r| r.ttl = Some(Duration::ZERO),          "Invalid"),
        ("long reason",  "203.0.113.0/24",  |r| r.reason = Some("x".repeat(2000)),     "Invalid"),
    ];
    for (name, text, edit, want) in cases {
        let mut request = request(text);
        edit(&mut request);
        let refusal = bench.bans.ban(request).await.expect_err(name);
        assert!(
            format!("{refusal:?}").starts_with(want),
            "{name}: {refusal:?}"
        );
    }
    assert_eq!(bench.listed(), []);
    bench.ban("203.0.113.1").await.unwrap();
    let full = bench
        .ban("203.0.113.2")
        .await
        .expect_err("the guard's place and one ban fill it");
    assert!(
        matches!(
            full,
            Refusal::Full {
                used: 2,
                capacity: 2,
                ..
            }
        ),
        "{full:?}"
    );
    bench.stop();
}

#[tokio::test]
async fn origins_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(directory.path(), &[]);
    for index in 0..=crate::core::ORIGINS_MAX {
        let mut request = request("203.0.113.1");
        request.origin = format!("origin-{index}").parse().unwrap();
        let result = bench.bans.ban(request).await;
        assert_eq!(
            result.is_ok(),
            index < crate::core::ORIGINS_MAX,
            "{index}: {result:?}"
        );
    }
    bench.stop();
}

#[tokio::test]
async fn bans_expire_in_the_kernel_and_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(directory.path(), &[]);
    let mut short = request("203.0.113.1");
    short.ttl = Some(Duration::from_secs(60));
    bench.bans.ban(short.clone()).await.unwrap();
    short.prefix = prefix("203.0.113.2");
    short.ttl = Some(Duration::from_secs(600));
    bench.bans.ban(short).await.unwrap();

    bench.clock.advance(Duration::from_secs(59));
    bench.settle().await;
    assert_eq!(bench.enforced().len(), 2);
    bench.clock.advance(Duration::from_secs(1));
    bench.settle().await;
    assert_eq!(bench.enforced(), ["Banned 203.0.113.2/32"]);
    assert_eq!(bench.listed().len(), 1);

    // The second one ends while nothing runs.
    let (kernel, clock) = bench.stop();
    clock.advance(Duration::from_secs(3600));
    let again = Bench::on(directory.path(), &[], kernel, clock);
    assert_eq!(again.listed(), []);
    again.stop();
}

#[tokio::test]
async fn a_kernel_that_refuses_is_no_success_and_no_oblivion() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(directory.path(), &[]);
    bench.kernel.fail(1);
    bench
        .ban("203.0.113.1")
        .await
        .expect("one failure is tried again");

    bench.kernel.fail(4);
    let refusal = bench
        .ban("203.0.113.2")
        .await
        .expect_err("three tries, then the truth");
    assert!(
        matches!(refusal, Refusal::Unavailable { .. }),
        "{refusal:?}"
    );
    assert_eq!(bench.listed().len(), 2, "it is durable");
    for _ in 0..3 {
        bench.settle().await;
    }
    assert_eq!(bench.enforced().len(), 2, "and comes into force");
    assert_eq!(bench.bans.pending(), 0);
    bench.stop();
}

#[tokio::test]
async fn pages_go_on_where_they_ended() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(directory.path(), &[]);
    let lines: String = (0..25).map(|last| format!("203.0.113.{last}\n")).collect();
    bench.import(ImportMode::Add, &lines).await.unwrap();
    bench.ban("203.0.113.0/24").await.unwrap();
    let mut query = BanQuery {
        limit: 10,
        ..BanQuery::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = bench.bans.page(&query).unwrap();
        assert!(page.bans.len() <= 10);
        seen.extend(page.bans);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(seen, bench.listed());
    let of = |query: BanQuery| bench.bans.page(&query).unwrap().bans.len();
    let origin = "api".parse().ok();
    assert_eq!(
        of(BanQuery {
            limit: 10,
            origin,
            ..BanQuery::default()
        }),
        1
    );
    let covers = "203.0.113.7".parse().ok();
    assert_eq!(
        of(BanQuery {
            limit: 10,
            covers,
            ..BanQuery::default()
        }),
        2
    );
    let bad = BanQuery {
        limit: 1,
        after: Some("x".to_owned()),
        ..BanQuery::default()
    };
    assert!(matches!(
        bench.bans.page(&bad),
        Err(Refusal::Invalid { .. })
    ));
    bench.stop();
}

#[tokio::test]
async fn drift_is_repaired_and_a_change_during_the_scan_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(directory.path(), &[]);
    for text in ["203.0.113.1", "203.0.113.2"] {
        bench.ban(text).await.unwrap();
    }
    bench.kernel.tamper(|bans| {
        bans.remove(&prefix("203.0.113.1"));
        bans.insert(prefix("203.0.113.9"), Effect::Banned);
    });
    bench.bans.begin_scan().await.unwrap();
    bench.ban("203.0.113.3").await.unwrap();
    let found = ["203.0.113.1", "203.0.113.3", "203.0.113.9"].map(prefix);
    let repaired = bench
        .bans
        .repair(Drift {
            prefixes: found.into(),
        })
        .await
        .unwrap();
    assert_eq!(repaired, ["203.0.113.1", "203.0.113.9"].map(prefix));
    #[rustfmt::skip]
    assert_eq!(bench.enforced(), [
        "Banned 203.0.113.1/32", "Banned 203.0.113.2/32", "Banned 203.0.113.3/32",
    ]);
    // An import makes too many changes to remember: the scan counts for nothing.
    bench.bans.begin_scan().await.unwrap();
    bench
        .import(ImportMode::Add, "198.51.100.1\n")
        .await
        .unwrap();
    let void = Drift {
        prefixes: [prefix("203.0.113.1")].into(),
    };
    assert_eq!(bench.bans.repair(void).await.unwrap(), []);
    bench.stop();
}

#[tokio::test]
async fn a_writer_that_dies_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(directory.path(), &[]);
    let ended = bench.writer.ended();
    assert!(!ended.is_cancelled());
    bench.kernel.panic();
    let refusal = bench.ban("203.0.113.1").await.expect_err("no answer");
    assert!(
        matches!(refusal, Refusal::Unavailable { .. }),
        "{refusal:?}"
    );
    ended.cancelled().await;
    bench.stop();
}
