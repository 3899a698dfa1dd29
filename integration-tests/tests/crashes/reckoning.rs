//! What random pipelines of event time are made of: watermarks, what lies between, and windows and timers whose results
//! say which records they are of.

use std::{sync::Arc, time::Duration};

use tidegate::prelude::*;

use crate::{
    event_source::EventSource,
    events::{BOUND_MS, Contents, Disorder, EVENTS, Event, Events, Passage, Race, Reckoning, Shape},
};

/// A result: which records of a key a window had when it fired, in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) key: u64,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) ids: Vec<u64>,
}

impl Row {
    fn new(key: u64, window: Window, mut ids: Vec<u64>) -> Self {
        ids.sort_unstable();
        Self {
            key,
            start: window.start.0,
            end: window.end.0,
            ids,
        }
    }

    fn of(windowed: Windowed<u64, Vec<u64>>) -> Self {
        Self::new(windowed.key, windowed.window, windowed.value)
    }
}

/// The key under which results of the first reckoning are gathered again.
pub(crate) fn again_key(key: u64) -> u64 {
    key % 2
}

/// The uid of a reckoning.
pub(crate) fn reckoning_uid(place: usize) -> String {
    format!("reckoning-{place}")
}

type Failure = tidegate::BoxError;

/// Gathers the ids of records.
struct Gather;

impl Aggregator for Gather {
    type In = Event;
    type Acc = Vec<u64>;
    type Out = Vec<u64>;

    fn lift(&self, event: &Event) -> Vec<u64> {
        event.ids.clone()
    }

    fn combine(&self, ids: &mut Vec<u64>, more: Vec<u64>) {
        ids.extend(more);
    }

    fn lower(&self, ids: &Vec<u64>) -> Vec<u64> {
        ids.clone()
    }
}

/// Says which elements a window has.
struct Elements;

impl ProcessWindowFunction for Elements {
    type Key = u64;
    type In = Event;
    type Out = Row;

    fn process(
        &self,
        events: WindowElements<'_, Event>,
        context: &mut WindowContext<'_, u64, Row>,
    ) -> Result<(), Failure> {
        let ids = events.iter().flat_map(|event| event.ids.clone()).collect();
        context.emit(Row::new(*context.key(), context.window(), ids));
        Ok(())
    }
}

/// Where [`ByTimer`] sends records that are too late for their timer.
const TOO_LATE: OutputTag<Event> = OutputTag::new(3);

/// Gathers records until a timer comes. Each sets its timer, and one that must never come and is deleted.
struct ByTimer {
    gathered: MapState<i64, Vec<u64>>,
    size: i64,
}

impl ByTimer {
    fn new(states: &mut StateRegistry<u64>, size: i64) -> Result<Self, RegistryError> {
        Ok(Self {
            gathered: states.map("gathered", StateOptions::default())?,
            size,
        })
    }
}

impl ProcessFunction for ByTimer {
    type Key = u64;
    type In = Event;
    type Out = Row;

    fn on_record(&self, event: Event, context: &mut ProcessContext<'_, u64, Row>) -> Result<(), Failure> {
        if context.event_time() != Some(EventTime(event.time_ms)) {
            return Err(format!("{event:?} has lost its time").into());
        }
        let end = (event.time_ms.div_euclid(self.size) + 1) * self.size;
        if context.watermark().0 >= end - 1 {
            context.emit_side(TOO_LATE, event);
            return Ok(());
        }
        let mut ids = self.gathered.remove(context, &end).unwrap_or_default();
        ids.extend(event.ids);
        self.gathered.insert(context, end, ids);
        context.register_event_time_timer(EventTime(end - 1));
        // In the middle between two ends, where none ever comes.
        let never = EventTime(end + self.size / 2);
        context.register_event_time_timer(never);
        if !context.delete_event_time_timer(never) {
            return Err("a timer that was just set is not there".into());
        }
        Ok(())
    }

    fn on_event_time_timer(
        &self,
        time: EventTime,
        context: &mut ProcessContext<'_, u64, Row>,
    ) -> Result<(), Failure> {
        if context.watermark() < time {
            return Err(format!("the timer of {time} came at {}", context.watermark()).into());
        }
        let end = time.0 + 1;
        let ids = self.gathered.remove(context, &end);
        let ids = ids.ok_or_else(|| format!("the timer of {time} has come twice"))?;
        let window = Window {
            start: EventTime(end - self.size),
            end: EventTime(end),
        };
        context.emit(Row::new(*context.key(), window, ids));
        Ok(())
    }
}

/// Passes records on as they are.
struct Pass;

impl ProcessFunction for Pass {
    type Key = u64;
    type In = Event;
    type Out = Event;

    fn on_record(&self, event: Event, context: &mut ProcessContext<'_, u64, Event>) -> Result<(), Failure> {
        context.emit(event);
        Ok(())
    }
}

fn strategy(disorder: Disorder) -> WatermarkStrategy<Event> {
    let bound = Duration::from_millis(BOUND_MS.unsigned_abs());
    let strategy =
        WatermarkStrategy::bounded_out_of_orderness(bound).event_time(|event: &Event| event.time_ms);
    match disorder {
        Disorder::Racing(Race::Idleness) => strategy.idle_after(Duration::from_millis(4)),
        _ => strategy,
    }
}

/// The events with their times and watermarks, as they come to what reckons with them.
fn timed(env: &Env, events: &Arc<Events>) -> Stream<Event> {
    let mut stream = env.source(EVENTS, EventSource(Arc::clone(events)));
    if events.disorder == Disorder::BeyondAlone {
        stream = stream.parallelism(1);
    }
    if events.behind_fused {
        stream = stream.map(|event| event).filter(|_| true);
    }
    if events.disorder == Disorder::Racing(Race::Mixed) {
        stream = stream.rebalance();
    }
    stream = stream.watermarks(strategy(events.disorder));
    if events.disorder == Disorder::BeyondAlone {
        stream = stream.parallelism(1);
    }
    for (place, passage) in events.passages.iter().enumerate() {
        stream = match passage {
            Passage::Shuffle => stream.rebalance().map(|event| event),
            Passage::SplitAndUnite => {
                let (even, odd) = stream.split(|event| event.key % 2 == 0);
                even.union(odd).map(|event| event)
            }
            Passage::Keyed => stream
                .key_by(|event| event.time_ms.unsigned_abs() % 7)
                .process(&format!("passage-{place}"), |_| Ok(Pass)),
        };
    }
    stream
}

/// What comes of a pipeline: for each reckoning the results and the records that came too late, and the results that
/// were gathered again.
pub(crate) struct Reckoned {
    pub(crate) results: Vec<(Stream<Row>, Stream<Event>)>,
    pub(crate) again: Option<Stream<Row>>,
}

/// Adds a pipeline to a job.
pub(crate) fn add(env: &Env, events: &Arc<Events>) -> Reckoned {
    let stream = timed(env, events);
    let results = events.reckonings.iter().enumerate();
    let results: Vec<_> = results
        .map(|(place, reckoning)| reckon(stream.clone(), &reckoning_uid(place), *reckoning))
        .collect();
    let again = events.again.map(|size| {
        let first = results[0].0.clone().map(|row| Event {
            key: again_key(row.key),
            time_ms: row.end - 1,
            ids: row.ids,
        });
        let (rows, late) = reckon(
            first,
            "again",
            Reckoning::Windows {
                shape: Shape::Tumbling { size, offset: 0 },
                contents: Contents::Aggregate,
                lateness: 0,
            },
        );
        // No result is late: it would be missing.
        late.discard("again-late");
        rows
    });
    Reckoned { results, again }
}

fn reckon(stream: Stream<Event>, uid: &str, reckoning: Reckoning) -> (Stream<Row>, Stream<Event>) {
    let keyed = stream.key_by(|event| event.key);
    let (shape, contents, lateness) = match reckoning {
        Reckoning::Timers { size } => {
            let rows = keyed.process(uid, move |states| ByTimer::new(states, size));
            let late = rows.side_output(TOO_LATE);
            return (rows, late);
        }
        Reckoning::Windows {
            shape,
            contents,
            lateness,
        } => (shape, contents, lateness),
    };
    let millis = |millis: i64| Duration::from_millis(millis.unsigned_abs());
    let lateness = millis(lateness);
    match shape {
        Shape::Tumbling { size, offset } => {
            let windows = Tumbling::of(millis(size)).offset(millis(offset % size));
            fill(keyed, windows.allowed_lateness(lateness), uid, contents)
        }
        Shape::Sliding { size, slide } => {
            let windows = Sliding::of(millis(size), millis(slide));
            fill(keyed, windows.allowed_lateness(lateness), uid, contents)
        }
        Shape::Session { gap } => {
            let windows = Session::with_gap(millis(gap));
            fill(keyed, windows.allowed_lateness(lateness), uid, contents)
        }
    }
}

fn fill<S: KeySelector<Event, Key = u64>>(
    keyed: KeyedStream<Event, S>,
    windows: impl tidegate::window::WindowAssigner,
    uid: &str,
    contents: Contents,
) -> (Stream<Row>, Stream<Event>) {
    let windowed = keyed.window(windows);
    match contents {
        Contents::Aggregate => {
            let (rows, late) = windowed.aggregate(uid, Gather).with_late_output();
            (rows.map(Row::of), late)
        }
        Contents::Reduce => {
            let unite = |event: &mut Event, other: Event| event.ids.extend(other.ids);
            let (rows, late) = windowed.reduce(uid, unite).with_late_output();
            let rows = rows.map(|windowed| Row::new(windowed.key, windowed.window, windowed.value.ids));
            (rows, late)
        }
        Contents::Process => windowed.process(uid, Elements).with_late_output(),
    }
}
