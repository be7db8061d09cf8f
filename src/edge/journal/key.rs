//! The agent's own key: one Secret, made once, by whichever agent comes first.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;

use super::answer::Failure;
use super::{Journal, JournalError, label};
use crate::signature::AgentKey;

/// The field and type of a Secret that holds an SSH key (Kubernetes, Types of Secret).
const FIELD: &str = "ssh-privatekey";
const TYPE: &str = "kubernetes.io/ssh-auth";

/// Where people read the public key.
const PUBLIC_KEY: &str = "lockmaster.dev/public-key";

impl Journal {
    /// The agent's key in the Secret of this name; made and stored where there is none.
    ///
    /// # Errors
    /// It cannot be read or stored. A key that cannot be read is never replaced by another.
    pub async fn agent_key(&self, name: &str) -> Result<AgentKey, JournalError> {
        if let Some(key) = self.read_agent_key(name).await? {
            return Ok(key);
        }
        let shelf = self.shelf::<Secret>();
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|e| JournalError::NoRandomness(e.to_string()))?;
        let key = AgentKey::from_seed(*seed);
        match shelf.create(&secret(name, &key)).await {
            Ok(_) => Ok(key),
            Err(Failure::Exists) => {
                let object = shelf.named(name);
                self.read_agent_key(name).await?.ok_or(JournalError::Lost { object })
            }
            Err(failure) => Err(shelf.not_written("create", name, failure)),
        }
    }

    /// The agent's key, if it was made already.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn read_agent_key(&self, name: &str) -> Result<Option<AgentKey>, JournalError> {
        let shelf = self.shelf::<Secret>();
        let Some(secret) = shelf.get(name).await? else { return Ok(None) };
        let damaged = |problem: &str| JournalError::Damaged { object: shelf.named(name), problem: problem.to_owned() };
        let data = secret.data.unwrap_or_default();
        let bytes = &data.get(FIELD).ok_or_else(|| damaged("lacks `ssh-privatekey`"))?.0;
        // What is wrong with a key is not told: the words could quote it.
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("holds no OpenSSH key"))?;
        let key = AgentKey::from_openssh(text).map_err(|_| damaged("holds no unencrypted ed25519 OpenSSH key"))?;
        Ok(Some(key))
    }
}

fn secret(name: &str, key: &AgentKey) -> Secret {
    let labels = [(label::MANAGED_BY, "lockmaster"), (label::KIND, "agent-key")];
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
            annotations: Some(BTreeMap::from([(PUBLIC_KEY.to_owned(), key.public_key())])),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some(BTreeMap::from([(FIELD.to_owned(), ByteString(key.to_openssh().as_bytes().to_vec()))])),
        type_: Some(TYPE.to_owned()),
        ..Secret::default()
    }
}
