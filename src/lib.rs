//! Lockmaster: a GitOps promotion agent.
//!
//! The modules below stand in walking order: a commit enters at the top and leaves as an entry of the deployment log.
//! A module names only modules declared above it (`tests/house.rs` reads the imports and checks it).
//!
//! | room | question it answers |
//! |---|---|
//! | [`name`] | what is it called? |
//! | [`signature`] | which key signed these bytes, and whose is it? |
//! | [`deploylog`] | what happened so far, and what stands? |
//! | [`revision`] | is this commit authorised, and does it move forward? |
//! | [`manifest`] | which Kubernetes objects does this YAML say? |
//! | [`render`] | which files make the release, and which objects do they render to? |
//! | [`health`] | is this object well? |
//! | [`plan`] | what would change in the cluster? |
//! | [`gate`] | may it enter now? |
//! | [`course`] | what is the next step of the walk? |
//! | [`config`] | what did the operator ask for? |
//!
//! Above the front wall nothing is async, reads a clock, a file, the network, or names `kube` or `git2`: facts come in
//! as values, verdicts and orders go out as values. Below it, [`edge`] touches the world, [`embedded`] is a small
//! Kubernetes API in the process, [`agent`] carries out the orders of the course, and [`cli`] talks to people.

pub mod name;

pub mod signature;

pub mod deploylog;

pub mod revision;

pub mod manifest;

pub mod render;

pub mod health;

pub mod plan;

pub mod gate;

pub mod course;

pub mod config;

// ── front wall ──

pub mod edge;

pub mod embedded;

pub mod agent;

pub mod cli;
