//! Keyed state tables of Tidegate and the encoding of snapshot segments.
