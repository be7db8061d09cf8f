//! What benches without a cluster share.

#![expect(dead_code, reason = "each bench uses its own part")]

pub(crate) mod fleet;
pub(crate) mod measure;
pub(crate) mod report;

/// Keeps the expectation above true in a bench that uses everything.
const NOT_USED_BY_ANY: () = ();
