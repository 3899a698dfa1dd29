//! Functions with state on one keyed stream, on two, and beside a broadcast stream, at several sizes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use tidegate::{BuildError, prelude::*};

const SIZES: [(u32, u32); 3] = [(1, 1), (1, 3), (2, 2)];

fn run<T: Record + Ord + Clone>(
    build: impl Fn(&Env) -> Collected<T>,
    (workers, slots): (u32, u32),
) -> Vec<T> {
    let env = Env::new("stateful");
    let collected = build(&env);
    let options = RunOptions::in_memory().workers(workers).parallelism(slots);
    env.build()
        .unwrap()
        .run(options.checkpoint_interval(Duration::from_millis(5)))
        .unwrap();
    collected.sorted()
}

fn numbers(env: &Env, name: &str) -> Stream<u64> {
    env.source(name, GeneratorSource::new(|_seed, sequence| sequence).count(1000))
}

/// Emits, for each number, how many of its last digit have been seen before in its key, and the sum of its key so far.
struct Digits {
    seen: MapState<u64, u64>,
    sum: ReducingState<u64>,
}

impl ProcessFunction for Digits {
    type Key = u64;
    type In = u64;
    type Out = u64;

    fn on_record(&self, number: u64, context: &mut ProcessContext<'_, u64, u64>) -> Result<(), BoxError> {
        let digit = number % 10;
        let seen = self.seen.get(context, &digit).copied().unwrap_or(0);
        self.seen.insert(context, digit, seen + 1);
        self.sum.add(context, 1);
        let count = self.sum.get(context).copied().unwrap_or(0);
        if seen == 99 {
            context.emit(count);
        }
        Ok(())
    }
}

#[test]
fn a_function_keeps_maps_and_sums_per_key() {
    for size in SIZES {
        let counts = run(
            |env| {
                numbers(env, "numbers")
                    .key_by(|_| 0u64)
                    .process("digits", |states| {
                        Ok(Digits {
                            seen: states.map("seen", StateOptions::default())?,
                            sum: states
                                .reducing("sum", StateOptions::default(), |sum: &mut u64, one| *sum += one)?,
                        })
                    })
                    .collect("out")
            },
            size,
        );
        // The hundredth of each digit comes among all thousand; the very last number is one of them.
        assert_eq!((counts.len(), counts.last()), (10, Some(&1000)), "{size:?}");
    }
}

/// Pairs the numbers of two streams by key, whichever comes first.
struct Pairs {
    left: ValueState<u64>,
    right: ValueState<u64>,
}

impl CoProcessFunction for Pairs {
    type Key = u64;
    type Left = u64;
    type Right = u64;
    type Out = (u64, u64);

    fn on_left(&self, left: u64, context: &mut ProcessContext<'_, u64, (u64, u64)>) -> Result<(), BoxError> {
        match self.right.take(context) {
            Some(right) => context.emit((left, right)),
            None => self.left.set(context, left),
        }
        Ok(())
    }

    fn on_right(
        &self,
        right: u64,
        context: &mut ProcessContext<'_, u64, (u64, u64)>,
    ) -> Result<(), BoxError> {
        match self.left.take(context) {
            Some(left) => context.emit((left, right)),
            None => self.right.set(context, right),
        }
        Ok(())
    }
}

#[test]
fn two_keyed_streams_share_their_state() {
    let expected: Vec<_> = (0..1000u64).map(|number| (number, number + 5000)).collect();
    for size in SIZES {
        let pairs = run(
            |env| {
                numbers(env, "left")
                    .key_by(|left| *left)
                    .connect(
                        numbers(env, "right")
                            .map(|n| n + 5000)
                            .key_by(|right| right - 5000),
                    )
                    .process("pairs", |states| {
                        Ok(Pairs {
                            left: states.value("left", StateOptions::default())?,
                            right: states.value("right", StateOptions::default())?,
                        })
                    })
                    .collect("out")
            },
            size,
        );
        assert_eq!(pairs, expected, "{size:?}");
    }
}

#[test]
fn two_states_of_one_name_are_refused_when_the_job_is_built() {
    let env = Env::new("test");
    numbers(&env, "numbers")
        .key_by(|number| *number)
        .process("twins", |states| {
            Ok(Digits {
                seen: states.map("twin", StateOptions::default())?,
                sum: states.reducing("twin", StateOptions::default(), |sum: &mut u64, one| *sum += one)?,
            })
        })
        .discard("nowhere");
    let error = env.build().unwrap_err();
    assert!(matches!(error, BuildError::States { .. }));
    let message = error.to_string();
    assert!(message.contains("twins") && message.contains("twin"), "{message}");
}

/// Emits each key a moment after it came, by a processing-time timer.
struct Later;

impl ProcessFunction for Later {
    type Key = u64;
    type In = u64;
    type Out = u64;

    fn on_record(&self, _: u64, context: &mut ProcessContext<'_, u64, u64>) -> Result<(), BoxError> {
        let due = context.processing_time().after(Duration::from_millis(1));
        context.register_processing_time_timer(due);
        Ok(())
    }

    fn on_timer(
        &self,
        _: tidegate::ProcessingTime,
        context: &mut ProcessContext<'_, u64, u64>,
    ) -> Result<(), BoxError> {
        context.emit(*context.key());
        Ok(())
    }
}

#[test]
fn timers_fire_for_their_keys() {
    let env = Env::new("timers");
    // The source goes on for ever, so that timers have time to fire.
    let collected = env
        .source(
            "numbers",
            GeneratorSource::new(|_seed, sequence| sequence % 5).rate(500),
        )
        .key_by(|number| *number)
        .process("later", |_| Ok(Later))
        .collect("out");
    let options = RunOptions::in_memory()
        .parallelism(2)
        .checkpoint_interval(Duration::from_millis(5));
    let running = env.build().unwrap().start(options).unwrap();
    let view = collected.clone();
    running.wait_until(move |_| (0..5).all(|key| view.records().contains(&key)));
    running.cancel().unwrap();
    running.join().unwrap();
    assert!((0..5).all(|key| collected.records().contains(&key)));
}
