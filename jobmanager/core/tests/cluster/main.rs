//! The cluster's slots, by exact commands and by invariants over random lives.

mod harness;
mod placement;
mod random;
mod recovery;
