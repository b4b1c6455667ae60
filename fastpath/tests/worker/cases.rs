//! The cases of `tests/cases`, through `decide()` and through a worker.

use palisade_abi::{FlowKey, Verdict};
use palisade_fastpath::{
    Replies, clock::Now, fragments::FragmentTable, judge, packet::mapped, verdict::Fate,
};

use crate::support::{
    case::{Case, Line, endpoint},
    rings::{Bench, Options},
};

/// Flows that the endpoint started, as their replies look.
struct Started(Vec<FlowKey>);

impl Started {
    fn parse(lines: &[String]) -> Self {
        let flow = |line: &String| {
            let [protocol, from, "->", to] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("flow {line}?");
            };
            let (from, to) = (endpoint(from), endpoint(to));
            FlowKey {
                source: mapped(from.0),
                destination: mapped(to.0),
                source_port: from.1.to_be_bytes(),
                destination_port: to.1.to_be_bytes(),
                protocol: if protocol == "icmp" { 1 } else { 17 },
                reserved: [0; 3],
            }
        };
        Self(lines.iter().map(flow).collect())
    }
}

impl Replies for Started {
    fn expects(&self, flow: &FlowKey, _now: Now) -> bool {
        self.0.contains(flow)
    }
}

#[test]
fn every_packet_is_decided_as_written() {
    for case in Case::all() {
        let tables = case.tables();
        let started = Started::parse(&case.started);
        let fragments = FragmentTable::new();
        let mut seconds = 1_000;
        for text in &case.packets {
            let line = Line::parse(text);
            seconds += line.wait;
            let now = Now::from_nanoseconds(seconds * 1_000_000_000);
            let (decision, _) = judge(&line.frame, &tables, &fragments, &started, now);
            if let Some(train) = decision.train {
                fragments.record(&train, decision.fate, decision.reason, now);
            }
            let verdict = Verdict::from(decision.fate).label();
            let got = format!("{verdict} {}", decision.reason.label());
            assert_eq!(got, line.want, "{}: {text}", case.name);
        }
    }
}

/// A worker counts each packet under what is written, gives back what passes and nothing else.
#[test]
fn a_worker_does_what_is_decided() {
    for case in Case::all()
        .into_iter()
        .filter(|case| case.started.is_empty())
    {
        let mut bench = Bench::new(case.tables(), Options::default());
        let mut want = std::collections::BTreeMap::<String, u64>::new();
        let mut passed = Vec::new();
        let mut seconds = 1_000;
        for text in &case.packets {
            let line = Line::parse(text);
            seconds += line.wait;
            bench.arrivals.push(line.frame.clone());
            let now = Now::from_nanoseconds(seconds * 1_000_000_000);
            assert_eq!(bench.engine.turn(now).unwrap(), 1);
            if line.want.starts_with("pass") {
                passed.push(line.frame);
            }
            *want.entry(line.want.replace(' ', ".")).or_default() += 1;
        }
        assert_eq!(bench.ledger.snapshot(), want, "{}", case.name);
        assert_eq!(
            *bench.departures.delivered.lock().unwrap(),
            passed,
            "{}",
            case.name
        );
    }
}

/// What may stand for later packets of the flow is remembered, under the generation that decided.
#[test]
fn verdicts_that_are_remembered() {
    let all = Case::all();
    let case = all
        .iter()
        .find(|case| case.name.starts_with("a port for one network"))
        .unwrap();
    let tables = case.tables();
    #[rustfmt::skip]
    let cases = [
        ("tcp 198.51.100.7:1 -> 192.0.2.10:443 pass policy_allowed",                    true),
        ("tcp 203.0.113.1:1 -> 192.0.2.10:443 drop policy_denied",                      true),
        ("tcp 203.0.113.1:1 -> 192.0.2.20:443 pass no_policy",                          true),
        ("icmp 203.0.113.1 -> 192.0.2.10 drop policy_denied",                           true),
        ("47 203.0.113.1 -> 192.0.2.10 drop policy_denied",                             true),
        ("icmp 203.0.113.1 -> 192.0.2.10 type=13 drop policy_denied",                   false),
        ("icmp 203.0.113.1 -> 192.0.2.10 type=3 quoting=192.0.2.10>198.51.100.7 pass reply", false),
        ("tcp 198.51.100.7 -> 192.0.2.10 later=1@80 drop fragment_denied",              false),
        ("tcp 198.51.100.7:1 -> 192.0.2.10:443 cut=1 drop fragment_denied",             false),
        ("udp 203.0.113.1:67 -> 192.0.2.10:68 pass guarded",                            false),
    ];
    for (text, remembered) in cases {
        let line = Line::parse(text);
        let mut bench = Bench::new(tables.clone(), Options::default());
        bench.arrivals.push(line.frame.clone());
        bench.engine.turn(Now::from_nanoseconds(77)).unwrap();
        let written = bench.flows.written.lock().unwrap();
        assert_eq!(written.len(), usize::from(remembered), "{text}");
        for (flow, verdict) in written.iter() {
            let packet = palisade_fastpath::parse(&line.frame).unwrap();
            assert_eq!(Some(*flow), packet.flow(), "{text}");
            let passed = line.want.starts_with("pass");
            let fate = if passed { Fate::Pass } else { Fate::Drop };
            assert_eq!(verdict.verdict, Verdict::from(fate) as u8, "{text}");
            assert_eq!(
                u32::from(verdict.flags),
                u32::from(passed),
                "{text}: admitted"
            );
            assert_eq!(
                (verdict.generation, verdict.last_seen_ns),
                (7, 77),
                "{text}"
            );
            let label = palisade_abi::Reason::from_number(verdict.reason)
                .unwrap()
                .label();
            assert!(line.want.ends_with(label), "{text}");
        }
    }
}
