//! Table tests of the coordinator: exact commands for every rule, and random interleavings.

mod adoption;
mod checkpoints;
mod endings;
mod failures;
mod harness;
mod opening;
mod random;
mod savepoints;
mod segments;
mod workers;
