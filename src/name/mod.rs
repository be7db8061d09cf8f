//! What things are called: newtypes that parse and print, and nothing else.
//!
//! A name that could be mistaken for another has a type of its own, so that a branch cannot be passed for a commit or a
//! pipeline for an environment.

mod code;
mod git;
mod kubernetes;
mod label;
mod reason;

pub use code::{Class, Code};
pub(crate) use git::hex;
pub use git::{CommitId, Digest, ObjectId, RefName, RepoPath};
pub use kubernetes::{GroupKind, GroupVersionKind, ObjectKey};
pub use label::{CheckName, EnvironmentName, Fingerprint, InvalidName, PipelineName, Principal, RoleName, UnitName};
pub use reason::Reason;
