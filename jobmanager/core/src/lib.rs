//! The pure coordinator of Tidegate: execution graph, placement, checkpoints and failover as a state machine.
