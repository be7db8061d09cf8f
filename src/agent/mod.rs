//! The agent: it carries out the orders of the course, one task per environment, with mirrors, discovery and watches
//! shared. It combines the edges; it decides nothing.

pub mod board;
mod carry;
mod checking;
mod closing;
mod decrees;
mod facts;
pub mod judge;
pub mod observe;
pub mod promote;
mod reading;
pub mod revert;
mod rollback;
pub mod run;
mod sight;
pub mod site;
mod source;
pub mod stand;
mod stated;
pub mod survey;
mod telling;
mod trace;
mod units;
mod upstream;
pub mod walk;
pub mod watches;
