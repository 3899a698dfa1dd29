//! Tidegate: write dataflow jobs in Rust, run them anywhere, exactly once.
