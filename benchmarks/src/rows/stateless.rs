//! E1: stateless queries at p = 1: with the generator against a loop over the same generator, and over events made
//! beforehand, what the engine adds per record and operator.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    vec,
};

use tidegate::prelude::*;

use super::RUNS;
use crate::{
    BenchmarkError,
    job_run::run_job,
    nexmark::{
        Event, Generator,
        query::{ConvertCurrency, PassThrough, SelectAuctions, Stateless},
    },
    runner::{Bar, Basis, Comparison, Moment, Report, Row, Sample, Usage, measured},
};

const ID: &str = "E1";
const GENERATED: u64 = 15_000_000;
const PREPARED: u64 = 2_000_000;

pub(super) fn run(report: &mut Report) -> Result<(), BenchmarkError> {
    let generator = Arc::new(Generator::new());
    query::<PassThrough>(report, &generator)?;
    query::<ConvertCurrency>(report, &generator)?;
    query::<SelectAuctions>(report, &generator)
}

fn query<Q: Stateless>(report: &mut Report, generator: &Arc<Generator>) -> Result<(), BenchmarkError> {
    report.rows.push(generated::<Q>(generator)?);
    report.rows.push(prepared::<Q>(generator)?);
    Ok(())
}

fn generated<Q: Stateless>(generator: &Arc<Generator>) -> Result<Row, BenchmarkError> {
    let mut threads = 0;
    let ours = || {
        let generator = Arc::clone(generator);
        let source = GeneratorSource::new(move |_seed, number| generator.event(number)).count(GENERATED);
        let ran = run_job(ID, 1, source, Q::job)?;
        threads = ran.threads;
        Ok(Sample {
            work: GENERATED,
            checksum: ran.checksum,
            usage: ran.usage,
        })
    };
    let yardstick = || {
        let (checksum, usage) = measured(|| Q::by_hand((0..GENERATED).map(|number| generator.event(number))));
        Ok(Sample {
            work: GENERATED,
            checksum,
            usage,
        })
    };
    let comparison = Comparison::alternate(ID, RUNS, ours, yardstick)?;
    let ratio = comparison.ratio(Basis::Cpu);
    Ok(Row {
        id: ID,
        what: format!("{} with its generator, p = 1 : a loop", Q::NAME),
        figure: ratio.median,
        unit: "x",
        bar: Bar::AtLeast(0.8),
        ratio: Some(ratio.median),
        spread: ratio.spread,
        cpu_seconds: comparison.cpu_seconds(),
        threads,
        note: format!(
            "{:.1} : {:.1} M events / CPU s, {:.2} x by the wall",
            comparison.rate(Basis::Cpu).median / 1e6,
            comparison.yardstick_rate(Basis::Cpu).median / 1e6,
            comparison.ratio(Basis::Wall).median
        ),
    })
}

/// Events are moved out of a vector on both sides, so that neither pays for copies. Measured from the first event to the last,
/// because a run is too short to hide how long a job takes to start and to commit.
fn prepared<Q: Stateless>(generator: &Arc<Generator>) -> Result<Row, BenchmarkError> {
    let mut threads = 0;
    let ours = || {
        let stock = Stock::of(generator);
        let source = {
            let stock = stock.clone();
            IteratorSource::new(move || stock.take())
        };
        let ran = run_job(ID, 1, source, Q::job)?;
        threads = ran.threads;
        Ok(Sample {
            work: PREPARED,
            checksum: ran.checksum,
            usage: stock.usage(),
        })
    };
    let yardstick = || {
        let stock = Stock::of(generator);
        let checksum = Q::by_hand(stock.take());
        Ok(Sample {
            work: PREPARED,
            checksum,
            usage: stock.usage(),
        })
    };
    let comparison = Comparison::alternate(ID, RUNS, ours, yardstick)?;
    let extra = comparison.extra_nanos(Basis::Cpu);
    let operators = f64::from(Q::OPERATORS);
    Ok(Row {
        id: ID,
        what: format!(
            "{} on prepared events, engine - loop, per record and operator",
            Q::NAME
        ),
        figure: extra.median / operators,
        unit: "ns",
        bar: Bar::AtMost(5.0),
        ratio: Some(comparison.ratio(Basis::Cpu).median),
        spread: extra.spread,
        cpu_seconds: comparison.cpu_seconds(),
        threads,
        note: format!(
            "{:.1} : {:.1} M events / CPU s, {} operators",
            comparison.rate(Basis::Cpu).median / 1e6,
            comparison.yardstick_rate(Basis::Cpu).median / 1e6,
            Q::OPERATORS
        ),
    })
}

/// Events to be read once, and what is used between the first and the last.
#[derive(Clone)]
struct Stock {
    generator: Arc<Generator>,
    reading: Arc<Mutex<State>>,
}

enum State {
    Untouched,
    Taken,
    Read(Usage),
}

impl Stock {
    fn of(generator: &Arc<Generator>) -> Self {
        Self {
            generator: Arc::clone(generator),
            reading: Arc::new(Mutex::new(State::Untouched)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All events the first time, none after: a job that had to start again would be found out by its checksum. They
    /// are made here, by the thread that will read them: giving back what another thread has allocated costs
    /// more, and no engine is to blame for that.
    fn take(&self) -> Reading {
        let before = std::mem::replace(&mut *self.state(), State::Taken);
        let count = match before {
            State::Untouched => PREPARED,
            State::Taken | State::Read(_) => 0,
        };
        let events: Vec<Event> = (0..count).map(|number| self.generator.event(number)).collect();
        Reading {
            events: events.into_iter(),
            stock: self.clone(),
            start: None,
        }
    }

    fn usage(&self) -> Usage {
        match *self.state() {
            State::Read(usage) => usage,
            State::Untouched | State::Taken => Usage::default(),
        }
    }
}

struct Reading {
    events: vec::IntoIter<Event>,
    stock: Stock,
    start: Option<Moment>,
}

impl Iterator for Reading {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        let start = *self.start.get_or_insert_with(Moment::now);
        let event = self.events.next();
        if event.is_none() {
            *self.stock.state() = State::Read(start.elapsed());
        }
        event
    }
}
