//! The edges: the only modules that touch the world. They share types of the rooms above the wall, never each other.

pub mod clock;
pub mod cluster;
pub mod events;
pub mod exposition;
pub mod git;
pub mod http;
pub mod journal;
pub mod metrics;
pub mod notify;
pub mod renderer;
