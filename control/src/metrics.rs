//! What `/metrics` tells Prometheus: every family, in the order in which it appears.
//!
//! Labels come from closed lists and from the names of interfaces and origins, which are bounded.
//! No address, port or free text is ever a label. Packet conservation, for each interface:
//!
//! ```text
//! received  = sum(stage="xdp")                    pass + drop + inspect
//! inspected = sum(stage="worker")                 pass + drop + lost
//! ```

use std::fmt::{Display, Write as _};

use crate::core::{Figures, HistogramFigures};

/// The text exposition format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All families at one moment.
pub fn render(figures: &Figures) -> String {
    let mut page = Page(String::with_capacity(16 << 10));

    page.family("palisade_build_info", "gauge", "What is running; always 1.");
    let version = env!("CARGO_PKG_VERSION");
    let abi = palisade_abi::PALISADE_ABI_VERSION.to_string();
    page.sample(
        "palisade_build_info",
        &[("version", version), ("abi", &abi)],
        1,
    );

    packets(&mut page, figures);

    bans(&mut page, figures);

    page.single(
        "palisade_flows",
        "gauge",
        "Flows whose verdict is remembered.",
        figures.flows,
    );
    page.single(
        "palisade_generation",
        "gauge",
        "Number of the tables in force.",
        figures.generation,
    );
    page.family(
        "palisade_workers_alive",
        "gauge",
        "Workers that beat, by interface.",
    );
    for interface in &figures.interfaces {
        let labels = [("interface", interface.name.as_str())];
        page.sample("palisade_workers_alive", &labels, interface.workers_alive);
    }
    page.single(
        "palisade_events_lost_total",
        "counter",
        "Sampled packets that did not fit the event ring.",
        figures.events_lost,
    );
    page.histogram(
        "palisade_apply_duration_seconds",
        "From a change asked for to the change in force.",
        &figures.apply,
    );
    page.single(
        "palisade_reconcile_runs_total",
        "counter",
        "Comparisons of what the kernel holds with what is wanted.",
        figures.reconcile_runs,
    );
    page.single(
        "palisade_drift_repaired_total",
        "counter",
        "Kernel entries that were missing, wrong or too many, and were repaired.",
        figures.drift_repaired,
    );
    page.0
}

fn bans(page: &mut Page, figures: &Figures) {
    page.family(
        "palisade_bans",
        "gauge",
        "Banned prefixes; one counts once for each origin.",
    );
    for bans in &figures.bans {
        let labels = [
            ("family", bans.family.label()),
            ("origin", bans.origin.as_str()),
        ];
        page.sample("palisade_bans", &labels, bans.count);
    }
    page.family(
        "palisade_bans_capacity",
        "gauge",
        "Most prefixes that the kernel can hold.",
    );
    let (v4, v6) = figures.bans_capacity;
    page.sample("palisade_bans_capacity", &[("family", "ipv4")], v4);
    page.sample("palisade_bans_capacity", &[("family", "ipv6")], v6);
}

fn packets(page: &mut Page, figures: &Figures) {
    let families = [
        (
            "palisade_packets_total",
            "Packets by where they were judged, how and why.",
        ),
        (
            "palisade_bytes_total",
            "Bytes by where they were judged, how and why.",
        ),
    ];
    for (index, (name, help)) in families.into_iter().enumerate() {
        page.family(name, "counter", help);
        for interface in &figures.interfaces {
            for cell in &interface.cells {
                let labels = [
                    ("interface", interface.name.as_str()),
                    ("stage", cell.stage.label()),
                    ("verdict", cell.verdict.label()),
                    ("reason", cell.reason.label()),
                ];
                page.sample(
                    name,
                    &labels,
                    if index == 0 { cell.packets } else { cell.bytes },
                );
            }
        }
    }
}

/// The text format, being written.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escaped(text));
        }
        self.0.push_str(if labels.is_empty() { " " } else { "} " });
        let _ = writeln!(self.0, "{value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn histogram(&mut self, name: &str, help: &str, figures: &HistogramFigures) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in &figures.buckets {
            self.sample(&bucket, &[("le", &bound.to_string())], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], figures.count);
        self.sample(&format!("{name}_sum"), &[], figures.sum_seconds);
        self.sample(&format!("{name}_count"), &[], figures.count);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
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
        let page = render(&figures());
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

        for (name, labels, _) in samples(&render(&figures())) {
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
        let samples = samples(&render(&figures()));
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
        assert!(render(&figures()).contains(r#"palisade_workers_alive{interface="we\"ird\\"} 2"#));
    }
}
