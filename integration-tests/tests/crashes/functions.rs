//! The functions with state that random jobs are made of.

use std::time::Duration;

use tidegate::{ProcessingTime, prelude::*};

use crate::spec::{Item, RULES, digest};

type Failure = tidegate::BoxError;
type Context<'a> = ProcessContext<'a, u64, Item>;

/// Keeps the least value.
pub(crate) struct Least;

impl Aggregator for Least {
    type In = i64;
    type Acc = i64;
    type Out = i64;

    fn lift(&self, value: &i64) -> i64 {
        *value
    }

    fn combine(&self, least: &mut i64, value: i64) {
        *least = (*least).min(value);
    }

    fn lower(&self, least: &i64) -> i64 {
        *least
    }
}

/// How long state lives that is to live through every test.
const LONG: Duration = Duration::from_secs(3600);

/// The first timer that no test lives to see.
const FAR: i64 = i64::MAX / 2;

/// The timer of a class, which never fires.
pub(crate) fn far_timer(class: i64) -> ProcessingTime {
    ProcessingTime(FAR + class)
}

/// Whether a timer is one that never fires.
pub(crate) fn is_far(time: ProcessingTime) -> bool {
    time.0 >= FAR
}

/// One state of every kind, with and without a time to live, and timers.
///
/// What depends on the clock is made so that the outcome does not: state lives for an hour or not at all, and timers are
/// set for the end of time, to be deleted, or once per key, to be counted when they fire.
pub(crate) struct Remember {
    count: ValueState<i64>,
    recent: ListState<i64>,
    by_class: MapState<i64, i64>,
    sum: ReducingState<i64>,
    least: AggregatingState<Least>,
    /// Expires with the write that makes it: nobody ever sees it.
    fleeting: ValueState<i64>,
    /// How many of the timers that come have come.
    fired: ValueState<i64>,
    is_ordered: bool,
}

impl Remember {
    pub(crate) fn new(states: &mut StateRegistry<u64>, is_ordered: bool) -> Result<Self, RegistryError> {
        Ok(Self {
            count: states.value("count", StateOptions::default())?,
            recent: states.list("recent", StateOptions::ttl(Ttl::after_write(LONG)))?,
            by_class: states.map("by-class", StateOptions::ttl(Ttl::after_access(LONG)))?,
            sum: states.reducing("sum", StateOptions::default(), |sum: &mut i64, value| {
                *sum = sum.wrapping_add(value)
            })?,
            least: states.aggregating("least", StateOptions::default(), Least)?,
            fleeting: states.value("fleeting", StateOptions::ttl(Ttl::after_write(Duration::ZERO)))?,
            fired: states.value("fired", StateOptions::default())?,
            is_ordered,
        })
    }
}

impl ProcessFunction for Remember {
    type Key = u64;
    type In = Item;
    type Out = Item;

    fn on_record(&self, item: Item, context: &mut Context<'_>) -> Result<(), Failure> {
        let count = self.count.get(context).copied().unwrap_or(0) + 1;
        self.count.set(context, count);
        self.recent.push(context, item.value);
        if self.recent.as_slice(context).len() > 3 {
            self.recent.clear(context);
        }
        let class = item.value.rem_euclid(5);
        let in_class = self.by_class.get(context, &class).copied().unwrap_or(0) + 1;
        if in_class >= 4 {
            self.by_class.remove(context, &class);
            context.delete_processing_time_timer(far_timer(class));
        } else {
            self.by_class.insert(context, class, in_class);
            context.register_processing_time_timer(far_timer(class));
        }
        if count == 1 {
            let soon = Duration::from_millis(item.value.unsigned_abs() % 8);
            context.register_processing_time_timer(context.processing_time().after(soon));
        }
        if let Some(expired) = self.fleeting.get(context) {
            return Err(format!("state that had expired has come back: {expired}").into());
        }
        self.fleeting.set(context, count);
        self.sum.add(context, item.value);
        self.least.add(context, &item.value);
        let recent = self.recent.as_slice(context).len();
        let sum = self.sum.get(context).copied().unwrap_or(0);
        let least = self.least.get(context);
        let value = if self.is_ordered {
            digest(count, recent, in_class, sum, least)
        } else {
            item.value
        };
        context.emit(Item { value, ..item });
        Ok(())
    }

    fn on_timer(&self, time: ProcessingTime, context: &mut Context<'_>) -> Result<(), Failure> {
        if is_far(time) {
            return Err(format!("the timer for {} has fired before the end of time", time.0).into());
        }
        self.fired.update(context, || 0, |fired| *fired += 1);
        Ok(())
    }
}

/// The first item of every value.
pub(crate) struct Deduplicate {
    seen: MapState<i64, ()>,
}

impl Deduplicate {
    pub(crate) fn new(states: &mut StateRegistry<u64>) -> Result<Self, RegistryError> {
        Ok(Self {
            seen: states.map("seen", StateOptions::default())?,
        })
    }
}

impl ProcessFunction for Deduplicate {
    type Key = u64;
    type In = Item;
    type Out = Item;

    fn on_record(&self, item: Item, context: &mut Context<'_>) -> Result<(), Failure> {
        if self.seen.insert(context, item.value, ()).is_none() {
            context.emit(Item { id: 0, ..item });
        }
        Ok(())
    }
}

/// Joins items with those of the second source that have the same key and sequence.
pub(crate) struct Join {
    others: MapState<u64, i64>,
    waiting: MapState<u64, Vec<Item>>,
}

impl Join {
    pub(crate) fn new(states: &mut StateRegistry<u64>) -> Result<Self, RegistryError> {
        Ok(Self {
            others: states.map("others", StateOptions::default())?,
            waiting: states.map("waiting", StateOptions::default())?,
        })
    }
}

fn joined(item: Item, other: i64) -> Item {
    Item {
        value: item.value.wrapping_add(other),
        ..item
    }
}

impl CoProcessFunction for Join {
    type Key = u64;
    type Left = Item;
    type Right = Item;
    type Out = Item;

    fn on_left(&self, item: Item, context: &mut Context<'_>) -> Result<(), Failure> {
        let sequence = item.sequence();
        match self.others.get(context, &sequence).copied() {
            Some(other) => context.emit(joined(item, other)),
            None => {
                let mut waiting = self.waiting.remove(context, &sequence).unwrap_or_default();
                waiting.push(item);
                self.waiting.insert(context, sequence, waiting);
            }
        }
        Ok(())
    }

    fn on_right(&self, other: Item, context: &mut Context<'_>) -> Result<(), Failure> {
        let sequence = other.sequence();
        self.others.insert(context, sequence, other.value);
        for item in self.waiting.remove(context, &sequence).unwrap_or_default() {
            context.emit(joined(item, other.value));
        }
        Ok(())
    }
}

/// Applies rules that come on a broadcast stream; items wait for theirs.
pub(crate) struct Lookup {
    waiting: ListState<Item>,
}

impl Lookup {
    pub(crate) fn new(states: &mut StateRegistry<u64>) -> Result<Self, RegistryError> {
        Ok(Self {
            waiting: states.list("waiting", StateOptions::default())?,
        })
    }
}

impl BroadcastFunction for Lookup {
    type Key = u64;
    type In = Item;
    type Broadcast = (u64, i64);
    type StateKey = u64;
    type StateValue = i64;
    type Out = Item;

    fn on_record(
        &self,
        item: Item,
        rules: &BroadcastState<u64, i64>,
        context: &mut Context<'_>,
    ) -> Result<(), Failure> {
        match rules.get(&(item.key % RULES)) {
            Some(rule) => context.emit(joined(item, *rule)),
            None => self.waiting.push(context, item),
        }
        Ok(())
    }

    fn on_broadcast(
        &self,
        (index, rule): (u64, i64),
        rules: &mut BroadcastState<u64, i64>,
        context: &mut BroadcastContext<'_, u64, Item>,
    ) -> Result<(), Failure> {
        rules.insert(index, rule);
        let waiting = self.waiting;
        context.for_each_key(waiting, move |of_key| {
            if of_key.key() % RULES == index {
                for item in waiting.take(of_key) {
                    of_key.emit(joined(item, rule));
                }
            }
            Ok(())
        });
        Ok(())
    }
}
