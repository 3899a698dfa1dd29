//! Files and checkpoints of Tidegate on an S3 server in this process. The tests are under `tests/`.
