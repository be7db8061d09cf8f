//! A small Kubernetes API in the process, for `demo` and quick tests (DESIGN.md, section 9).
//!
//! Its pure half: [`schema`] says which kinds there are and how their objects are built. Nothing here shares code with
//! [`crate::plan`], whose reading of ownership this wing checks.

#[expect(dead_code, reason = "the server that asks comes next")]
mod schema;
