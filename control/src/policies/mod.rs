//! Policies from documents to what packets are judged by.
//!
//! ```text
//! directory, API -> book (which documents) -> compile -> store -> publish -> answer
//! ```
//!
//! Publishing goes from the workers to the kernel: their snapshot first, then the kernel's policy
//! image and endpoint table, then one store of the generation. A remembered verdict counts only under the generation
//! in force, so each packet on the way is judged by the old policies or by the new ones, never by
//! half of each.

mod book;
mod changes;
mod directory;
mod document;
mod objects;
mod publish;
#[cfg(test)]
mod tests;
mod view;
mod write;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use palisade_config::{
    policy::Document,
    settings::{Endpoint, PolicySettings},
    types::PortProtocol,
};
use tokio::sync::Mutex;
use tracing::{info, warn};

use self::{
    book::{Assembled, Book, Clash, File, Found, cut_out},
    changes::{changes, key},
    directory::read_files,
    document::{is_same, only_policies, stored_policy},
    view::{View, view},
};
pub use self::{
    publish::{Adoption, NoWorkers, Published, Publisher, Staged},
    write::{Edit, WriteError},
};
use crate::{
    bans::{Bans, Surroundings},
    core::{Applied, PolicyFileStatus, PolicyRefusal, PolicySource, Refusal, StoredPolicy, What},
    objects::{Objects, Plan},
    store::{PolicyChange, StoredPolicies},
};

/// Everything that decides about policies.
#[derive(Debug)]
pub struct Policies {
    directory: PathBuf,
    bans: Bans,
    surroundings: Surroundings,
    publisher: Publisher,
    /// Held over a whole change: changes of policies have an order.
    book: Mutex<Book>,
    /// What the book says, for readers that do not wait.
    view: ArcSwap<View>,
    /// What the Kubernetes API shows.
    objects: Objects,
}

impl Policies {
    /// Reads what the store holds; nothing is published before [`Self::publish_first`].
    pub fn new(
        settings: &PolicySettings,
        endpoints: &[Endpoint],
        stored: StoredPolicies,
        bans: Bans,
        surroundings: Surroundings,
        publisher: Publisher,
    ) -> Self {
        let mut book = Book {
            endpoints: endpoints.into(),
            dialect: settings.dialect,
            files: BTreeMap::new(),
            api: BTreeMap::new(),
        };
        let objects = Objects::new(stored.revision, stored.objects);
        for (key, record) in stored.policies {
            match stored_policy(&key, &record) {
                Some((name, applied)) => {
                    book.api.insert(name, applied);
                }
                None => warn!(policy = key, "a stored policy cannot be read any more"),
            }
        }
        for (name, text) in stored.files {
            if let Ok(good) = book::read(text.as_bytes()) {
                let good = Some(Arc::new(good));
                book.files.insert(
                    name,
                    File {
                        good,
                        ..File::default()
                    },
                );
            }
        }
        Self {
            directory: settings.directory.clone(),
            bans,
            surroundings,
            publisher,
            book: Mutex::new(book),
            view: ArcSwap::default(),
            objects,
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    pub fn published(&self) -> Arc<Published> {
        self.publisher.published()
    }

    pub fn always_open(&self) -> &[PortProtocol] {
        self.publisher.always_open()
    }

    pub fn list(&self) -> Vec<StoredPolicy> {
        self.view.load().policies.clone()
    }

    pub fn files(&self) -> Vec<PolicyFileStatus> {
        self.view.load().files.clone()
    }

    /// Reads the directory, and gives what it and the store hold to workers that will start.
    /// [`Self::publish_first`] puts it in force.
    pub async fn prepare(&self) -> Result<Staged, Refusal> {
        let mut book = self.book.lock().await;
        let next = book.with_files(&self.find_files(&book).await?);
        let (next, assembled) = self.compile(&book, next)?;
        let plan = self.first_plan(&next, &assembled.inventory);
        let mut changes = changes(&book, &next);
        changes.extend(plan.stored());
        let generation = self.store(changes).await?;
        self.objects.commit(plan);
        *book = next;
        self.show(&book);
        Ok(self.publisher.stage(assembled, generation))
    }

    /// Puts in force what [`Self::prepare`] staged.
    pub async fn publish_first(&self, staged: Staged) -> Result<(), Refusal> {
        let _book = self.book.lock().await;
        self.publish(staged).await
    }

    /// Looks at the directory again; publishes only what changed.
    pub async fn reload(&self) -> Result<(), Refusal> {
        let mut book = self.book.lock().await;
        let mut next = book.with_files(&self.find_files(&book).await?);
        if changes(&book, &next).is_empty() {
            self.report(&book, &next);
        } else {
            let assembled;
            (next, assembled) = self.compile(&book, next)?;
            if !changes(&book, &next).is_empty() {
                let before = self.publisher.published();
                let inventories = (&before.inventory, &assembled.inventory);
                let plan = self.plan(&book, &next, Some(inventories));
                self.put_in_force(&book, &next, assembled, plan).await?;
            }
        }
        *book = next;
        self.show(&book);
        Ok(())
    }

    /// Compiles `next`. Files that do not compile with the rest keep their old version, and their
    /// fault is in the book that is returned.
    fn compile(&self, book: &Book, next: Book) -> Result<(Book, Assembled), Refusal> {
        let compiled = match next.assemble() {
            Ok(assembled) => Ok((next, assembled)),
            Err(clash) => {
                let kept = next.keeping(book, &clash.fault);
                let assembled = kept.assemble();
                assembled.map(|assembled| (kept, assembled))
            }
        };
        let (next, assembled) = compiled.map_err(|clash| unavailable(clash.fault.message))?;
        self.report(book, &next);
        Ok((next, assembled))
    }

    async fn find_files(&self, book: &Book) -> Result<Found, Refusal> {
        let directory = self.directory.clone();
        let found = tokio::task::spawn_blocking(move || read_files(&directory))
            .await
            .map_err(|error| unavailable(format!("reading the policy directory: {error}")))?;
        Ok(found.unwrap_or_else(|error| {
            // A directory that cannot be read is no reason to lift what it held.
            warn!(directory = %self.directory.display(), error, "policy directory unreadable");
            book.files
                .keys()
                .map(|name| (name.clone(), Err(error.clone())))
                .collect()
        }))
    }

    /// Takes documents from the API, all or none.
    pub async fn apply(&self, text: String, dry_run: bool) -> Result<Applied, PolicyRefusal> {
        let good = book::read(text.as_bytes()).map_err(PolicyRefusal::Faults)?;
        let policies = only_policies(&good.documents).map_err(PolicyRefusal::Faults)?;
        let mut book = self.book.lock().await;
        let mut next = book.clone();
        let mut outcome = Applied::default();
        for policy in policies {
            let name = (policy.namespace.clone(), policy.name.clone());
            let old = book.api.get(&name);
            let same = old.is_some_and(|old| is_same(&old.good.documents, policy));
            let list = match old {
                None => &mut outcome.created,
                Some(_) if same => &mut outcome.unchanged,
                Some(_) => &mut outcome.changed,
            };
            if !list.contains(&key(&name)) {
                list.push(key(&name));
            }
            if !same {
                let good = book::Good {
                    text: cut_out(&text, policy.place.line).into(),
                    documents: vec![Document::NetworkPolicy(policy.clone())],
                };
                let applied = self.surroundings.clock.now();
                next.api.insert(
                    name,
                    book::Applied {
                        good: Arc::new(good),
                        applied,
                    },
                );
            }
        }
        let assembled = next.assemble().map_err(|clash| conflict(&clash))?;
        if !dry_run && !changes(&book, &next).is_empty() {
            let plan = self.plan(&book, &next, None);
            self.put_in_force(&book, &next, assembled, plan).await?;
            *book = next;
            self.show(&book);
        }
        outcome.generation = self.publisher.published().generation;
        Ok(outcome)
    }

    /// Ends a policy that came through the API.
    pub async fn delete(&self, namespace: &str, name: &str) -> Result<(), PolicyRefusal> {
        let mut book = self.book.lock().await;
        let name = (namespace.to_owned(), name.to_owned());
        let mut next = book.clone();
        if next.api.remove(&name).is_none() {
            let what = format!("policy {}", key(&name));
            let published = self.publisher.published();
            return Err(match published.sources.get(&name) {
                Some(PolicySource::File(file)) => Refusal::Conflict {
                    message: format!(
                        "{what} stands in file {file} of the policy directory; remove it there"
                    ),
                },
                _ => Refusal::NotFound { what },
            }
            .into());
        }
        let assembled = next.assemble().map_err(|clash| conflict(&clash))?;
        let plan = self.plan(&book, &next, None);
        self.put_in_force(&book, &next, assembled, plan).await?;
        *book = next;
        self.show(&book);
        Ok(())
    }

    /// Puts the kernel's tables right where they differ from what was published; returns how
    /// many entries differed.
    pub async fn reconcile(&self) -> Result<u64, Refusal> {
        let _book = self.book.lock().await;
        self.publisher.reconcile(&*self.surroundings.enforcer)
    }

    /// Durable first, then in force, then in sight. What the kernel refuses is taken back from the
    /// store too.
    async fn put_in_force(
        &self,
        before: &Book,
        after: &Book,
        assembled: Assembled,
        plan: Plan,
    ) -> Result<(), Refusal> {
        let mut forth = changes(before, after);
        forth.extend(plan.stored());
        let generation = self.store(forth).await?;
        let published = self
            .publish(self.publisher.stage(assembled, generation))
            .await;
        if published.is_ok() {
            self.objects.commit(plan);
        } else {
            let mut back = changes(after, before);
            back.extend(plan.taken_back());
            let back = self.bans.store_policies(back).await;
            if let Err(error) = back {
                warn!(%error, "refused policies stay in the state file until the next change");
            }
        }
        published
    }

    /// Makes changes durable under a new generation.
    async fn store(&self, mut changes: Vec<PolicyChange>) -> Result<u32, Refusal> {
        let generation = self.publisher.next_generation();
        changes.push(PolicyChange::Generation(generation));
        self.bans.store_policies(changes).await?;
        Ok(generation)
    }

    async fn publish(&self, staged: Staged) -> Result<(), Refusal> {
        self.publisher
            .publish(&*self.surroundings.enforcer, staged)
            .await?;
        let published = self.publisher.published();
        let generation = published.generation;
        let policies = u64::try_from(published.policies.len()).unwrap_or(u64::MAX);
        let endpoints = u64::try_from(published.endpoints.len()).unwrap_or(u64::MAX);
        info!(generation, policies, endpoints, "tables published");
        self.surroundings.notify(What::Generation {
            generation,
            policies,
            endpoints,
        });
        Ok(())
    }

    /// Says which files broke and which are whole again.
    fn report(&self, before: &Book, after: &Book) {
        for (name, file) in &after.files {
            let old = before.files.get(name);
            if old.is_some_and(|old| old.faults == file.faults) {
                continue;
            }
            for fault in &file.faults {
                warn!(file = name, place = %fault, "policy file is broken; nothing of it changed");
            }
            if let Some(fault) = file.faults.first() {
                let problem = fault.to_string();
                let file = name.clone();
                self.surroundings
                    .notify(What::PolicyFileBroken { file, problem });
            } else if old.is_some_and(|old| !old.faults.is_empty()) {
                info!(file = name, "policy file is whole again");
                self.surroundings
                    .notify(What::PolicyFileInForce { file: name.clone() });
            }
        }
    }

    fn show(&self, book: &Book) {
        self.view.store(Arc::new(view(book)));
    }
}

fn conflict(clash: &Clash) -> PolicyRefusal {
    Refusal::Conflict {
        message: clash.fault.message.clone(),
    }
    .into()
}

fn unavailable(message: String) -> Refusal {
    Refusal::Unavailable { message }
}
