//! The oracles of event time: what may and what must come of a pipeline.
//!
//! * Where no record is late there is one right output.
//! * Where it is certain which records are late, those must be late in every life of the job, and of every window the
//!   last result is certain.
//! * Where that is left to chance, no record is lost or counted twice: each is late, or in the last results of the
//!   windows that were still open to it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    events::{BOUND_MS, Disorder, Event, EventCut, Events, Reckoning, Shape},
    reckoning::{Row, again_key},
};

/// The windows of a grid that a time is in, by their starts and ends, in order.
fn windows(shape: Shape, time: i64) -> Vec<(i64, i64)> {
    let (size, slide, offset) = match shape {
        Shape::Tumbling { size, offset } => (size, size, offset % size),
        Shape::Sliding { size, slide } => (size, slide, 0),
        Shape::Session { gap } => return vec![(time, time + gap)],
    };
    let last = (time - offset).div_euclid(slide) * slide + offset;
    let starts = std::iter::successors(Some(last), |start| Some(start - slide));
    let mut windows: Vec<_> = starts
        .take_while(|start| *start > time - size)
        .map(|start| (start, start + size))
        .collect();
    windows.reverse();
    windows
}

/// Whether windows change with the records of a key.
fn is_session(shape: Shape) -> bool {
    matches!(shape, Shape::Session { .. })
}

/// The event time at which a window that ends here fires, which is that of its result. A session's end may still be the
/// time of a record of it.
fn due(shape: Shape, end: i64) -> i64 {
    if is_session(shape) { end } else { end - 1 }
}

/// Plain sequential windows: the results of records that come one after the other, of which some are late.
struct Reference {
    /// What each window holds in the end.
    rows: Vec<Row>,
    late: BTreeSet<u64>,
}

/// Windows that are not over, by key, start and end, with what they hold.
type Open = BTreeMap<(u64, i64, i64), Vec<u64>>;

/// Lets records come one after the other; `watermark` is told each and says how far event time has come behind it.
fn refer(
    reckoning: &Reckoning,
    events: impl Iterator<Item = Event>,
    mut watermark: impl FnMut(&Event) -> i64,
) -> Reference {
    let (shape, lateness) = (reckoning.shape(), reckoning.lateness());
    let (mut rows, mut late) = (Vec::new(), BTreeSet::new());
    let mut open = Open::new();
    let mut now = i64::MIN;
    for event in events {
        let is_over = |end: i64| due(shape, end) + lateness <= now;
        let is_late = if is_session(shape) {
            let window = windows(shape, event.time_ms)[0];
            !join_sessions(&mut open, &event, window, is_over)
        } else {
            let mut mine = windows(shape, event.time_ms);
            mine.retain(|(_, end)| !is_over(*end));
            for (start, end) in &mine {
                let ids = open.entry((event.key, *start, *end)).or_default();
                ids.extend(&event.ids);
            }
            mine.is_empty()
        };
        if is_late {
            late.extend(&event.ids);
        }
        now = now.max(watermark(&event));
        let is_over = |window: &(u64, i64, i64)| due(shape, window.2) + lateness <= now;
        let (over, still) = open
            .into_iter()
            .partition::<Open, _>(|(window, _)| is_over(window));
        rows.extend(over);
        open = still;
    }
    rows.extend(open);
    let row = |((key, start, end), mut ids): ((u64, i64, i64), Vec<u64>)| {
        ids.sort_unstable();
        Row { key, start, end, ids }
    };
    let mut rows: Vec<Row> = rows.into_iter().map(row).collect();
    rows.sort_unstable();
    Reference { rows, late }
}

/// Adds a record to the session it prolongs, starts, or makes of several. False if that would be over.
fn join_sessions(
    open: &mut Open,
    event: &Event,
    (start, end): (i64, i64),
    is_over: impl Fn(i64) -> bool,
) -> bool {
    let of_key = open.range((event.key, i64::MIN, i64::MIN)..=(event.key, i64::MAX, i64::MAX));
    let met = of_key.filter(|(window, _)| window.1 <= end && start <= window.2);
    let met: Vec<_> = met.map(|(window, _)| *window).collect();
    let all_start = met.iter().map(|window| window.1).fold(start, i64::min);
    let all_end = met.iter().map(|window| window.2).fold(end, i64::max);
    if is_over(all_end) {
        return false;
    }
    let mut ids = event.ids.clone();
    ids.extend(
        met.iter()
            .flat_map(|window| open.remove(window).unwrap_or_default()),
    );
    open.insert((event.key, all_start, all_end), ids);
    true
}

/// What each window held when it last fired. No two results of a window are of the same records, and none has fewer than
/// one before it.
fn last_results(shape: Shape, rows: &[Row]) -> Vec<Row> {
    let mut by_window: BTreeMap<(u64, i64, i64), Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let window = if is_session(shape) {
            (0, 0)
        } else {
            (row.start, row.end)
        };
        by_window
            .entry((row.key, window.0, window.1))
            .or_default()
            .push(row);
    }
    let mut last = Vec::new();
    for mut of_window in by_window.into_values() {
        of_window.sort_by_key(|row| std::cmp::Reverse(row.ids.len()));
        let mut kept: Vec<&Row> = Vec::new();
        for row in of_window {
            let is_part = |other: &&&Row| row.ids.iter().all(|id| other.ids.binary_search(id).is_ok());
            match kept.iter().find(is_part) {
                Some(other) => assert_ne!(other.ids, row.ids, "a result has come twice: {row:?}"),
                None => kept.push(row),
            }
        }
        assert!(
            is_session(shape) || kept.len() == 1,
            "the results of one window contradict each other: {kept:?}"
        );
        last.extend(kept.into_iter().cloned());
    }
    last.sort_unstable();
    last
}

/// What has come of one reckoning.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) rows: Vec<Row>,
    pub(crate) late: Vec<Event>,
}

/// Holds what has come of a reckoning against what can be told of it. Of a job that started from a snapshot, `since` says
/// where that was; of any other it is the start.
pub(crate) fn check(events: &Events, reckoning: &Reckoning, came: &Came, since: &EventCut) {
    let all: BTreeMap<u64, Event> = events.all().map(|event| (event.ids[0], event)).collect();
    let (shape, mut late) = (reckoning.shape(), BTreeSet::new());
    for event in &came.late {
        let id = event.ids[0];
        assert_eq!(all.get(&id), Some(event), "a late record is one that was read");
        assert!(late.insert(id), "{event:?} was late twice");
        assert!(!since.has(id), "{event:?} is late again");
    }
    match events.disorder {
        Disorder::Within => {
            assert!(late.is_empty(), "{late:?} are late, and none should be");
            let reference = refer(reckoning, events.all(), |_| i64::MIN);
            check_rows(shape, &came.rows, &reference.rows, events.watermark(since), since);
        }
        Disorder::BeyondAlone => {
            let mut highest = i64::MIN;
            let reference = refer(reckoning, events.all(), |event| {
                highest = highest.max(event.time_ms);
                highest - BOUND_MS - 1
            });
            let expected = reference.late.iter().filter(|id| !since.has(**id));
            assert_eq!(late, expected.copied().collect(), "what is late is certain");
            let last = last_results(reckoning.shape(), &came.rows);
            check_rows(shape, &last, &reference.rows, events.watermark(since), since);
        }
        Disorder::Racing(_) => check_conserved(events, reckoning, came, &late, &all, since),
    }
}

/// The results are those expected. Those of windows that had all their records at the time of `since`, and were over when
/// the watermark was at `watermark`, may have come before.
fn check_rows(shape: Shape, rows: &[Row], expected: &[Row], watermark: i64, since: &EventCut) {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    let mut came = rows.iter().peekable();
    for row in expected {
        if came.next_if_eq(&row).is_none() {
            let may_have_come = due(shape, row.end) <= watermark && row.ids.iter().all(|id| since.has(*id));
            assert!(
                may_have_come,
                "{row:?} is missing; next is {:?}; since {since:?}, watermark {watermark}",
                came.peek()
            );
        }
    }
    assert_eq!(
        came.next(),
        None,
        "is no result, or has come twice; since {since:?}"
    );
}

/// Each record is late, or in the last results of the windows that were open to it.
fn check_conserved(
    events: &Events,
    reckoning: &Reckoning,
    came: &Came,
    late: &BTreeSet<u64>,
    all: &BTreeMap<u64, Event>,
    since: &EventCut,
) {
    let shape = reckoning.shape();
    let last = last_results(shape, &came.rows);
    let mut found: BTreeMap<u64, BTreeSet<(i64, i64)>> = BTreeMap::new();
    for row in &last {
        for id in &row.ids {
            let event = &all[id];
            assert_eq!(event.key, row.key, "{row:?}");
            assert!(
                row.start <= event.time_ms && event.time_ms < row.end,
                "{event:?} in {row:?}"
            );
            assert!(!late.contains(id), "{event:?} is late, and in {row:?}");
            let is_new = found.entry(*id).or_default().insert((row.start, row.end));
            assert!(is_new, "{event:?} is twice in {row:?}");
        }
        if let Shape::Session { gap } = shape {
            check_session(row, gap, all);
        }
    }
    let highest = all.values().map(|event| event.time_ms).max().unwrap_or(0);
    for (id, event) in all {
        let mine = windows(shape, event.time_ms);
        let found = found.get(id).into_iter().flatten().copied().collect::<Vec<_>>();
        if late.contains(id) {
            let (_, end) = mine[mine.len() - 1];
            let reached = highest - BOUND_MS - 1;
            assert!(
                due(shape, end) + reckoning.lateness() <= reached,
                "{event:?} cannot have been late: the watermark was never beyond {reached}"
            );
        } else if is_session(shape) {
            assert!(
                found.len() == 1 || since.has(*id) && found.is_empty(),
                "{event:?} is in the sessions {found:?}"
            );
        } else if !since.has(*id) {
            assert!(
                !found.is_empty() && mine.ends_with(&found),
                "{event:?} is in the windows {found:?} of {mine:?}"
            );
        }
    }
    assert_eq!(events.again, None, "only certain results are gathered again");
}

/// A session lasts from its first record until nothing came for a gap.
fn check_session(row: &Row, gap: i64, all: &BTreeMap<u64, Event>) {
    let mut times: Vec<i64> = row.ids.iter().map(|id| all[id].time_ms).collect();
    times.sort_unstable();
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] <= gap),
        "{row:?} is not one session: {times:?}"
    );
    assert_eq!(
        (row.start, row.end),
        (times[0], times[times.len() - 1] + gap),
        "{row:?} of {times:?}"
    );
}

/// Holds the results that were gathered again against what they must be: those of the first reckoning, each once.
pub(crate) fn check_again(events: &Events, size: i64, rows: &[Row], since: &EventCut) {
    let first = refer(&events.reckonings[0], events.all(), |_| i64::MIN);
    let mut gathered: BTreeMap<(u64, i64), Vec<u64>> = BTreeMap::new();
    for row in first.rows {
        let start = due(events.reckonings[0].shape(), row.end).div_euclid(size) * size;
        gathered
            .entry((again_key(row.key), start))
            .or_default()
            .extend(row.ids);
    }
    let expected: Vec<Row> = gathered
        .into_iter()
        .map(|((key, start), mut ids)| {
            ids.sort_unstable();
            let end = start + size;
            Row { key, start, end, ids }
        })
        .collect();
    let gathering = Shape::Tumbling { size, offset: 0 };
    check_rows(gathering, rows, &expected, events.watermark(since), since);
}
