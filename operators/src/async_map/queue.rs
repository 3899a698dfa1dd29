//! The records whose results have not left yet, in the order in which they came, with the control elements between them.
//!
//! Pure: it decides what may leave next and what may be called for next, and knows nothing of calls, clocks or threads.

use std::collections::VecDeque;

use tidegate_core::{BoxError, Control, EventTime};

use super::options::Order;

/// A record on its way through an asynchronous operator.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) record: T,
    pub(super) time: Option<EventTime>,
    /// The record's place among those that the operator has received in this attempt.
    pub(super) position: u64,
}

/// What may leave.
#[derive(Debug)]
pub(super) enum Departure<T, R> {
    Answered(Entry<T>, Result<R, BoxError>),
    Control(Control),
}

enum Element<T, R, C> {
    /// A record and the state of its call; `Err` when the call is over.
    Called(Entry<T>, C),
    Answered(Entry<T>, Result<R, BoxError>),
    Control(Control),
    /// Its result left before that of one ahead of it.
    Gone,
}

/// The queue. `C` is whatever is kept for a record while its call is not answered; elements are numbered as they come.
pub(super) struct Queue<T, R, C> {
    order: Order,
    in_flight_limit: usize,
    elements: VecDeque<Element<T, R, C>>,
    /// The number of the first element.
    first: u64,
    /// The number of the first element that has not been looked at by [`start_next`](Self::start_next).
    unstarted: u64,
    /// How many records have been called for and have not left.
    in_flight: usize,
    /// The numbers of the control elements.
    controls: VecDeque<u64>,
    /// Without order: the numbers of the records that may leave.
    leaving: VecDeque<u64>,
}

impl<T, R, C: Default> Queue<T, R, C> {
    pub(super) fn new(order: Order, in_flight_limit: usize) -> Self {
        Self {
            order,
            in_flight_limit,
            elements: VecDeque::new(),
            first: 0,
            unstarted: 0,
            in_flight: 0,
            controls: VecDeque::new(),
            leaving: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, entry: Entry<T>) {
        self.elements.push_back(Element::Called(entry, C::default()));
    }

    /// Of watermarks that wait one right after the other only the last says anything.
    pub(super) fn push_control(&mut self, control: Control) {
        if let (Control::Watermark(_), Some(Element::Control(last @ Control::Watermark(_)))) =
            (control, self.elements.back_mut())
        {
            *last = control;
            return;
        }
        self.controls.push_back(self.end());
        self.elements.push_back(Element::Control(control));
    }

    /// Whether there are records that have not been called for: nothing more should come.
    pub(super) fn is_full(&self) -> bool {
        let from = usize::try_from(self.unstarted.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.elements
            .iter()
            .skip(from)
            .any(|element| matches!(element, Element::Called(..)))
    }

    /// Whether the end of the input waits here.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.elements.back(), Some(Element::Control(Control::End)))
    }

    /// The records whose results have not left, oldest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry<T>> {
        self.elements.iter().filter_map(|element| match element {
            Element::Called(entry, _) | Element::Answered(entry, _) => Some(entry),
            Element::Control(_) | Element::Gone => None,
        })
    }

    /// The number of the next record to call for, unless enough are in flight or there is none.
    pub(super) fn start_next(&mut self) -> Option<u64> {
        if self.in_flight >= self.in_flight_limit {
            return None;
        }
        while self.unstarted < self.end() {
            let number = self.unstarted;
            self.unstarted += 1;
            if self.unanswered(number).is_some() {
                self.in_flight += 1;
                return Some(number);
            }
        }
        None
    }

    /// A record that has no answer yet.
    pub(super) fn unanswered(&mut self, number: u64) -> Option<(&Entry<T>, &mut C)> {
        match self.element(number)? {
            Element::Called(entry, call) => Some((entry, call)),
            _ => None,
        }
    }

    /// A record has its answer.
    pub(super) fn answer(&mut self, number: u64, result: Result<R, BoxError>) {
        let may_leave = self.controls.front().is_none_or(|control| number < *control);
        let Some(element) = self.element(number) else {
            return;
        };
        match std::mem::replace(element, Element::Gone) {
            Element::Called(entry, _) => *element = Element::Answered(entry, result),
            other => {
                *element = other;
                return;
            }
        }
        if self.order == Order::Unordered && may_leave {
            self.leaving.push_back(number);
        }
    }

    /// What leaves next, if anything may.
    pub(super) fn pop(&mut self) -> Option<Departure<T, R>> {
        while let Some(front) = self.elements.front() {
            match front {
                Element::Gone | Element::Control(_) => {}
                Element::Answered(..) if self.order == Order::Ordered => {}
                Element::Answered(..) | Element::Called(..) => break,
            }
            let front = self.elements.pop_front();
            self.first += 1;
            match front {
                Some(Element::Answered(entry, result)) => {
                    self.in_flight -= 1;
                    return Some(Departure::Answered(entry, result));
                }
                Some(Element::Control(control)) => {
                    self.controls.pop_front();
                    self.open_segment();
                    return Some(Departure::Control(control));
                }
                _ => {}
            }
        }
        let number = self.leaving.pop_front()?;
        let element = self.element(number)?;
        match std::mem::replace(element, Element::Gone) {
            Element::Answered(entry, result) => {
                self.in_flight -= 1;
                Some(Departure::Answered(entry, result))
            }
            other => {
                *element = other;
                None
            }
        }
    }

    /// A control element has left: those answered behind it, up to the next one, may leave.
    fn open_segment(&mut self) {
        if self.order == Order::Ordered {
            return;
        }
        let end = self.controls.front().copied().unwrap_or_else(|| self.end());
        let segment = self.elements.iter().zip(self.first..end);
        let answered = segment.filter(|(element, _)| matches!(element, Element::Answered(..)));
        self.leaving.extend(answered.map(|(_, number)| number));
    }

    /// The number of the next element to come.
    fn end(&self) -> u64 {
        self.first + self.elements.len() as u64
    }

    fn element(&mut self, number: u64) -> Option<&mut Element<T, R, C>> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.elements.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type TestQueue = Queue<u32, u32, ()>;

    fn entry(record: u32) -> Entry<u32> {
        Entry {
            record,
            time: None,
            position: u64::from(record),
        }
    }

    fn watermark(time: i64) -> Control {
        Control::Watermark(EventTime(time))
    }

    /// What leaves, in short: the result, or a watermark as a negative number.
    fn departures(queue: &mut TestQueue) -> Vec<i64> {
        let popped = std::iter::from_fn(|| queue.pop());
        popped
            .map(|departure| match departure {
                Departure::Answered(_, result) => i64::from(result.unwrap()),
                Departure::Control(Control::Watermark(time)) => -time.0,
                Departure::Control(other) => panic!("{other:?} was not pushed"),
            })
            .collect()
    }

    /// Records 0, 1, a watermark, record 2 (number 3).
    fn queue(order: Order, limit: usize) -> TestQueue {
        let mut queue = TestQueue::new(order, limit);
        queue.push(entry(0));
        queue.push(entry(1));
        queue.push_control(watermark(10));
        queue.push(entry(2));
        queue
    }

    #[test]
    fn with_order_a_result_waits_for_those_before_it() {
        let mut queue = queue(Order::Ordered, 10);
        assert_eq!(
            Vec::from_iter(std::iter::from_fn(|| queue.start_next())),
            [0, 1, 3]
        );
        queue.answer(3, Ok(2));
        queue.answer(1, Ok(1));
        assert!(departures(&mut queue).is_empty());
        queue.answer(0, Ok(0));
        assert_eq!(departures(&mut queue), [0, 1, -10, 2]);
    }

    #[test]
    fn without_order_a_result_waits_for_watermarks_only() {
        let mut queue = queue(Order::Unordered, 10);
        while queue.start_next().is_some() {}
        queue.answer(3, Ok(2));
        queue.answer(1, Ok(1));
        assert_eq!(departures(&mut queue), [1]);
        queue.answer(0, Ok(0));
        assert_eq!(departures(&mut queue), [0, -10, 2]);
        assert_eq!(queue.entries().count(), 0);
    }

    #[test]
    fn no_more_are_called_for_than_may_be_in_flight() {
        let mut queue = queue(Order::Ordered, 2);
        assert_eq!(Vec::from_iter(std::iter::from_fn(|| queue.start_next())), [0, 1]);
        assert!(queue.is_full());
        // An answer that cannot leave keeps its place.
        queue.answer(1, Ok(1));
        assert_eq!((departures(&mut queue), queue.start_next()), (vec![], None));
        queue.answer(0, Ok(0));
        assert_eq!(
            (departures(&mut queue), queue.start_next()),
            (vec![0, 1, -10], Some(3))
        );
        assert!(!queue.is_full());
    }

    #[test]
    fn watermarks_in_a_row_are_one() {
        let mut queue = queue(Order::Ordered, 10);
        queue.push_control(watermark(20));
        queue.push_control(watermark(30));
        while queue.start_next().is_some() {}
        for number in [0, 1, 3] {
            queue.answer(number, Ok(7));
        }
        assert_eq!(departures(&mut queue), [7, 7, -10, 7, -30]);
    }

    #[test]
    fn a_second_answer_changes_nothing() {
        let mut queue = queue(Order::Unordered, 10);
        while queue.start_next().is_some() {}
        queue.answer(0, Ok(5));
        queue.answer(0, Ok(6));
        assert_eq!(departures(&mut queue), [5]);
        queue.answer(0, Ok(7));
        assert!(departures(&mut queue).is_empty());
    }

    proptest! {
        /// Whatever the order of answers: everything leaves once, nothing overtakes a watermark in either direction, and
        /// with order nothing overtakes anything.
        #[test]
        fn nothing_overtakes_a_watermark(
            // Records, and watermarks where it says so.
            input in prop::collection::vec(prop::bool::weighted(0.3), 0..40),
            answers in prop::collection::vec(0usize..1000, 0..80),
            ordered in any::<bool>(),
            limit in 1usize..8,
        ) {
            let order = if ordered { Order::Ordered } else { Order::Unordered };
            let mut queue = TestQueue::new(order, limit);
            let mut expected = Vec::new();
            for (index, is_watermark) in input.iter().enumerate() {
                let index = u32::try_from(index).unwrap() + 1;
                if *is_watermark {
                    if expected.last().is_some_and(|last: &i64| *last < 0) {
                        expected.pop();
                    }
                    expected.push(-i64::from(index));
                    queue.push_control(watermark(i64::from(index)));
                } else {
                    expected.push(i64::from(index));
                    queue.push(entry(index));
                }
            }
            let mut running = Vec::new();
            let mut left = Vec::new();
            let mut picks = answers.into_iter().cycle();
            loop {
                while let Some(number) = queue.start_next() {
                    running.push(number);
                }
                prop_assert!(running.len() <= limit);
                left.extend(departures(&mut queue));
                if running.is_empty() {
                    break;
                }
                let number = running.swap_remove(picks.next().unwrap_or(0) % running.len());
                let record = queue.unanswered(number).map(|(entry, ())| entry.record).unwrap();
                queue.answer(number, Ok(record));
                prop_assert!(queue.in_flight <= limit);
                left.extend(departures(&mut queue));
            }
            if !ordered {
                // Within a segment any order will do.
                left.split_mut(|element| *element < 0).for_each(<[i64]>::sort_unstable);
            }
            prop_assert_eq!(left, expected);
        }
    }
}
