//! Our programs onto an interface, with the pair that gives packets back.

use std::sync::Arc;

use palisade_abi::PALISADE_MAX_QUEUES;
use palisade_config::settings;
use palisade_fastpath::{WorkerSettings, fragments::FragmentTable};
use palisade_xdp::{Action, InterfaceSpec, Mode, features::Probe};
use tracing::{info, warn};

use super::{Interfaces, Live, Seat, Shop, accounts, mode_label};
use crate::{core::What, daemon::links::Link};

/// Bytes of a worker's frame, by what the interface's packets need.
const FRAME_BYTES: u32 = 2048;
const FRAME_BYTES_LARGE: u32 = 4096;

/// What stands around a packet besides what the MTU counts: Ethernet and two VLAN tags.
const LINK_HEADER_BYTES: u32 = 14 + 8;

impl Interfaces {
    /// Attaches one interface. Its workers start afterwards.
    pub(super) async fn attach(
        &self,
        settings: &settings::Interface,
        link: Link,
        judge: bool,
    ) -> anyhow::Result<Live> {
        let queues = link.queues.min(PALISADE_MAX_QUEUES);
        if queues < link.queues {
            let all = link.queues;
            warn!(
                interface = settings.name,
                queues,
                all,
                "packets of queues beyond the limit \
                that need a worker follow when_workers_fail"
            );
        }
        warn_of_traps(settings).await;
        let pair = self.links.make_pair(link.index, queues).await?;
        let frame_bytes = frame_bytes(link.mtu);
        let spec = InterfaceSpec {
            name: settings.name.clone(),
            mode: mode(settings.mode),
            when_workers_fail: action(settings.when_workers_fail),
            encapsulated: action(settings.encapsulated),
            judge,
            give_back_far_ifindex: Some(pair.far_index),
            queues,
            frame_bytes_max: WorkerSettings::packet_bytes_max(frame_bytes),
        };
        let kernel = self.kernel.clone();
        let attached = tokio::task::spawn_blocking(move || kernel.attach(&spec)).await??;
        let mode = mode_label(attached.mode);
        info!(
            interface = settings.name,
            mode,
            queues,
            slot = attached.slot,
            "interface attached"
        );
        if let Some(why) = &attached.fell_back {
            warn!(
                interface = settings.name,
                mode, why, "fell back to another mode"
            );
        }
        accounts::settle(&self.kernel, attached.slot)?;
        self.surroundings.notify(What::InterfaceAttached {
            interface: settings.name.clone(),
            mode: mode.to_owned(),
        });
        let shop = Shop {
            kernel: self.kernel.clone(),
            tables: Arc::clone(&self.tables),
            fragments: Arc::new(FragmentTable::new()),
            events: self.events.clone(),
        };
        let seats = (0..queues).map(|_| Seat::default()).collect();
        Ok(Live {
            link,
            attached,
            pair,
            frame_bytes,
            shop,
            seats,
        })
    }
}

/// The frames that packets of this MTU need, as far as there are such.
pub(super) fn frame_bytes(mtu: u32) -> u32 {
    let packet_bytes = mtu.saturating_add(LINK_HEADER_BYTES);
    if packet_bytes <= WorkerSettings::packet_bytes_max(FRAME_BYTES) {
        FRAME_BYTES
    } else {
        FRAME_BYTES_LARGE
    }
}

/// Says aloud what of the interface lets packets past us or costs them, as `doctor` would.
async fn warn_of_traps(settings: &settings::Interface) {
    let name = settings.name.clone();
    let probing = tokio::task::spawn_blocking(move || palisade_xdp::features::interface(&name));
    // Without an answer there is nothing to warn of; attaching finds out the rest.
    let probes = probing.await.unwrap_or_default();
    for probe in probes.into_iter().filter(|probe| !probe.present) {
        // Workers say themselves that they copy, and what is wanted to pass is no trap.
        let told = probe.name.ends_with(": zero-copy");
        let wanted = settings.encapsulated == settings::Action::Pass;
        if told || (wanted && probe.name.ends_with(": encapsulated links")) {
            continue;
        }
        let Probe {
            name,
            found,
            why_needed,
            what_to_do,
            ..
        } = probe;
        warn!(
            what = name,
            found, why_needed, what_to_do, "not as it should be"
        );
    }
}

fn mode(mode: settings::Mode) -> Mode {
    match mode {
        settings::Mode::Native => Mode::Native,
        settings::Mode::Generic => Mode::Generic,
        settings::Mode::Auto => Mode::Auto,
    }
}

fn action(action: settings::Action) -> Action {
    match action {
        settings::Action::Pass => Action::Pass,
        settings::Action::Drop => Action::Drop,
    }
}
