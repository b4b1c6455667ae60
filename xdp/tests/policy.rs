//! The kernel's reader of the policy image and the Rust one must answer alike, whatever the image.

use std::{fmt::Write as _, net::IpAddr};

use aya::{Ebpf, TestRun as _, TestRunOptions, include_bytes_aligned, programs::SchedClassifier};
use palisade_config::{
    policy::{
        Compiled, Dialect, Direction, Document, Inventory, Limits, PolicySet, PolicyVerdict,
        Traffic, compile, parse_documents,
    },
    types::Protocol,
};

use crate::support::TestKernel;

static PROBE: &[u8] = include_bytes_aligned!(env!("PALISADE_POLICY_PROBE"));

struct Probe {
    object: Ebpf,
    kernel: TestKernel,
}

impl Probe {
    fn new() -> Self {
        let kernel = TestKernel::new();
        let mut object = kernel.load_beside(PROBE);
        let program: &mut SchedClassifier = object
            .program_mut("policy_probe")
            .expect("there")
            .try_into()
            .expect("tc");
        program.load().expect("the verifier accepts the probe");
        Self { object, kernel }
    }

    fn publish(&self, compiled: &Compiled, generation: u32) {
        self.kernel
            .kernel
            .policy()
            .publish(compiled.image().lines(), generation)
            .expect("published");
    }

    fn decide(
        &self,
        direction: Direction,
        endpoint: IpAddr,
        peer: IpAddr,
        traffic: Traffic,
    ) -> PolicyVerdict {
        let (protocol, port) = match traffic {
            Traffic::Port(protocol, port) => (protocol.number(), port),
            Traffic::Other(protocol) => (protocol, 0),
        };
        let mut frame = vec![0; 14];
        for address in [endpoint, peer] {
            let mapped = match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            frame.extend(mapped.octets());
        }
        frame.extend(port.to_ne_bytes());
        frame.extend([protocol, u8::from(direction == Direction::Egress)]);
        let options = TestRunOptions {
            data_in: Some(&frame),
            repeat: 1,
            ..TestRunOptions::default()
        };
        let program: &SchedClassifier = self
            .object
            .program("policy_probe")
            .expect("there")
            .try_into()
            .expect("tc");
        let result = program.test_run(options).expect("the frame can be run");
        match result.return_value {
            0 => PolicyVerdict::NotIsolated,
            1 => PolicyVerdict::Allowed,
            2 => PolicyVerdict::Denied,
            other => panic!("the probe answered {other}"),
        }
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(limit)).expect("below the limit")
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(u32::try_from(choices.len()).expect("few")) as usize]
    }

    fn address(&mut self) -> IpAddr {
        address(self.below(40))
    }
}

/// Forty addresses; the first twenty belong to pods, two more to nodes.
fn address(number: u32) -> IpAddr {
    let number = u16::try_from(number).expect("small");
    if number.is_multiple_of(2) {
        let [high, low] = (number * 7).to_be_bytes();
        IpAddr::from([10, high, low, 255])
    } else {
        IpAddr::from([0xfd00, 0, 0, number, 0, 0, 0, number])
    }
}

const PORTS: [u16; 8] = [0, 1, 53, 80, 81, 443, 8_080, 65_535];

fn block(dice: &mut Dice) -> String {
    let number = dice.below(40);
    let whole = if number.is_multiple_of(2) {
        "0.0.0.0/0"
    } else {
        "::/0"
    };
    let host = address(number);
    let length = if host.is_ipv4() { 32 } else { 128 };
    match dice.below(3) {
        0 => format!("{{ipBlock: {{cidr: {host}/{length}}}}}"),
        1 => format!("{{ipBlock: {{cidr: {whole}, except: [{host}/{length}]}}}}"),
        _ => format!("{{ipBlock: {{cidr: {whole}}}}}"),
    }
}

fn peer(dice: &mut Dice) -> String {
    match dice.below(4) {
        0 => "{podSelector: {}}".to_owned(),
        1 => format!(
            "{{podSelector: {{matchLabels: {{app: a{}}}}}}}",
            dice.below(4)
        ),
        _ => block(dice),
    }
}

fn rule(dice: &mut Dice, peers_name: &str) -> String {
    let mut peers: Vec<String> = (0..dice.below(4)).map(|_| peer(dice)).collect();
    if dice.below(10) == 0 {
        // Enough of them for a tree of several levels.
        peers.extend((0..200).map(|_| {
            let [a, b] = [dice.below(256), dice.below(256)];
            format!("{{ipBlock: {{cidr: 10.{a}.{b}.0/24}}}}")
        }));
    }
    let mut ports: Vec<String> = (0..dice.below(3))
        .map(|_| {
            let protocol = dice.of(&["TCP", "UDP", "SCTP"]);
            match dice.below(3) {
                0 => format!("{{protocol: {protocol}}}"),
                1 => format!("{{protocol: {protocol}, port: {}}}", dice.of(&PORTS[1..])),
                _ => format!(
                    "{{protocol: {protocol}, port: {}, endPort: 8080}}",
                    dice.of(&[53, 80])
                ),
            }
        })
        .collect();
    if dice.below(10) == 0 {
        // Too many for ranges.
        ports.extend((0..30).map(|n| format!("{{port: {}}}", n * 40 + 1)));
    }
    let list = |items: Vec<String>| items.join(", ");
    let mut rule = String::from("{");
    if !peers.is_empty() {
        let _ = write!(rule, "{peers_name}: [{}], ", list(peers));
    }
    if !ports.is_empty() {
        let _ = write!(rule, "ports: [{}]", list(ports));
    }
    rule.push('}');
    rule
}

fn world(dice: &mut Dice) -> (Inventory, PolicySet) {
    let mut text = String::new();
    for number in 0..dice.below(20) {
        let (app, node) = (dice.below(4), dice.below(2));
        let _ = write!(
            text,
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: p{number}, labels: {{app: a{app}}}}}, \
             spec: {{nodeName: n{node}}}, status: {{podIP: \"{}\"}}}}\n",
            address(number)
        );
    }
    for node in 0..2 {
        let _ = write!(
            text,
            "---\n{{apiVersion: v1, kind: Node, metadata: {{name: n{node}}}, \
             status: {{addresses: [{{type: InternalIP, address: \"{}\"}}]}}}}\n",
            address(20 + node)
        );
    }
    for number in 0..1 + dice.below(5) {
        let types = dice.of(&["Ingress", "Egress", "Ingress, Egress"]);
        let selector = dice.of(&["{}", "{matchLabels: {app: a0}}", "{matchLabels: {app: a1}}"]);
        let ingress: Vec<_> = (0..dice.below(3)).map(|_| rule(dice, "from")).collect();
        let egress: Vec<_> = (0..dice.below(3)).map(|_| rule(dice, "to")).collect();
        let _ = write!(
            text,
            "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: q{number}}}, \
             spec: {{podSelector: {selector}, policyTypes: [{types}], ingress: [{}], egress: [{}]}}}}\n",
            ingress.join(", "),
            egress.join(", ")
        );
    }
    let documents = parse_documents(&text, &Limits::default())
        .unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    let inventory = documents.iter().collect();
    let policies = documents.into_iter().filter_map(|document| match document {
        Document::NetworkPolicy(policy) => Some(policy),
        _ => None,
    });
    (inventory, policies.collect())
}

#[test]
fn kernel_and_rust_answer_alike() {
    if !palisade_lab::require_root() {
        return;
    }
    let probe = Probe::new();
    let (a, b) = (address(0), address(1));
    let tcp = Traffic::Port(Protocol::Tcp, 80);
    assert_eq!(
        probe.decide(Direction::Egress, a, b, tcp),
        PolicyVerdict::NotIsolated,
        "nothing is published yet"
    );
    let mut dice = Dice(20_261_121);
    let mut reached = [0_u32; 3];
    for generation in 1..=400 {
        let (inventory, policies) = world(&mut dice);
        let dialect = dice.of(&Dialect::ALL);
        let compiled = compile(&inventory, &policies, dialect).expect("small");
        probe.publish(&compiled, generation);
        for _ in 0..200 {
            let (endpoint, peer) = (address(dice.below(20)), dice.address());
            let traffic = match dice.below(8) {
                0 => Traffic::Other(dice.of(&[1, 47, 58])),
                _ => Traffic::Port(
                    dice.of(&[Protocol::Tcp, Protocol::Udp, Protocol::Sctp]),
                    dice.of(&PORTS),
                ),
            };
            let direction = dice.of(&[Direction::Ingress, Direction::Egress]);
            let want = compiled.decide(direction, endpoint, peer, traffic);
            assert_eq!(
                probe.decide(direction, endpoint, peer, traffic),
                want,
                "image {generation}, {} of {endpoint} with {peer}, {traffic:?}",
                direction.name()
            );
            reached[want as usize] += 1;
        }
    }
    assert!(reached.iter().all(|times| *times > 3_000), "{reached:?}");
}

#[test]
fn the_stamp_tells_which_image_is_in_force() {
    if !palisade_lab::require_root() {
        return;
    }
    let test = TestKernel::new();
    let policy = test.kernel.policy();
    assert_eq!(policy.stamp().expect("readable"), None);
    let compiled = Compiled::default();
    for generation in [7, 8] {
        policy
            .publish(compiled.image().lines(), generation)
            .expect("published");
        let stamp = policy.stamp().expect("readable").expect("there");
        assert_eq!(stamp.generation, generation);
        assert_eq!(stamp.digest, compiled.image().digest());
        assert_eq!(stamp.lines as usize, compiled.image().lines().len());
    }
    let other = palisade_xdp::Kernel::open(&test.pin_directory).expect("the same maps");
    other
        .policy()
        .publish(compiled.image().lines(), 9)
        .expect("published");
    assert_eq!(policy.stamp().expect("readable"), None, "somebody else's");
}
