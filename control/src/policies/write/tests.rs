//! Writes that fail half way, on a kernel made of maps.

use std::{path::Path, sync::Arc};

use palisade_config::settings::Settings;
use serde_json::{Value, json};

use super::{Edit, WriteError};
use crate::{
    core::{Core, PolicyRefusal},
    objects::{Key, Kind},
    store::Store,
    testing::{FakeKernel, core_on},
};

const SETTINGS: &str = "
[[endpoint]]
name = \"web\"
namespace = \"default\"
addresses = [\"192.0.2.10\"]
";

fn key() -> Key {
    Key::new(Kind::NetworkPolicy, "default", "web")
}

/// Writes the policy with one label.
async fn write(core: &Core, label: &str) -> Result<u64, WriteError<()>> {
    let document = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "web", "labels": {"a": label}},
        "spec": {"podSelector": {}},
    });
    let managed = Value::Array(Vec::new());
    let edit = |_: Option<&_>| Ok(Edit::Put { document, managed });
    let written = core.write_policy("default", "web", false, edit).await?;
    Ok(written.revision)
}

async fn start(directory: &Path, kernel: &Arc<FakeKernel>) -> Core {
    let settings = Settings::parse(SETTINGS, Path::new("palisade.toml")).unwrap();
    core_on(directory, settings, Arc::clone(kernel)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_kernel_refuses_is_neither_seen_nor_stored() {
    let directory = tempfile::tempdir().unwrap();
    let kernel = Arc::new(FakeKernel::default());
    let core = start(directory.path(), &kernel).await;
    let first = write(&core, "1").await.unwrap();
    let before = core.objects().get(&key()).unwrap();

    kernel.fail(100);
    let refused = write(&core, "2").await.unwrap_err();
    assert!(
        matches!(refused, WriteError::Refused(PolicyRefusal::Refused(_))),
        "{refused:?}"
    );
    assert_eq!(core.objects().get(&key()).unwrap(), before);
    let (revision, events) = core.objects().since(Kind::NetworkPolicy, first).unwrap();
    assert_eq!((revision, events.len()), (first, 0));

    kernel.fail(0);
    drop(core);
    let stored = loop {
        // The writer closes the store when its last user has gone.
        match Store::open(directory.path()) {
            Ok(store) => break store.load_policies().unwrap(),
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert!(stored.policies[0].1.text.contains("\"a\": \"1\""));
    assert!(stored.revision >= first);
    let core = start(directory.path(), &kernel).await;
    assert_eq!(core.objects().get(&key()).unwrap(), before);
    assert!(write(&core, "2").await.unwrap() > first);
}
