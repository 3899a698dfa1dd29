//! Channels between tasks of Tidegate: rings in a process, credit-controlled frames between processes.
