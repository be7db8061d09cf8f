//! `edge::git` and `edge::notify` on repositories of this machine.

#[path = "git_support/mod.rs"]
mod git_support;

#[path = "git/brought.rs"]
mod brought;
#[path = "git/changed.rs"]
mod changed;
#[path = "git/facts.rs"]
mod facts;
#[path = "git/local.rs"]
mod local;
#[path = "git/mirror.rs"]
mod mirror;
#[path = "git/notify.rs"]
mod notify;
#[path = "git/tags.rs"]
mod tags;
#[path = "git/tree.rs"]
mod tree;
#[path = "git/working_tree.rs"]
mod working_tree;
