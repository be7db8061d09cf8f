//! Git: a bare mirror of one remote, and what stands in it.
//!
//! In: the url of a remote and the ids to look at. Out: facts ([`Fetched`](crate::revision::Fetched),
//! [`Tree`](crate::render::Tree), [`Contents`](crate::render::Contents)), trusted by nobody. Every function blocks: call
//! it on a thread that may. Nothing from the remote is ever executed: no hooks, no filters, no checkout; replace
//! refs, grafts, shallow boundaries and alternates are never honoured; objects are re-hashed whenever they are read. What
//! a person signs and pushes is done by that person's own program ([`GitCommand`]).

mod borrow;
mod brought;
mod changed;
mod clone;
mod connect;
mod error;
mod forge;
mod graph;
mod known_hosts;
mod merge;
mod mirror;
mod origin;
mod place;
mod program;
mod promotion;
mod stand_in;
mod tags;
mod tree;
mod workplace;

pub use brought::Brought;
pub use clone::{clone_addresses, clone_head, working_file, working_tree};
pub use error::GitError;
pub use forge::{Annotation, Change, Forge, Sign};
pub use mirror::{Limits, Mirror, Progress};
pub use place::{Auth, Remote};
pub use program::{GitCommand, GitCommandError, Ground, same_repository};
pub use promotion::{Making, Move};
pub use stand_in::StandIn;
pub use workplace::{Branches, Habits, Workplace};

/// How long a remote may stay silent, in milliseconds, before an operation is given up.
const SILENCE_MS: i32 = 30_000;

/// How long connecting may take, in milliseconds.
const CONNECT_MS: i32 = 10_000;

/// Sets what libgit2 keeps process-wide: timeouts, no configuration of the machine or the user, strict hashes.
///
/// Call it once, first thing in `main`, before any thread is started.
///
/// The owner of a repository is not compared with ours (`safe.directory`): that check guards programs which run what a
/// repository's configuration says, and libgit2 runs nothing of it.
#[expect(unsafe_code, reason = "libgit2 keeps its timeouts and search paths in process-wide variables without a lock")]
pub fn set_timeouts() {
    use git2::{ConfigLevel, opts};
    opts::strict_hash_verification(true);
    opts::strict_object_creation(true);
    // SAFETY: the caller holds the only thread that uses libgit2 (`main` calls this before it starts any other).
    let set = unsafe {
        opts::set_server_timeout_in_milliseconds(SILENCE_MS)
            .and_then(|()| opts::set_server_connect_timeout_in_milliseconds(CONNECT_MS))
            .and_then(|()| opts::set_verify_owner_validation(false))
            .and_then(|()| {
                [ConfigLevel::ProgramData, ConfigLevel::System, ConfigLevel::XDG, ConfigLevel::Global]
                    .into_iter()
                    .try_for_each(|level| opts::set_search_path(level, ""))
            })
    };
    set.expect("because libgit2 refuses these options only when it cannot allocate");
}

/// The id as the rooms have it.
fn object_id(id: git2::Oid) -> crate::name::ObjectId {
    id.to_string().parse().expect("because libgit2 prints ids as lower-case hex")
}

/// The id as the rooms have it, of an object that is known to be a commit.
fn commit_id(id: git2::Oid) -> crate::name::CommitId {
    crate::name::CommitId(object_id(id))
}
