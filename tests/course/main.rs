//! The course in a model world: no cluster, no repository on disk, no thread. Every proof is earned in the real rooms;
//! every fault comes from an enumeration or a seed.

mod cluster;
mod crash;
mod drift;
mod forge;
mod judging;
mod laws;
mod outcome;
mod planted;
mod proving;
mod random;
mod refusal;
mod rivals;
mod seeds;
mod shop;
mod simulation;
mod world;
