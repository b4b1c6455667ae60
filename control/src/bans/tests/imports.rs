//! Lists of bans, through the writer.

use std::time::Duration;

use super::{Bench, prefix, request};
use crate::core::{ImportError, ImportMode, ImportOutcome};

#[tokio::test]
async fn imports_are_taken_whole() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(directory.path(), &["10.0.0.0/8", "198.51.100.7"]);
    bench.ban("203.0.113.0/24").await.unwrap();
    let text = "# a feed\n\
        203.0.113.0/24 # also banned by api\n\
        \n\
        198.51.100.0/24\n\
        10.1.2.3\n\
        {\"prefix\":\"2001:db8::/32\",\"ttl\":\"1h\",\"reason\":\"why\"}\n\
        {\"prefix\":\"203.0.113.9\",\"origin\":\"other\"}\n\
        203.0.113.0/24";
    let outcome = bench.import(ImportMode::Add, text).await.unwrap();
    let exempted = vec![prefix("10.1.2.3"), prefix("198.51.100.7")];
    let want = ImportOutcome {
        added: 4,
        unchanged: 0,
        removed: 0,
        exempted,
    };
    assert_eq!(outcome, want);
    assert_eq!(bench.listed().len(), 5);

    let text = "203.0.113.0/24\n203.0.114.0/24\n";
    let outcome = bench.import(ImportMode::Replace, text).await.unwrap();
    assert_eq!(
        (outcome.added, outcome.unchanged, outcome.removed),
        (1, 1, 2)
    );
    #[rustfmt::skip]
    assert_eq!(bench.enforced(), [
        "Banned 203.0.113.0/24", "Banned 203.0.113.9/32", "Banned 203.0.114.0/24",
    ]);
    let origins: Vec<String> = bench
        .listed()
        .iter()
        .map(|ban| format!("{} {}", ban.prefix, ban.origin))
        .collect();
    #[rustfmt::skip]
    assert_eq!(origins, [
        "203.0.113.0/24 api", "203.0.113.0/24 feed", "203.0.113.9/32 other", "203.0.114.0/24 feed",
    ]);
    bench.stop();
}

#[tokio::test]
async fn one_bad_line_spoils_the_import_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(directory.path(), &[]);
    let long = format!("203.0.113.1 {}", "x".repeat(9000));
    #[rustfmt::skip]
    let cases: [(&str, ImportMode, &str); 10] = [
        ("203.0.113.1/24",                                       ImportMode::Add,     "203.0.113.0/24"),
        ("nonsense",                                             ImportMode::Add,     "nonsense"),
        ("0.0.0.0/0",                                            ImportMode::Add,     "shorter than /8"),
        ("192.0.2.0/24",                                         ImportMode::Add,     "an address of this node"),
        ("{\"prefix\":\"203.0.113.1\",\"colour\":1}",            ImportMode::Add,     "colour"),
        ("{\"prefix\":\"203.0.113.1\"",                          ImportMode::Add,     "EOF"),
        ("{\"prefix\":\"203.0.113.1\",\"ttl\":\"1y\"}",          ImportMode::Add,     "ttl: '1y'"),
        ("{\"prefix\":\"203.0.113.1\",\"origin\":\"Feed!\"}",    ImportMode::Add,     "Feed!"),
        ("{\"prefix\":\"203.0.113.1\",\"origin\":\"other\"}",    ImportMode::Replace, "origin other"),
        (&long,                                                  ImportMode::Add,     "longer than 8192"),
    ];
    for (bad, mode, want) in cases {
        let text = format!("198.51.100.1\n# comment\n{bad}\n198.51.100.2\n");
        let error = bench.import(mode, &text).await.expect_err(bad);
        let ImportError::Bad { errors, total: 1 } = error else {
            panic!("{bad}: {error:?}")
        };
        assert_eq!(errors[0].line, 3, "{bad}");
        assert!(
            errors[0].message.contains(want),
            "{bad}: {}",
            errors[0].message
        );
        assert_eq!(bench.listed(), [], "{bad}");
    }
    let many = "x\n".repeat(500);
    let error = bench
        .import(ImportMode::Add, &many)
        .await
        .expect_err("500 bad lines");
    let ImportError::Bad { errors, total } = error else {
        panic!("{error:?}")
    };
    assert_eq!((errors.len(), total), (100, 500));
    bench.stop();
}

#[tokio::test]
async fn what_is_exported_reads_back() {
    let [from, to] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let bench = Bench::new(from.path(), &[]);
    let mut full = request("203.0.113.0/24");
    full.ttl = Some(Duration::from_secs(3600));
    full.reason = Some("why".to_owned());
    bench.bans.ban(full).await.unwrap();
    bench.ban("2001:db8::/32").await.unwrap();
    let exported = bench.listed();
    bench.stop();
    let lines: Vec<String> = exported
        .iter()
        .map(|ban| serde_json::to_string(ban).unwrap())
        .collect();
    let bench = Bench::new(to.path(), &[]);
    bench
        .import(ImportMode::Add, &lines.join("\n"))
        .await
        .unwrap();
    assert_eq!(bench.listed(), exported);
    bench.stop();
}
