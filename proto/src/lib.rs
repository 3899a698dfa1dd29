//! Wire and storage messages of Tidegate and their conversions.
