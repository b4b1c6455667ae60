//! What `/metrics` tells Prometheus: every family, in the order in which it appears.
//!
//! The figures are counted elsewhere, most of them in the kernel; here they are put into families
//! and encoded. Labels come from closed lists and from the names of interfaces and origins, which
//! are bounded. No address, port or free text is ever a label. Packet conservation, for each
//! interface:
//!
//! ```text
//! received  = sum(stage="xdp")                    pass + drop + inspect
//! inspected = sum(stage="worker")                 pass + drop + lost
//! ```

use prometheus::{
    TextEncoder,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use crate::core::{CellFigures, Figures, HistogramFigures};

/// The text exposition format.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// All families at one moment; one without a sample is left out.
pub fn render(figures: &Figures) -> Result<String, prometheus::Error> {
    let families: Vec<_> = [
        build_info(),
        packets(
            "palisade_packets_total",
            "Packets by where they were judged, how and why.",
            figures,
            |cell| cell.packets,
        ),
        packets(
            "palisade_bytes_total",
            "Bytes by where they were judged, how and why.",
            figures,
            |cell| cell.bytes,
        ),
        bans(figures),
        bans_capacity(figures),
        gauge(
            "palisade_flows",
            "Flows whose verdict is remembered.",
            [(vec![], figures.flows)],
        ),
        gauge(
            "palisade_generation",
            "Number of the tables in force.",
            [(vec![], figures.generation)],
        ),
        workers(figures),
        counter(
            "palisade_events_lost_total",
            "Sampled packets that did not fit the event ring.",
            [(vec![], figures.events_lost)],
        ),
        histogram(
            "palisade_apply_duration_seconds",
            "From a change asked for to the change in force.",
            &figures.apply,
        ),
        counter(
            "palisade_reconcile_runs_total",
            "Comparisons of what the kernel holds with what is wanted.",
            [(vec![], figures.reconcile_runs)],
        ),
        counter(
            "palisade_drift_repaired_total",
            "Kernel entries that were missing, wrong or too many, and were repaired.",
            [(vec![], figures.drift_repaired)],
        ),
    ]
    .into_iter()
    .filter(|family| !family.get_metric().is_empty())
    .collect();
    TextEncoder::new().encode_to_string(&families)
}

fn build_info() -> MetricFamily {
    let labels = vec![
        label("version", env!("CARGO_PKG_VERSION")),
        label("abi", &palisade_abi::PALISADE_ABI_VERSION.to_string()),
    ];
    gauge(
        "palisade_build_info",
        "What is running; always 1.",
        [(labels, 1)],
    )
}

fn packets(
    name: &str,
    help: &str,
    figures: &Figures,
    value: fn(&CellFigures) -> u64,
) -> MetricFamily {
    let samples = figures.interfaces.iter().flat_map(|interface| {
        interface.cells.iter().map(move |cell| {
            let labels = vec![
                label("interface", &interface.name),
                label("stage", cell.stage.label()),
                label("verdict", cell.verdict.label()),
                label("reason", cell.reason.label()),
            ];
            (labels, value(cell))
        })
    });
    counter(name, help, samples)
}

fn bans(figures: &Figures) -> MetricFamily {
    let samples = figures.bans.iter().map(|bans| {
        let labels = vec![
            label("family", bans.family.label()),
            label("origin", bans.origin.as_str()),
        ];
        (labels, bans.count)
    });
    gauge(
        "palisade_bans",
        "Banned prefixes; one counts once for each origin.",
        samples,
    )
}

fn bans_capacity(figures: &Figures) -> MetricFamily {
    let (v4, v6) = figures.bans_capacity;
    gauge(
        "palisade_bans_capacity",
        "Most prefixes that the kernel can hold.",
        [
            (vec![label("family", "ipv4")], v4),
            (vec![label("family", "ipv6")], v6),
        ],
    )
}

fn workers(figures: &Figures) -> MetricFamily {
    let samples = figures.interfaces.iter().map(|interface| {
        let labels = vec![label("interface", &interface.name)];
        (labels, interface.workers_alive)
    });
    gauge(
        "palisade_workers_alive",
        "Workers that beat, by interface.",
        samples,
    )
}

// === encoding ===

type Sample = (Vec<LabelPair>, u64);

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

/// Exact up to 2^53, like every number in the format.
#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition format knows floating point numbers only"
)]
fn number(value: u64) -> f64 {
    value as f64
}

fn gauge(name: &str, help: &str, samples: impl IntoIterator<Item = Sample>) -> MetricFamily {
    let metrics = samples.into_iter().map(|(labels, value)| {
        let mut gauge = Gauge::default();
        gauge.set_value(number(value));
        let mut metric = Metric::from_label(labels);
        metric.set_gauge(gauge);
        metric
    });
    family(name, help, MetricType::GAUGE, metrics.collect())
}

fn counter(name: &str, help: &str, samples: impl IntoIterator<Item = Sample>) -> MetricFamily {
    let metrics = samples.into_iter().map(|(labels, value)| {
        let mut counter = Counter::default();
        counter.set_value(number(value));
        let mut metric = Metric::from_label(labels);
        metric.set_counter(counter);
        metric
    });
    family(name, help, MetricType::COUNTER, metrics.collect())
}

fn histogram(name: &str, help: &str, figures: &HistogramFigures) -> MetricFamily {
    let buckets = figures.buckets.iter().map(|&(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_sum(figures.sum_seconds);
    histogram.set_sample_count(figures.count);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    family(name, help, MetricType::HISTOGRAM, vec![metric])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use palisade_abi::{Reason, Stage, Verdict};

    use super::render;
    use crate::core::{
        BanFigures, CellFigures, Family, Figures, HistogramFigures, InterfaceFigures,
    };

    /// The contract's closed list, and why a packet is inspected.
    const REASONS: [&str; 22] = [
        "banned",
        "policy_denied",
        "malformed",
        "fragment_denied",
        "unsupported_encapsulation",
        "proxy_client_banned",
        "proxy_client_denied",
        "proxy_header_invalid",
        "proxy_header_missing",
        "proxy_untrusted",
        "no_worker",
        "worker_full",
        "flow_table_full",
        "reinject_failed",
        "no_policy",
        "policy_allowed",
        "flow_established",
        "guarded",
        "not_ip",
        "reply",
        "needs_policy",
        "needs_fragment",
    ];

    fn figures() -> Figures {
        let mut cells = Vec::new();
        for stage in Stage::ALL {
            for verdict in Verdict::ALL {
                for reason in Reason::ALL {
                    cells.push(CellFigures {
                        stage,
                        verdict,
                        reason,
                        packets: 3,
                        bytes: 180,
                    });
                }
            }
        }
        Figures {
            interfaces: vec![InterfaceFigures {
                name: "we\"ird\\".to_owned(),
                cells,
                workers_alive: 2,
            }],
            bans: vec![BanFigures {
                family: Family::V6,
                origin: "noc".parse().unwrap(),
                count: 7,
            }],
            flows: 5,
            generation: 9,
            events_lost: 1,
            apply: HistogramFigures {
                buckets: vec![(0.005, 1), (0.1, 3)],
                sum_seconds: 0.75,
                count: 4,
            },
            bans_capacity: (10, 20),
            ..Figures::default()
        }
    }

    /// Family, labels and value of a sample line.
    type Sample = (String, Vec<(String, String)>, f64);

    fn samples(page: &str) -> Vec<Sample> {
        let mut samples = Vec::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect(line);
            let (name, labels) = match series.split_once('{') {
                Some((name, labels)) => (name, labels.strip_suffix('}').expect(line)),
                None => (series, ""),
            };
            let labels = labels
                .split("\",")
                .filter(|label| !label.is_empty())
                .map(|label| {
                    let (label, text) = label.split_once("=\"").expect(line);
                    (label.to_owned(), text.trim_end_matches('"').to_owned())
                });
            samples.push((
                name.to_owned(),
                labels.collect(),
                value.parse().expect(line),
            ));
        }
        samples
    }

    #[test]
    fn every_sample_belongs_to_the_family_above_it() {
        let page = render(&figures()).unwrap();
        let mut family = "";
        let mut seen = BTreeSet::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap();
                assert!(seen.insert(family), "{family} appears twice");
            } else if !line.starts_with('#') {
                assert!(line.starts_with(family), "{line} under {family}");
            }
        }
        #[rustfmt::skip]
        let contract = [
            "palisade_packets_total", "palisade_bytes_total", "palisade_bans", "palisade_flows",
            "palisade_generation", "palisade_workers_alive", "palisade_events_lost_total",
            "palisade_apply_duration_seconds", "palisade_build_info",
        ];
        for name in contract {
            assert!(seen.contains(name), "{name}");
        }
    }

    #[test]
    fn labels_are_those_of_the_contract() {
        let got: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(got, BTreeSet::from(REASONS));

        for (name, labels, _) in samples(&render(&figures()).unwrap()) {
            let keys: Vec<_> = labels.iter().map(|(key, _)| key.as_str()).collect();
            let want: &[&str] = match name.as_str() {
                "palisade_packets_total" | "palisade_bytes_total" => {
                    assert!(REASONS.contains(&labels[3].1.as_str()), "{labels:?}");
                    &["interface", "stage", "verdict", "reason"]
                }
                "palisade_bans" => &["family", "origin"],
                "palisade_bans_capacity" => &["family"],
                "palisade_workers_alive" => &["interface"],
                "palisade_apply_duration_seconds_bucket" => &["le"],
                "palisade_build_info" => &["version", "abi"],
                _ => &[],
            };
            assert_eq!(keys, want, "{name}");
        }
    }

    #[test]
    fn the_histogram_is_cumulative_and_ends_with_its_count() {
        let samples = samples(&render(&figures()).unwrap());
        let of = |name: &str| -> Vec<f64> {
            samples
                .iter()
                .filter(|(family, _, _)| family == name)
                .map(|(_, _, value)| *value)
                .collect()
        };
        assert_eq!(
            of("palisade_apply_duration_seconds_bucket"),
            [1.0, 3.0, 4.0]
        );
        assert_eq!(of("palisade_apply_duration_seconds_count"), [4.0]);
        assert_eq!(of("palisade_apply_duration_seconds_sum"), [0.75]);
    }

    #[test]
    fn quotes_in_a_label_are_escaped() {
        assert!(
            render(&figures())
                .unwrap()
                .contains(r#"palisade_workers_alive{interface="we\"ird\\"} 2"#)
        );
    }
}
