//! Compiles many policies and says what it cost.
//!
//! `cargo run --release -p palisade-config --example scale -- 10000 10` reads and
//! compiles 10 000 policies with 10 prefixes each and times a decision.

use std::{net::IpAddr, time::Duration};

use palisade_config::{
    policy::{
        Compiled, Dialect, Direction, Document, Inventory, Limits, PolicySet, PolicyVerdict,
        Traffic, compile, parse_documents,
    },
    types::Protocol,
};

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u32>().unwrap_or(0));
    let policies = arguments.next().unwrap_or(10_000);
    let prefixes = arguments.next().unwrap_or(10);

    let (documents, read) = timed(|| documents(policies, prefixes));
    let inventory: Inventory = documents.iter().collect();
    let policies: PolicySet = documents
        .into_iter()
        .filter_map(|document| match document {
            Document::NetworkPolicy(policy) => Some(policy),
            _ => None,
        })
        .collect();
    let (compiled, took) = timed(|| compile(&inventory, &policies, Dialect::Kubernetes));
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(error) => return println!("refused: {error}"),
    };
    let (allowed, judged) = timed(|| decisions(&compiled));
    println!("policies    {}", policies.len());
    println!("read        {:.3} s", read.as_secs_f64());
    println!("compiled    {:.3} s", took.as_secs_f64());
    println!("size        {:?}", compiled.size());
    println!(
        "decision    {:.1} ns ({allowed} allowed)",
        judged.as_secs_f64() * 1e9 / DECISIONS
    );
    println!("memory peak {}", peak());
}

const DECISIONS: f64 = 1e6;

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// Ten policies a pod: an address of the pod is `10.x.y.1`, its peers are its
/// own prefixes, every second /25 from 64.0.0.0 on, so that none can be merged.
fn documents(policies: u32, prefixes: u32) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut next = 0_u32;
    for number in 0..policies {
        let pod = number / 10;
        let blocks: Vec<_> = (0..prefixes)
            .map(|_| {
                next = next.wrapping_add(1);
                let at = std::net::Ipv4Addr::from_bits((64 << 24) + (next << 8));
                format!("{{ipBlock: {{cidr: {at}/25}}}}")
            })
            .collect();
        let port = 1_000 + number % 500;
        let text = format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p{number}, namespace: n{}}}, spec: {{podSelector: {{matchLabels: {{pod: p{pod}}}}}, ingress: [{{from: [{}], ports: [{{port: {port}}}]}}]}}}}\n---\n{{apiVersion: v1, kind: Pod, metadata: {{name: p{pod}, namespace: n{}, labels: {{pod: p{pod}}}}}, status: {{podIP: 10.{}.{}.1}}}}",
            pod % 10,
            blocks.join(", "),
            pod % 10,
            pod / 256,
            pod % 256,
        );
        documents.extend(parse_documents(&text, &Limits::default()).unwrap_or_default());
    }
    documents
}

fn decisions(compiled: &Compiled) -> u64 {
    let endpoints: Vec<IpAddr> = compiled.endpoints().map(|(address, _)| address).collect();
    let mut state = 1_u32;
    let mut allowed = 0;
    for endpoint in endpoints.iter().cycle().take(1_000_000) {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let peer = IpAddr::from(((64 << 24) + (state >> 8)).to_be_bytes());
        let port = u16::try_from(1_000 + state % 500).unwrap_or(0);
        let traffic = Traffic::Port(Protocol::Tcp, port);
        let verdict = compiled.decide(Direction::Ingress, *endpoint, peer, traffic);
        allowed += u64::from(verdict == PolicyVerdict::Allowed);
    }
    allowed
}

fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".to_owned(), |line| line.trim().to_owned())
}
