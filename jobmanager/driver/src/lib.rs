//! Runs the coordinator of Tidegate: the loop, timers, publication and garbage collection.
