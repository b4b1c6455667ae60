//! Policies, namespaces and pods as objects, for the Kubernetes API.

use std::sync::Arc;

use super::Core;
use crate::{
    objects::{Object, Objects},
    policies::{Edit, Published, WriteError},
};

impl Core {
    /// Every object and what happened to them lately.
    pub fn objects(&self) -> &Objects {
        self.0.policies.objects()
    }

    /// What packets are judged by.
    pub fn published(&self) -> Arc<Published> {
        self.0.policies.published()
    }

    pub fn now(&self) -> crate::clock::Timestamp {
        self.0.surroundings.clock.now()
    }

    /// Changes one policy on the grounds of what it is; see [`crate::policies::Policies::write`].
    pub async fn write_policy<E>(
        &self,
        namespace: &str,
        name: &str,
        dry_run: bool,
        edit: impl FnOnce(Option<&Object>) -> Result<Edit, E>,
    ) -> Result<Arc<Object>, WriteError<E>> {
        self.0.policies.write(namespace, name, dry_run, edit).await
    }
}
