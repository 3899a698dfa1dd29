//! Random jobs with crashes at every named point, aborted checkpoints, panics and changing sizes between runs put out
//! exactly what plain sequential code computes.
//!
//! `TIDEGATE_CRASH_CASES` says how many; a failing case is shrunk and printed.

mod functions;
mod run;
mod spec;

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
        proptest::prop_assert_eq!(run::run(&spec), spec::interpret(&spec));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
