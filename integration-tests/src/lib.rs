//! Whole-house tests of Tidegate. The tests are under `tests/`.
