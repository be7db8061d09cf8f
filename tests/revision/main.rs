//! Commits made by real `git` and `ssh-keygen`, judged. Numbers of tests are those of the catalogue of hostile inputs.

mod carriers;
mod carriers_random;
mod commits;
mod history;
mod keys;
mod repository;
mod snapshot;
