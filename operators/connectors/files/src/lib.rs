//! File sources and sinks of Tidegate.
