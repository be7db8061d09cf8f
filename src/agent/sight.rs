//! What judging the units of one commit has in common, found once for all of them: the commit's tree, what is new since a
//! commit, what is stated, what upstream proves, whether clocks agree, and whether the branch is still there.
//!
//! It is kept for moments only: a promotion opens on what its upstream's log says now (course.md §2 of the design).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use crate::name::{CommitId, EnvironmentName, ObjectId, Reason, RefName};
use crate::render::Tree;
use crate::revision::{Fetched, FirstSeen};

use super::facts::Statements;
use super::upstream::Logs;

/// How long it is taken for what stands now.
const FRESH: Duration = Duration::from_secs(2);

/// What is judged, and against what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) tip: CommitId,
    pub(super) accepted: Option<CommitId>,
    pub(super) statements: BTreeMap<RefName, ObjectId>,
    /// The length of the log upstream, as it was heard.
    pub(super) upstream: u64,
}

/// Commits that may be new, and when each was first seen.
pub(super) struct Range {
    pub(super) fetched: Fetched,
    pub(super) first_seen: FirstSeen,
    /// Whether each of them may enter, once somebody asked.
    pub(super) signed: OnceLock<bool>,
}

impl Range {
    pub(super) fn new(fetched: Fetched, first_seen: FirstSeen) -> Self {
        Range { fetched, first_seen, signed: OnceLock::new() }
    }
}

/// Since which commit: `None` where it is the accepted head, `Some(None)` where it is all of history.
pub(super) type Start = Option<Option<CommitId>>;

/// See the module.
pub(super) struct Sight {
    about: About,
    born: Instant,
    pub(super) tree: OnceCell<Result<Arc<Tree>, Reason>>,
    ranges: Mutex<BTreeMap<Start, Arc<OnceCell<Arc<Range>>>>>,
    pub(super) statements: OnceCell<Arc<Statements>>,
    pub(super) upstream: OnceCell<Arc<Logs>>,
    pub(super) clock_suspect: OnceCell<bool>,
    /// When commits were first seen, as the journal had it after the accepted head was known.
    pub(super) journalled: OnceCell<FirstSeen>,
    /// Where the remote has the branch, asked after the accepted head was known.
    pub(super) branch: OnceCell<Option<ObjectId>>,
}

impl Sight {
    fn new(about: About) -> Self {
        Sight {
            about,
            born: Instant::now(),
            tree: OnceCell::new(),
            ranges: Mutex::default(),
            statements: OnceCell::new(),
            upstream: OnceCell::new(),
            clock_suspect: OnceCell::new(),
            journalled: OnceCell::new(),
            branch: OnceCell::new(),
        }
    }

    /// Where the new commits since one are kept.
    pub(super) fn range(&self, start: Start) -> Arc<OnceCell<Arc<Range>>> {
        Arc::clone(self.ranges.lock().unwrap_or_else(PoisonError::into_inner).entry(start).or_default())
    }
}

/// The newest sight of each environment.
#[derive(Default)]
pub(super) struct Sights(Mutex<BTreeMap<EnvironmentName, Arc<Sight>>>);

impl Sights {
    /// What is seen of this now; `alone`: nobody else asks for it, so that nothing is kept.
    pub(super) fn of(&self, environment: &EnvironmentName, about: About, alone: bool) -> Arc<Sight> {
        if alone {
            return Arc::new(Sight::new(about));
        }
        let mut sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = sights.get(environment).filter(|sight| sight.about == about && sight.born.elapsed() < FRESH);
        if let Some(sight) = fresh {
            return Arc::clone(sight);
        }
        let sight = Arc::new(Sight::new(about));
        sights.insert(environment.clone(), Arc::clone(&sight));
        sight
    }
}
