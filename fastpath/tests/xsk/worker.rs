use std::{
    io::{Read, Write},
    net::UdpSocket,
    time::Duration,
};

use palisade_abi::{Reason, Verdict};
use palisade_config::settings::ZeroCopy;
use palisade_fastpath::{SpawnError, xsk::BindError};
use palisade_lab::{eventually, require_root};
use palisade_xdp::{AttachedMode, Mode};

use crate::rig::Rig;

const SOON: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(600);

#[test]
fn native_workers_judge_and_give_back() {
    if require_root() {
        judge_and_give_back(Mode::Native, AttachedMode::Native);
    }
}

/// Here a packet that was given back meets the kernel program again, behind the shim.
#[test]
fn generic_workers_judge_and_give_back() {
    if require_root() {
        judge_and_give_back(Mode::Generic, AttachedMode::Generic);
    }
}

fn judge_and_give_back(mode: Mode, want: AttachedMode) {
    let mut rig = Rig::new(mode);
    assert_eq!(rig.attached.mode, want);
    assert_eq!(
        rig.attached.shim_token.is_some(),
        want == AttachedMode::Generic
    );
    assert!(
        rig.workers
            .iter()
            .all(|worker| worker.is_alive() && !worker.zero_copy())
    );
    let _servers = rig
        .lab
        .edge
        .serve_echo(&["tcp/443", "tcp/80", "udp/443"])
        .unwrap();

    for web in [rig.web(443), rig.web6(443)] {
        assert!(rig.client.reaches(web, SOON).unwrap(), "{web}");
        assert!(rig.client.reaches_udp(web, SOON).unwrap(), "udp {web}");
        assert!(!rig.attacker.reaches(web, SHORT).unwrap(), "attacker {web}");
    }
    for closed in [rig.web(80), rig.web6(80)] {
        assert!(!rig.client.reaches(closed, SHORT).unwrap(), "{closed}");
    }
    assert!(!rig.client.pings(rig.lab.edge.v4.into(), 1, SHORT).unwrap());
    assert!(
        rig.lab.edge.pings(rig.client.v4.into(), 1, SOON).unwrap(),
        "replies are learned"
    );

    // The first packet of a connection is inspected; the kernel judges the rest by what was written.
    let inspected = rig.sums().inspected;
    transfer(&rig, 1 << 20);
    assert!(
        rig.sums().inspected <= inspected + 5,
        "{:?} after {inspected}",
        rig.sums()
    );

    let sums = rig.stop_and_settle();
    assert_eq!(sums.lost, 0);
    assert!(sums.passed >= 4 && sums.dropped >= 4, "{sums:?}");
    assert_eq!(
        rig.worker_packets(Verdict::Pass, Reason::PolicyAllowed),
        sums.passed
    );
    assert_eq!(
        rig.worker_packets(Verdict::Drop, Reason::PolicyDenied),
        sums.dropped
    );
    assert!(rig.kernel_packets(Verdict::Pass, Reason::FlowEstablished) > 10);

    // Nobody is there: the kernel follows `when_workers_fail`, which drops here.
    assert!(!rig.client.reaches(rig.web(443), SHORT).unwrap());
    assert!(rig.kernel_packets(Verdict::Drop, Reason::NoWorker) > 0);

    // The queues can be bound again at once.
    rig.start_workers();
    assert!(rig.client.reaches(rig.web(443), SOON).unwrap());
    rig.stop_and_settle();
}

/// Sends bytes that come back, and compares them.
fn transfer(rig: &Rig, bytes: usize) {
    let mut stream = rig.client.connect(rig.web(443), SOON).unwrap();
    let sent: Vec<u8> = (0..bytes)
        .map(|index| u8::try_from(index % 251).unwrap())
        .collect();
    let mut writer = stream.try_clone().unwrap();
    let received = std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&sent).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received
    });
    assert_eq!(received.len(), sent.len());
    assert!(received == sent, "the bytes differ");
}

/// Fragments all go to the workers, and the later ones follow the first.
#[test]
fn fragmented_datagrams_arrive_or_do_not() {
    if !require_root() {
        return;
    }
    let mut rig = Rig::new(Mode::Native);
    let receive = |port| {
        rig.lab
            .edge
            .enter(|| {
                let socket = UdpSocket::bind(("0.0.0.0", port)).unwrap();
                socket
                    .set_read_timeout(Some(Duration::from_secs(1)))
                    .unwrap();
                socket
            })
            .unwrap()
    };
    let (open, closed) = (receive(443), receive(444));
    let sender = rig
        .client
        .enter(|| UdpSocket::bind("0.0.0.0:5000").unwrap())
        .unwrap();
    let datagram = vec![0x5a; 4_000];
    let mut buffer = vec![0; 5_000];

    sender.send_to(&datagram, rig.web(443)).unwrap();
    assert_eq!(open.recv(&mut buffer).unwrap(), 4_000);
    assert_eq!(buffer[..4_000], datagram);
    sender.send_to(&datagram, rig.web(444)).unwrap();
    assert!(closed.recv(&mut buffer).is_err(), "a denied port");

    // An answer in fragments to what the edge has asked.
    let (client, edge) = (sender.local_addr().unwrap().port(), closed);
    edge.send_to(b"question", (rig.client.v4, client)).unwrap();
    sender.set_read_timeout(Some(SOON)).unwrap();
    sender.recv(&mut buffer).unwrap();
    sender.send_to(&datagram, rig.web(444)).unwrap();
    assert_eq!(edge.recv(&mut buffer).unwrap(), 4_000);

    assert!(eventually(SOON, || rig.sums().inspected
        == rig.sums().passed + rig.sums().dropped));
    rig.stop_and_settle();
    assert_eq!(rig.worker_packets(Verdict::Pass, Reason::PolicyAllowed), 3);
    assert_eq!(rig.worker_packets(Verdict::Drop, Reason::PolicyDenied), 3);
    assert_eq!(rig.worker_packets(Verdict::Pass, Reason::Reply), 3);
}

#[test]
fn zero_copy_is_refused_aloud_where_there_is_none() {
    if !require_root() {
        return;
    }
    let mut rig = Rig::new(Mode::Native);
    assert!(
        rig.workers
            .iter()
            .all(|worker| worker.fell_back().is_some())
    );
    rig.stop_and_settle();
    let refused = rig.spawn(0, ZeroCopy::On).unwrap_err();
    assert!(
        matches!(
            &refused,
            SpawnError::Bind(BindError::ZeroCopy { queue: 0, .. })
        ),
        "{refused:?}"
    );
    let copying = rig.spawn(0, ZeroCopy::Off).unwrap();
    assert!(copying.is_alive() && copying.fell_back().is_none());
}

/// The kernel has more packets than a worker has frames: each one that is lost is counted.
#[test]
fn a_flood_adds_up() {
    if !require_root() {
        return;
    }
    let mut rig = Rig::new(Mode::Native);
    let injector = rig.attacker.injector().unwrap();
    let from = |port: u16| (rig.attacker.v4, port).into();
    for port in 1..=20_000 {
        let packet = palisade_lab::packet::udp(from(port), rig.web(9), b"flood");
        let frame =
            palisade_lab::packet::ethernet(rig.lab.edge.mac, rig.attacker.mac, &[], &packet);
        injector.send(&frame).unwrap();
    }
    assert!(
        eventually(SOON, || rig.sums().inspected > 15_000),
        "{:?}",
        rig.sums()
    );
    let sums = rig.stop_and_settle();
    assert_eq!(sums.passed, 0);
    assert!(sums.dropped > 1_000, "{sums:?}");
}

/// A worker whose device goes away ends, and says so.
#[test]
fn a_worker_ends_with_its_interface() {
    if !require_root() {
        return;
    }
    let rig = Rig::new(Mode::Native);
    rig.lab.edge.ip("link del up0\n").unwrap();
    assert!(
        eventually(SOON, || rig.workers.iter().all(|worker| !worker.is_alive())),
        "{:?}",
        rig.workers
    );
    assert!(rig.workers.iter().all(|worker| worker.failure().is_some()));
}
