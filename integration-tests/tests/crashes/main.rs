//! Random jobs with crashes at every named point, aborted checkpoints, panics and changing sizes between runs put out
//! exactly what plain sequential code computes, and remember it: their checkpoints hold the state that the same code has
//! at the checkpoints' positions, and so does a job that starts from a savepoint at another size. What checkpoints need is
//! in the store, and nothing else.
//!
//! `TIDEGATE_CRASH_CASES` says how many; a failing case is shrunk and printed.

mod cut;
mod event_oracle;
mod event_source;
mod events;
mod functions;
mod interpreter;
mod reckoning;
mod run;
mod spec;
mod states;
mod storage;

use proptest::test_runner::{Config, TestRunner};

#[test]
fn random_jobs_survive_random_deaths() {
    let cases = std::env::var("TIDEGATE_CRASH_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(300);
    let config = Config {
        cases,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&spec::specs(), |spec| {
        run::check(&spec);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
