//! The steps. Each does one thing, measures what came of it, and fails when it is not so.

use crate::narrator::Narrator;
use crate::scene::{BAD_V4, BAD_V6, Scene, WEB};
use anyhow::{Context, Result, ensure};
use palisade_lab::load::Flood;
use palisade_lab::{Capture, Host, echoes, eventually, now, packet, pause, run};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Within this, what should come comes.
const SOON: Duration = Duration::from_secs(5);
/// Within this, what should not come would have come.
const MOMENT: Duration = Duration::from_millis(800);
const FLOOD_LASTS: Duration = Duration::from_secs(2);
const TRANSFER_BYTES: usize = 32 << 20;
/// Bytes of attackers' packets wherever they are captured: the networks' common parts.
const MARK_V4: [u8; 3] = [203, 0, 113];
const MARK_V6: [u8; 6] = [0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad];

pub(crate) fn tell(scene: &mut Scene, narrator: &mut Narrator) -> Result<()> {
    ban_cuts_established_connection(scene, narrator)?;
    flood_is_dropped(scene, narrator)?;
    policy_closes_port(scene, narrator)?;
    workers_judge_transfers(scene, narrator)?;
    bans_outlive_the_daemon(scene, narrator)?;
    if std::env::var_os("LAB").is_none_or(|value| value != "keep") {
        unload_opens(scene, narrator)?;
    }
    println!("\nAll of it held.");
    Ok(())
}

fn ban_cuts_established_connection(scene: &mut Scene, narrator: &mut Narrator) -> Result<()> {
    narrator.step("A ban over REST cuts an established connection, and lifting it restores it");
    let mut stream = scene.attacker.connect((scene.lab.edge.v4, WEB), SOON)?;
    echoes(&mut stream).context("the attacker, not yet banned")?;
    narrator.measured("the attacker is connected and gets answers");

    let address = scene.attacker.v4.to_string();
    let start = now();
    scene.ban(narrator, &address)?;
    let answered = start.elapsed();
    stream.set_read_timeout(Some(MOMENT))?;
    stream.write_all(b"anybody there?\n")?;
    let mut back = [0; 15];
    ensure!(
        stream.read_exact(&mut back).is_err(),
        "the banned connection still gets answers"
    );
    narrator.measured(format_args!(
        "banned {answered:.0?} after the call began (curl's start included): \
         the connection is dead, nothing came in {MOMENT:?}"
    ));
    ensure!(
        !scene
            .attacker
            .pings(scene.lab.edge.v4.into(), 1, Duration::from_secs(1))?,
        "the banned attacker still gets pings answered"
    );
    narrator.measured("its pings are not answered either");

    scene.unban(narrator, &address)?;
    stream.set_read_timeout(Some(SOON))?;
    stream
        .read_exact(&mut back)
        .context("the connection after the ban was lifted")?;
    narrator.measured("the same connection goes on where it was");
    scene.honest_are_undisturbed(narrator)
}

fn flood_is_dropped(scene: &mut Scene, narrator: &mut Narrator) -> Result<()> {
    narrator.step("A flood from two banned networks is dropped in XDP");
    scene.ban(narrator, BAD_V4)?;
    scene.ban(narrator, BAD_V6)?;
    let in_log = scene.attackers_in_server_log();
    let mut capture = scene.lab.edge.capture("up0")?;
    let dropped = scene.packets("drop", "banned")?;
    let flood = Flood::start(&scene.attacker, scene.attack()?)?;
    for _ in 0..2 {
        pause(FLOOD_LASTS / 2);
        let rising = scene.packets("drop", "banned")? - dropped;
        narrator.does(format_args!(
            "sent {}, dropped as banned {rising}",
            flood.sent()
        ));
        ensure!(rising > 0, "the counter does not rise");
    }
    let sent = flood.finish()?;
    let mut counted = 0;
    let all = eventually(SOON, || {
        counted = scene.packets("drop", "banned").unwrap_or_default() - dropped;
        counted >= sent
    });
    ensure!(
        all,
        "{sent} packets were sent, {counted} counted as dropped"
    );
    narrator.measured(format_args!(
        "{sent} packets sent in {FLOOD_LASTS:?}, {counted} dropped with reason \"banned\""
    ));
    let passed = got_in(&mut capture)?;
    ensure!(passed == 0, "{passed} packets of the banned got in");
    narrator.measured("0 packets of theirs behind XDP, besides ARP and neighbour discovery");
    ensure!(
        scene.attackers_in_server_log() == in_log,
        "the server saw the attacker"
    );
    narrator.measured("the server's log is silent about them");
    scene.honest_are_undisturbed(narrator)
}

fn policy_closes_port(scene: &mut Scene, narrator: &mut Narrator) -> Result<()> {
    narrator.step("A NetworkPolicy in the directory closes the port to all but some");
    let to = (scene.lab.edge.v4, 8080);
    let _server = scene.lab.edge.serve("tcp/8080", "EXEC:cat")?;
    for host in [&scene.client, &scene.office] {
        ensure!(
            host.reaches(to, SOON)?,
            "{} does not reach port 8080 without a policy",
            host.name
        );
    }
    narrator.measured("port 8080 answers to client and office");

    let denied = scene.packets("drop", "policy_denied")?;
    scene
        .daemon
        .write_policy("web.yaml", &policy(&scene.office))?;
    narrator.does(format_args!(
        "policies.d/web.yaml: port {WEB} from everywhere, 8080 from {}/32 only",
        scene.office.v4
    ));
    let closed = eventually(SOON, || {
        !scene
            .client
            .reaches(to, Duration::from_millis(300))
            .unwrap_or(true)
    });
    ensure!(closed, "port 8080 stays open to {}", scene.client.name);
    narrator.measured("client: no answer on 8080");
    ensure!(
        scene.office.reaches(to, SOON)?,
        "office is shut out of 8080"
    );
    narrator.measured("office: still answered on 8080");
    let denied = scene.packets("drop", "policy_denied")? - denied;
    ensure!(denied > 0, "no packet was counted as denied");
    narrator.measured(format_args!(
        "{denied} packets dropped with reason \"policy_denied\""
    ));
    let to = SocketAddr::from(to).to_string();
    let explained =
        run(&mut scene
            .daemon
            .command(&["explain", &scene.client.v4.to_string(), &to]))?;
    narrator.does(format_args!("palisade explain {} {to}", scene.client.v4));
    explained
        .lines()
        .for_each(|line| narrator.does(format_args!("  {line}")));
    scene.honest_are_undisturbed(narrator)
}

fn policy(allowed: &Host) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {{name: web, namespace: default}}\n\
         spec:\n  podSelector: {{matchLabels: {{role: web}}}}\n  policyTypes: [Ingress]\n  ingress:\n  \
         - ports: [{{protocol: TCP, port: {WEB}}}, {{protocol: TCP, port: 9000}}]\n  \
         - from: [{{ipBlock: {{cidr: {}/32}}}}]\n    ports: [{{protocol: TCP, port: 8080}}]\n",
        allowed.v4
    )
}

fn workers_judge_transfers(scene: &mut Scene, narrator: &mut Narrator) -> Result<()> {
    narrator.step("What tables cannot decide goes to the AF_XDP workers and comes back intact");
    let inspected = scene.packets("inspect", "needs_policy")?;
    let given_back = scene.packets("pass", "policy_allowed")?;
    let source = scene.lab.folder.join("transfer");
    let mut bytes = vec![0; TRANSFER_BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    std::fs::write(&source, bytes)?;
    let sum = checksum(&source)?;
    narrator.does(format_args!(
        "{} MiB of noise, sha256 {}...",
        TRANSFER_BYTES >> 20,
        short(&sum)
    ));
    for (host, address) in [
        (&scene.client, SocketAddr::from((scene.lab.edge.v4, 9000))),
        (&scene.office, SocketAddr::from((scene.lab.edge.v6, 9000))),
    ] {
        let target = scene.lab.folder.join(format!("from-{}", host.name));
        let server = scene.lab.edge.receive("tcp/9000", &target)?;
        let start = now();
        let mut command = host.command("socat");
        command
            .arg("-u")
            .arg(format!("OPEN:{}", source.display()))
            .arg(format!("TCP:{address}"));
        run(&mut command)?;
        let arrived = eventually(SOON, || checksum(&target).is_ok_and(|got| got == sum));
        ensure!(
            arrived,
            "what came from {} differs from what was sent",
            host.name
        );
        narrator.measured(format_args!(
            "{} to {address}: {:.1?}, checksum right",
            host.name,
            start.elapsed()
        ));
        drop(server);
    }
    let inspected = scene.packets("inspect", "needs_policy")? - inspected;
    let given_back = scene.packets("pass", "policy_allowed")? - given_back;
    ensure!(
        inspected > 0 && given_back > 0,
        "no packet was judged by a worker"
    );
    narrator.measured(format_args!(
        "{inspected} packets went to the workers meanwhile, {given_back} were given back as \
         \"policy_allowed\"; the rest of each flow was decided in the kernel"
    ));
    scene.honest_are_undisturbed(narrator)
}

fn bans_outlive_the_daemon(scene: &mut Scene, narrator: &mut Narrator) -> Result<()> {
    narrator.step("Killed with -9 and started again under attack: nothing of the banned gets in");
    let mut capture = scene.lab.edge.capture("up0")?;
    let in_log = scene.attackers_in_server_log();
    let flood = Flood::start(&scene.attacker, scene.attack()?)?;
    pause(MOMENT);
    narrator.does("kill -9 of the daemon");
    scene.daemon.kill()?;
    pause(FLOOD_LASTS);
    narrator.measured(format_args!(
        "{} packets of the flood so far, no daemon",
        flood.sent()
    ));
    scene.honest_are_undisturbed(narrator)?;
    let start = now();
    scene.daemon.start_again()?;
    narrator.measured(format_args!(
        "started again, ready after {:.1?}",
        start.elapsed()
    ));
    pause(MOMENT);
    let sent = flood.finish()?;
    let bans = scene.daemon.api().get("/v1/bans")?.expect(200)?.json()?;
    let bans = bans
        .pointer("/bans")
        .and_then(|bans| bans.as_array())
        .map_or(0, Vec::len);
    ensure!(bans == 2, "{bans} bans are left instead of 2");
    let passed = got_in(&mut capture)?;
    ensure!(passed == 0, "{passed} packets of the banned got in");
    ensure!(
        scene.attackers_in_server_log() == in_log,
        "the server saw the attacker"
    );
    narrator.measured(format_args!(
        "{sent} packets sent, 0 got in, and both bans are still known"
    ));
    scene.honest_are_undisturbed(narrator)
}

fn unload_opens(scene: &mut Scene, narrator: &mut Narrator) -> Result<()> {
    narrator.step("Stopped, enforcement stays; unloaded, it is gone");
    let to = (scene.lab.edge.v4, WEB);
    scene.daemon.stop()?;
    ensure!(
        !scene.attacker.reaches(to, MOMENT)?,
        "stopping the daemon let the attacker in"
    );
    narrator.measured("daemon stopped: the attacker is still shut out");
    run(&mut scene.daemon.command(&["unload"]))?;
    ensure!(
        scene.attacker.reaches(to, SOON)?,
        "something is left that stops the attacker"
    );
    narrator.measured("palisade unload: the attacker gets in again, so it was palisade");
    scene.honest_are_undisturbed(narrator)
}

/// How many packets of the banned networks the stack got. What always passes is left out.
fn got_in(capture: &mut Capture) -> Result<usize> {
    capture.count_where(|frame| {
        let theirs = packet::holds(frame, &MARK_V4) || packet::holds(frame, &MARK_V6);
        theirs && !packet::is_discovery(frame)
    })
}

fn checksum(path: &Path) -> Result<String> {
    let line = run(Command::new("sha256sum").arg(path))?;
    Ok(line
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned())
}

fn short(sum: &str) -> &str {
    sum.get(..12).unwrap_or(sum)
}
