//! What the benches share: the fleet of objects, the agent as a process, the blast that it is compared with, and reports.

#![expect(dead_code, reason = "each bench uses its own part")]

pub(crate) mod agent;
pub(crate) mod blast;
pub(crate) mod fleet;
pub(crate) mod ground;
pub(crate) mod journal;
pub(crate) mod measure;
pub(crate) mod report;
pub(crate) mod sight;

/// Keeps the expectation above true in a bench that uses everything.
const NOT_USED_BY_ANY: () = ();
