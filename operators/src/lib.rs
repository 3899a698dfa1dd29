//! Built-in operators of Tidegate and the operator test harness.
