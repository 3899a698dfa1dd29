//! Edges deal every record to the right channel, and control elements to all.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::sync::Arc;

use cluster::{Cluster, channel, eventually, number_edge, watermark};
use tidegate_core::{
    Barrier, BarrierKind, Batch, CheckpointId, Control, EventTime, Flow, KeySelector, KeySpace, Push,
    TARGET_RECORDS, WorkerId,
};
use tidegate_exchange::{
    AnyEdge, AnyEdgeReader, AnyWriter, Bincode, Edge, Polled, ReadySet, ReceiverEnd, SenderEnd, WriterOptions,
};

struct ByValue;

impl KeySelector<u64> for ByValue {
    type Key = u64;
    type Probe<'a> = u64;

    fn probe(&self, record: &u64) -> u64 {
        *record
    }
}

fn keyed_edge() -> Edge<u64> {
    Edge::hash(Arc::new(Bincode::default()), ByValue)
}

fn broadcast_edge() -> Edge<u64> {
    Edge::broadcast(Arc::new(Bincode::default()))
}

fn rebalance_edge() -> Edge<u64> {
    Edge::rebalance(Arc::new(Bincode::default()))
}

fn options() -> WriterOptions {
    WriterOptions {
        operator: "numbers".into(),
        space: KeySpace::DEFAULT,
        producer: 0,
    }
}

fn barrier() -> Control {
    Control::Barrier(Barrier {
        checkpoint: CheckpointId(1),
        since: None,
        kind: BarrierKind::Checkpoint,
    })
}

fn push_of(writer: AnyWriter) -> Box<dyn Push<u64>> {
    *writer.push.downcast().expect("a push of the edge's record type")
}

/// One producer and `consumers` many, all on one thread.
fn local(edge: &dyn AnyEdge, consumers: usize) -> (AnyWriter, Vec<Box<dyn AnyEdgeReader>>) {
    let set = ReadySet::new(1);
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..consumers)
        .map(|_| edge.local(set.waker(0), set.waker(0)))
        .unzip();
    let readers = receivers
        .into_iter()
        .map(|end| edge.reader(vec![end]).unwrap())
        .collect();
    (edge.writer(senders, options()).unwrap(), readers)
}

/// Everything that is there to read.
fn read(reader: &mut dyn AnyEdgeReader) -> (Vec<Batch<u64>>, Vec<Control>) {
    let (mut batches, mut controls) = (Vec::new(), Vec::new());
    loop {
        match reader.poll(0).unwrap() {
            Polled::Empty => return (batches, controls),
            Polled::Control(control) => controls.push(control),
            Polled::Batch { records } => {
                let batch = reader.batch().downcast_mut::<Option<Batch<u64>>>().unwrap();
                let batch = batch.take().unwrap();
                assert_eq!(batch.len(), records);
                batches.push(batch);
            }
        }
    }
}

fn records(batches: &[Batch<u64>]) -> Vec<u64> {
    batches.iter().flat_map(|batch| batch.records.clone()).collect()
}

#[test]
fn a_keyed_edge_deals_by_key_group_and_sends_the_hash_along() {
    for consumers in [1, 2, 3, 7] {
        let (writer, mut readers) = local(&keyed_edge(), consumers);
        let mut push = push_of(writer);
        let mut sent = Batch::new();
        (0..1000u64).for_each(|record| sent.push(record, Some(EventTime(record as i64 / 10))));
        let _ = push.push(sent).unwrap();
        let _ = push.flush().unwrap();
        let mut seen = Vec::new();
        for (index, reader) in readers.iter_mut().enumerate() {
            for batch in read(reader.as_mut()).0 {
                let hashes = batch.hashes.as_ref().expect("hashes on a keyed edge");
                for (place, record) in batch.records.iter().enumerate() {
                    assert_eq!(hashes[place], tidegate_core::EncodeKey::key_hash(record));
                    let group = KeySpace::DEFAULT.group_of(hashes[place]);
                    assert_eq!(KeySpace::DEFAULT.task_of(group, consumers as u32), index as u32);
                    assert_eq!(batch.time(place), Some(EventTime(*record as i64 / 10)));
                    seen.push(*record);
                }
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
    }
}

#[test]
fn a_single_consumer_gets_the_vector_as_it_is() {
    let (writer, mut readers) = local(&keyed_edge(), 1);
    let sent: Vec<u64> = (0..TARGET_RECORDS as u64).collect();
    let place = sent.as_ptr();
    let _ = push_of(writer).push(sent.into()).unwrap();
    let (batches, _) = read(readers[0].as_mut());
    assert_eq!(batches[0].records.as_ptr(), place);
}

#[test]
fn records_wait_for_company_until_flushed() {
    let (writer, mut readers) = local(&keyed_edge(), 2);
    let status = Arc::clone(&writer.status);
    let mut push = push_of(writer);
    let _ = push.push((0..10).collect::<Vec<_>>().into()).unwrap();
    assert!(
        readers
            .iter_mut()
            .all(|reader| read(reader.as_mut()).0.is_empty())
    );
    let since = status.buffered_since().expect("records are buffered");
    let _ = push.push(vec![10].into()).unwrap();
    assert_eq!(status.buffered_since(), Some(since));
    let _ = push.flush().unwrap();
    assert_eq!(status.buffered_since(), None);
    let count: usize = readers
        .iter_mut()
        .map(|reader| records(&read(reader.as_mut()).0).len())
        .sum();
    assert_eq!(count, 11);
}

#[test]
fn control_elements_go_to_all_after_what_came_before() {
    for edge in [keyed_edge(), broadcast_edge(), rebalance_edge()] {
        let (writer, mut readers) = local(&edge, 3);
        let mut push = push_of(writer);
        let _ = push.push(vec![1, 2, 3].into()).unwrap();
        for control in [watermark(1), barrier(), Control::End] {
            let _ = push.control(control).unwrap();
        }
        let mut total = 0;
        for reader in &mut readers {
            let (batches, controls) = read(reader.as_mut());
            assert_eq!(
                controls,
                [watermark(1), barrier(), Control::End],
                "{:?}",
                edge.partitioning()
            );
            total += records(&batches).len();
        }
        let copies = if edge.partitioning() == broadcast_edge().partitioning() {
            3
        } else {
            1
        };
        assert_eq!(total, 3 * copies);
    }
}

#[test]
fn a_broadcast_reaches_all_and_a_round_robin_is_even() {
    let (writer, mut readers) = local(&broadcast_edge(), 3);
    let mut push = push_of(writer);
    let _ = push.push((0..500).collect::<Vec<_>>().into()).unwrap();
    let _ = push.flush().unwrap();
    for reader in &mut readers {
        assert_eq!(records(&read(reader.as_mut()).0), (0..500).collect::<Vec<_>>());
    }
    let (writer, mut readers) = local(&rebalance_edge(), 3);
    let mut push = push_of(writer);
    for _ in 0..9 {
        let _ = push.push(vec![0; TARGET_RECORDS].into()).unwrap();
    }
    for reader in &mut readers {
        assert_eq!(records(&read(reader.as_mut()).0).len(), 3 * TARGET_RECORDS);
    }
}

#[test]
fn one_full_channel_blocks_the_writer_until_it_is_drained() {
    let (writer, mut readers) = local(&keyed_edge(), 2);
    let mut push = push_of(writer);
    let mut sent = 0u64;
    while push.push((sent..sent + 1000).collect::<Vec<_>>().into()).unwrap() == Flow::Ready {
        sent += 1000;
    }
    sent += 1000;
    assert_eq!(push.drain().unwrap(), Flow::Blocked);
    let _ = push.control(Control::End).unwrap();
    let mut seen = Vec::new();
    let mut ended = 0;
    while ended < 2 {
        let _ = push.drain().unwrap();
        for reader in &mut readers {
            let (batches, controls) = read(reader.as_mut());
            seen.extend(records(&batches));
            ended += controls.len();
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..sent).collect::<Vec<_>>());
    assert_eq!(push.drain().unwrap(), Flow::Ready);
}

#[test]
fn ends_of_another_type_are_refused() {
    let set = ReadySet::new(1);
    let texts = cluster::text_edge();
    let (sender, receiver) = texts.local(set.waker(0), set.waker(0));
    let error = number_edge()
        .writer(vec![sender], options())
        .map(drop)
        .unwrap_err();
    assert!(error.to_string().contains("u64"), "{error}");
    assert!(number_edge().reader(vec![receiver]).is_err());
    assert!(number_edge().writer(Vec::new(), options()).is_err());
}

#[test]
fn consumers_here_and_elsewhere_get_the_same_barrier_in_its_place() {
    let cluster = Cluster::of_two();
    let edge = keyed_edge();
    let (here, here_end) = edge.local(cluster.waker(), cluster.waker());
    let mut senders = vec![here];
    let mut readers = vec![edge.reader(vec![here_end]).unwrap()];
    for place in 1..4 {
        let id = channel(1, place);
        let sender = cluster.network(0).open_sender(WorkerId(1), id, cluster.waker());
        senders.push(SenderEnd::Remote(sender.unwrap()));
        // The last consumer comes late: all of its data has to wait, the barrier is sent for all three at once.
        if place < 3 {
            let receiver = cluster.network(1).open_receiver(WorkerId(0), id, cluster.waker());
            readers.push(edge.reader(vec![ReceiverEnd::Remote(receiver.unwrap())]).unwrap());
        }
    }
    let mut push = push_of(edge.writer(senders, options()).unwrap());
    let before: Vec<u64> = (0..20_000).collect();
    for batch in before.chunks(1000) {
        let _ = push.push(batch.to_vec().into()).unwrap();
    }
    let _ = push.control(barrier()).unwrap();
    let _ = push.push((20_000..21_000).collect::<Vec<_>>().into()).unwrap();
    let _ = push.control(Control::End).unwrap();
    let late = cluster
        .network(1)
        .open_receiver(WorkerId(0), channel(1, 3), cluster.waker());
    readers.push(edge.reader(vec![ReceiverEnd::Remote(late.unwrap())]).unwrap());

    let mut ahead = Vec::new();
    let mut barriers = 0;
    let mut ended = 0;
    let mut has_passed = [false; 4];
    eventually("all channels end", || {
        let _ = push.drain().unwrap();
        for (index, reader) in readers.iter_mut().enumerate() {
            loop {
                match reader.poll(0).unwrap() {
                    Polled::Empty => break,
                    Polled::Control(Control::End) => ended += 1,
                    Polled::Control(control) => {
                        assert_eq!(control, barrier());
                        has_passed[index] = true;
                        barriers += 1;
                    }
                    Polled::Batch { .. } => {
                        let batch = reader
                            .batch()
                            .downcast_mut::<Option<Batch<u64>>>()
                            .unwrap()
                            .take();
                        for record in batch.unwrap().records {
                            assert_eq!(record >= 20_000, has_passed[index]);
                            ahead.push(record);
                        }
                    }
                }
            }
        }
        ended == 4
    });
    assert_eq!(barriers, 4);
    ahead.sort_unstable();
    assert_eq!(ahead, (0..21_000).collect::<Vec<_>>());
}
