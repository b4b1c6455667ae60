//! A list of bans in one transaction.

use palisade_config::types::Prefix;
use tracing::info;

use super::{Scan, Writer, single};
use crate::{
    bans::{ParsedImport, apply_in_order},
    core::{Family, ImportMode, ImportOutcome, ORIGINS_MAX, Refusal, What},
    desired::{Desired, family},
    enforce::Enforcer,
    store::Change,
};

/// Bans that are moved into memory, and entries that are written to the kernel, at once.
const CHUNK: usize = 1 << 15;

/// What an import changes, worked out before anything is touched.
struct Plan {
    unchanged: u64,
    /// Bans of the origin that the list does not name.
    removed: Vec<Prefix>,
}

impl Writer {
    pub(super) fn import(&mut self, mut import: ParsedImport) -> Result<ImportOutcome, Refusal> {
        let plan = {
            let desired = self.desired.read();
            plan(&desired, &mut import, &*self.surroundings.enforcer)?
        };
        let Plan { unchanged, removed } = plan;
        let puts = import
            .lines
            .iter()
            .map(|line| Change::Put(import.ban(line)));
        let origin = import.origin.clone();
        let deletes = removed
            .iter()
            .map(|prefix| Change::Delete(*prefix, origin.clone()));
        if !(import.lines.is_empty() && removed.is_empty()) {
            let stored = self.store.commit(puts.chain(deletes));
            self.answer_store(stored)?;
        }
        self.scan = match self.scan {
            Scan::None => Scan::None,
            Scan::Changed(_) | Scan::Void => Scan::Void,
        };
        let enforced = self.import_into_force(&import, &removed);
        let outcome = ImportOutcome {
            added: count(import.lines.len()),
            unchanged,
            removed: count(removed.len()),
            exempted: import.exempted,
        };
        let ImportOutcome { added, removed, .. } = outcome;
        info!(%origin, added, unchanged, removed, "bans imported");
        self.surroundings.notify(What::Imported {
            origin,
            added,
            removed,
        });
        enforced.map(|()| outcome)
    }

    /// New bans first, so that nothing that stays banned is let go in between.
    fn import_into_force(
        &mut self,
        import: &ParsedImport,
        removed: &[Prefix],
    ) -> Result<(), Refusal> {
        let mut result = Ok(());
        for lines in import.lines.chunks(CHUNK) {
            let mut desired = self.desired.write();
            for line in lines {
                desired.insert(&import.ban(line));
            }
            drop(desired);
            let prefixes: Vec<Prefix> = lines.iter().map(|line| line.prefix).collect();
            result = result.and(self.enforce_chunk(&prefixes));
        }
        for prefixes in removed.chunks(CHUNK) {
            let mut desired = self.desired.write();
            for prefix in prefixes {
                desired.remove(prefix, &import.origin);
            }
            drop(desired);
            result = result.and(self.enforce_chunk(prefixes));
        }
        result
    }

    fn enforce_chunk(&mut self, prefixes: &[Prefix]) -> Result<(), Refusal> {
        let desired = self.desired.read();
        let entries = super::entries(&desired, prefixes);
        let applied = apply_in_order(&*self.surroundings.enforcer, &desired, &entries);
        drop(desired);
        match applied {
            Ok(()) => Ok(()),
            Err(_) => self.enforce(prefixes),
        }
    }
}

fn plan(
    desired: &Desired,
    import: &mut ParsedImport,
    enforcer: &dyn Enforcer,
) -> Result<Plan, Refusal> {
    let held = desired.origins().count();
    let new = import
        .origins()
        .iter()
        .filter(|origin| !desired.knows(origin))
        .count();
    if held + new > ORIGINS_MAX {
        return Err(single::too_many_origins(&import.origin));
    }
    let removed = match import.mode {
        ImportMode::Add => Vec::new(),
        ImportMode::Replace => {
            let named = |prefix: &Prefix| {
                import
                    .lines
                    .binary_search_by_key(prefix, |line| line.prefix)
                    .is_ok()
            };
            desired
                .prefixes_of(&import.origin)
                .filter(|prefix| !named(prefix))
                .collect()
        }
    };
    let before = import.lines.len();
    let mut lines = std::mem::take(&mut import.lines);
    lines.retain(|line| desired.expiry(&line.prefix, import.origin_of(line)) != Some(line.expires));
    import.lines = lines;
    let unchanged = count(before - import.lines.len());
    for wanted in [Family::V4, Family::V6] {
        let lines = import
            .lines
            .iter()
            .filter(|line| family(&line.prefix) == wanted);
        let mut new = lines
            .filter(|line| !desired.has_prefix(&line.prefix))
            .peekable();
        if let Some(first) = new.peek().map(|line| line.prefix) {
            let needed = count(new.count());
            single::room(desired, &first, needed, enforcer)?;
        }
    }
    Ok(Plan { unchanged, removed })
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
