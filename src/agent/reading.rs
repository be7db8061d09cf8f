//! Objects that several units want to read at once are read together: while one read is under way, those that come join
//! the next.

use std::collections::BTreeMap;

use tokio::sync::Mutex;

use crate::edge::cluster::Cluster;
use crate::name::{GroupVersionKind, ObjectKey, Reason};
use crate::plan::Live;

type Kinds = BTreeMap<ObjectKey, GroupVersionKind>;
type Found = Result<BTreeMap<ObjectKey, Live>, Reason>;

/// Somebody who wants to read.
struct Reader {
    kinds: Kinds,
    answer: tokio::sync::oneshot::Sender<Found>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Reading {
    waiting: std::sync::Mutex<Vec<Reader>>,
    /// Whoever holds it reads for all who wait.
    turn: Mutex<()>,
}

impl Reading {
    /// Reads objects; each asked key is in the answer.
    ///
    /// # Errors
    /// Why one could not be read.
    pub(super) async fn read(&self, cluster: &Cluster, kinds: Kinds) -> Found {
        let (answer, mut answered) = tokio::sync::oneshot::channel();
        let reader = Reader { kinds: kinds.clone(), answer };
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(reader);
        let _turn = tokio::select! {
            biased;
            Ok(found) = &mut answered => return found,
            turn = self.turn.lock() => turn,
        };
        let readers = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        read_for(cluster, readers).await;
        match answered.await {
            Ok(found) => found,
            // Whoever read for it was stopped.
            Err(_) => read(cluster, &kinds).await,
        }
    }
}

async fn read(cluster: &Cluster, kinds: &Kinds) -> Found {
    cluster.read(kinds).await.map_err(|error| error.reason())
}

async fn read_for(cluster: &Cluster, readers: Vec<Reader>) {
    if readers.len() > 1 {
        let all: Kinds = readers.iter().flat_map(|reader| reader.kinds.clone()).collect();
        if let Ok(found) = read(cluster, &all).await {
            for Reader { kinds, answer } in readers {
                let own = kinds.into_keys().map(|key| {
                    let live = found.get(&key).cloned().expect("because each asked key is in the answer");
                    (key, live)
                });
                // Whoever asked may be gone.
                let _ = answer.send(Ok(own.collect()));
            }
            return;
        }
    }
    // What keeps one from reading keeps no other from it.
    for Reader { kinds, answer } in readers {
        let _ = answer.send(read(cluster, &kinds).await);
    }
}
