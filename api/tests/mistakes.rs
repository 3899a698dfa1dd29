//! What cannot be built or run says what is wrong, where, and what to do.

use tidegate::{BuildError, Error, options::RestartSettings, prelude::*};

fn numbers(env: &Env) -> Stream<u64> {
    env.source("numbers", IteratorSource::new(|| 0..10u64))
}

fn refused(build: impl FnOnce(&Env)) -> BuildError {
    let env = Env::new("test");
    build(&env);
    env.build().expect_err("the job was built")
}

#[test]
fn graphs_that_cannot_run_are_refused_by_name() {
    let cases: Vec<(BuildError, &[&str])> = vec![
        (refused(|_| {}), &["no source", "env.source"]),
        (
            refused(|env| numbers(env).discard("numbers").parallelism(1).end()),
            &["numbers", "name"],
        ),
        (refused(|env| drop(numbers(env))), &["numbers", "goes nowhere"]),
        (refused(|env| numbers(env).discard("a/b").end()), &["a/b", "`/`"]),
        (refused(|env| numbers(env).discard("").end()), &["empty"]),
        (
            refused(|env| numbers(env).map(|n| n).parallelism(0).discard("x").end()),
            &["map", "0", "1024"],
        ),
        (
            refused(|env| numbers(env).rebalance().parallelism(2).discard("x").end()),
            &["parallelism", "behind"],
        ),
        (
            refused(|env| {
                env.max_parallelism(0);
            }),
            &["max_parallelism", "0", "32768"],
        ),
        (
            refused(|env| {
                let other = Env::new("other");
                numbers(env).union(numbers(&other)).discard("x").end();
            }),
            &["union", "another job"],
        ),
    ];
    for (error, words) in cases {
        let message = error.to_string();
        for word in words {
            assert!(message.contains(word), "{message:?} does not say {word:?}");
        }
    }
}

trait End {
    fn end(self);
}

impl End for tidegate::SinkHandle {
    fn end(self) {}
}

#[test]
fn a_panic_names_the_operator_and_the_record() {
    let job = Job::build("test", |env| {
        numbers(env)
            .map(|number| {
                if number == 7 {
                    panic!("I cannot bear {number}")
                } else {
                    number
                }
            })
            .name("sensitive")
            .discard("nowhere");
        Ok(())
    })
    .unwrap();
    let error = job.run(RunOptions::in_memory().parallelism(1)).unwrap_err();
    let message = error.with_causes();
    for word in ["I cannot bear 7", "map#1", "record 7"] {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
    assert!(matches!(error, Error::Failed { .. }));
}

#[test]
fn a_refused_record_fails_the_job_after_its_restarts() {
    let job = Job::build("test", |env| {
        numbers(env)
            .try_map(|n| if *n == 3 { Err("three") } else { Ok(*n) })
            .or_fail()
            .discard("nowhere");
        Ok(())
    })
    .unwrap();
    let delay = std::time::Duration::from_millis(1);
    let options = RunOptions::in_memory().restart(RestartSettings::FixedDelay { delay, attempts: 2 });
    let running = job.start(options).unwrap();
    let control = running.control();
    let message = running.join().unwrap_err().with_causes();
    assert!(message.contains("record 3: three"), "{message:?}");
    assert_eq!(control.status().restarts, 2);
}

#[test]
fn a_location_that_cannot_be_used_is_a_storage_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let job = Job::build("test", |env| {
        numbers(env).discard("nowhere");
        Ok(())
    })
    .unwrap();
    let error = job
        .run(RunOptions::at(file.path().to_string_lossy()))
        .unwrap_err();
    assert_eq!(error.exit_code(), tidegate::ExitCode::Storage, "{error:?}");
}
