//! Single bans and their ends, several in one transaction when they wait together.

use std::{collections::BTreeSet, sync::mpsc};

use palisade_config::types::Prefix;
use tokio::sync::oneshot;
use tracing::info;

use super::{Command, Writer};
use crate::{
    clock::{Stopwatch, Timestamp},
    core::{Ban, BanOutcome, BanRequest, Origin, REASON_BYTES_MAX, Refusal, What},
    desired::{self, Desired, OwnAddresses, family},
    enforce::Enforcer,
    store::Change,
};

/// Most changes in one transaction. It keeps the numbers of origins, which are checked one
/// change at a time, far below their limit of representation.
const GROUP_MAX: usize = 64;

/// A change that passed the rules, with where its answer goes.
enum Planned {
    Ban {
        outcome: BanOutcome,
        unchanged: bool,
        started: Stopwatch,
        reply: oneshot::Sender<Result<BanOutcome, Refusal>>,
    },
    Unban {
        bans: Vec<Ban>,
        started: Stopwatch,
        reply: oneshot::Sender<Result<Vec<Ban>, Refusal>>,
    },
}

impl Writer {
    /// Carries out `first` and what waits behind it, as long as no prefix comes twice. Returns
    /// the command that ended the group.
    pub(super) fn singles(
        &mut self,
        first: Command,
        queue: &mpsc::Receiver<Command>,
    ) -> Option<Command> {
        let mut group = Vec::new();
        let mut prefixes = BTreeSet::new();
        let mut next = Some(first);
        while let Some(command) = next.take() {
            let (Command::Ban {
                request: BanRequest { prefix, .. },
                ..
            }
            | Command::Unban { prefix, .. }) = &command
            else {
                next = Some(command);
                break;
            };
            if group.len() == GROUP_MAX || !prefixes.insert(*prefix) {
                next = Some(command);
                break;
            }
            group.extend(self.plan(command));
            next = queue.try_recv().ok();
        }
        self.carry_out(group);
        next
    }

    /// Checks one change; a refused one is answered here.
    fn plan(&self, command: Command) -> Option<Planned> {
        let desired = self.desired.read();
        match command {
            Command::Ban {
                request,
                started,
                reply,
            } => {
                let node = self.surroundings.node_addresses.load();
                let enforcer = &*self.surroundings.enforcer;
                match plan_ban(&desired, request, &node, enforcer, self.now()) {
                    Ok((outcome, unchanged)) => Some(Planned::Ban {
                        outcome,
                        unchanged,
                        started,
                        reply,
                    }),
                    Err(refusal) => {
                        let _ = reply.send(Err(refusal));
                        None
                    }
                }
            }
            Command::Unban {
                prefix,
                origin,
                started,
                reply,
            } => match plan_unban(&desired, &prefix, origin.as_ref()) {
                Ok(bans) => Some(Planned::Unban {
                    bans,
                    started,
                    reply,
                }),
                Err(refusal) => {
                    let _ = reply.send(Err(refusal));
                    None
                }
            },
            _ => None,
        }
    }

    fn carry_out(&mut self, group: Vec<Planned>) {
        if group.is_empty() {
            return;
        }
        let changes: Vec<Change> = group.iter().flat_map(changes).collect();
        let stored = if changes.is_empty() {
            Ok(())
        } else {
            self.store.commit(changes)
        };
        if let Err(refusal) = self.answer_store(stored) {
            for planned in group {
                planned.answer(self, Err(refusal.clone()));
            }
            return;
        }
        let mut touched = Vec::with_capacity(group.len());
        {
            let mut desired = self.desired.write();
            for planned in &group {
                match planned {
                    Planned::Ban { outcome, .. } => {
                        desired.insert(&outcome.ban);
                        touched.push(outcome.ban.prefix);
                    }
                    Planned::Unban { bans, .. } => {
                        for ban in bans {
                            desired.remove(&ban.prefix, &ban.origin);
                            touched.push(ban.prefix);
                        }
                    }
                }
            }
        }
        let enforced = self.enforce(&touched);
        for planned in group {
            planned.report(self);
            planned.answer(self, enforced.clone());
        }
    }
}

impl Planned {
    fn report(&self, writer: &Writer) {
        match self {
            Self::Ban {
                unchanged: true, ..
            } => {}
            Self::Ban {
                outcome: BanOutcome { ban, created, .. },
                ..
            } => {
                let Ban { prefix, origin, .. } = ban;
                info!(%prefix, %origin, created, "ban added");
                let ban = ban.clone();
                writer.surroundings.notify(if *created {
                    What::BanAdded { ban }
                } else {
                    What::BanChanged { ban }
                });
            }
            Self::Unban { bans, .. } => {
                for ban in bans {
                    info!(prefix = %ban.prefix, origin = %ban.origin, "ban lifted");
                    writer
                        .surroundings
                        .notify(What::BanLifted { ban: ban.clone() });
                }
            }
        }
    }

    /// A failed send says that the caller has gone; the change stays.
    fn answer(self, writer: &Writer, result: Result<(), Refusal>) {
        let durations = &writer.surroundings.apply_durations;
        match self {
            Self::Ban {
                outcome,
                started,
                reply,
                ..
            } => {
                durations.observe(started.elapsed());
                let _ = reply.send(result.map(|()| outcome));
            }
            Self::Unban {
                bans,
                started,
                reply,
            } => {
                durations.observe(started.elapsed());
                let _ = reply.send(result.map(|()| bans));
            }
        }
    }
}

fn changes(planned: &Planned) -> Vec<Change> {
    match planned {
        Planned::Ban {
            unchanged: true, ..
        } => Vec::new(),
        Planned::Ban { outcome, .. } => vec![Change::Put(outcome.ban.clone())],
        Planned::Unban { bans, .. } => bans
            .iter()
            .map(|ban| Change::Delete(ban.prefix, ban.origin.clone()))
            .collect(),
    }
}

fn plan_ban(
    desired: &Desired,
    request: BanRequest,
    node: &[std::net::IpAddr],
    enforcer: &dyn Enforcer,
    now: Timestamp,
) -> Result<(BanOutcome, bool), Refusal> {
    let BanRequest {
        prefix,
        ttl,
        reason,
        origin,
        force,
        caller,
    } = request;
    let invalid = |pointer: &str, message: String| Refusal::Invalid {
        pointer: pointer.to_owned(),
        message,
    };
    if ttl.is_some_and(|ttl| ttl.is_zero()) {
        return Err(invalid(
            "/ttl",
            "a ban that lasts no time is no ban".to_owned(),
        ));
    }
    if reason
        .as_ref()
        .is_some_and(|reason| reason.len() > REASON_BYTES_MAX)
    {
        return Err(invalid(
            "/reason",
            format!("longer than {REASON_BYTES_MAX} bytes"),
        ));
    }
    desired::refuse(
        &prefix,
        desired.guards(),
        OwnAddresses { node, caller },
        force,
    )?;
    if !desired.has_room_for(&origin) {
        return Err(too_many_origins(&origin));
    }
    room(desired, &prefix, 1, enforcer)?;
    let before = desired.get(&prefix, &origin);
    let ban = Ban {
        prefix,
        origin,
        reason: reason.filter(|reason| !reason.is_empty()).map(Into::into),
        created: before.as_ref().map_or(now, |before| before.created),
        expires: ttl.map(|ttl| now.plus(ttl)),
    };
    let unchanged = before.as_ref() == Some(&ban);
    let exempted = desired::exempted(&prefix, desired.guards());
    Ok((
        BanOutcome {
            ban,
            created: before.is_none(),
            exempted,
        },
        unchanged,
    ))
}

fn plan_unban(
    desired: &Desired,
    prefix: &Prefix,
    origin: Option<&Origin>,
) -> Result<Vec<Ban>, Refusal> {
    let bans: Vec<Ban> = match origin {
        Some(origin) => desired.get(prefix, origin).into_iter().collect(),
        None => desired.of_prefix(prefix),
    };
    if bans.is_empty() {
        let what = match origin {
            Some(origin) => format!("ban of origin {origin} on {prefix}"),
            None => format!("ban on {prefix}"),
        };
        return Err(Refusal::NotFound { what });
    }
    Ok(bans)
}

pub(super) fn too_many_origins(origin: &Origin) -> Refusal {
    Refusal::Invalid {
        pointer: "/origin".to_owned(),
        message: format!(
            "origin {origin} would be one more than the {} that may hold bans at once",
            crate::core::ORIGINS_MAX
        ),
    }
}

/// Refuses what the kernel's table of that family has no room for.
pub(super) fn room(
    desired: &Desired,
    prefix: &Prefix,
    needed: u64,
    enforcer: &dyn Enforcer,
) -> Result<(), Refusal> {
    let family = family(prefix);
    let guards = desired
        .guards()
        .iter()
        .filter(|guard| desired::family(guard) == family)
        .count();
    let used = desired.prefixes(family) + u64::try_from(guards).unwrap_or(u64::MAX);
    let capacity = enforcer.ban_capacity(family);
    if used.saturating_add(needed) > capacity && desired.of_prefix(prefix).is_empty() {
        let table = family.label();
        return Err(Refusal::Full {
            table,
            used,
            needed,
            capacity,
        });
    }
    Ok(())
}
