//! The worker runtime of Tidegate: executor, tasks, alignment, checkpoint participation.
