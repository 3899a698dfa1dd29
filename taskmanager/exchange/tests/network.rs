//! Two workers over loopback: what goes in at one end comes out at the other, in order, and nobody waits for a
//! stranger.

mod cluster;

use std::time::Duration;

use cluster::{Cluster, channel, eventually, identity, number_edge, numbers, text_edge, watermark};
use proptest::prelude::*;
use tidegate_core::{Attempt, Barrier, BarrierKind, Batch, CheckpointId, Control, Flow, WorkerId};
use tidegate_exchange::{ChannelError, Message, Refusal};

fn barrier(checkpoint: u64) -> Control {
    Control::Barrier(Barrier {
        checkpoint: CheckpointId(checkpoint),
        since: None,
        kind: BarrierKind::Checkpoint,
    })
}

#[test]
fn batches_and_control_elements_keep_their_order() {
    let cluster = Cluster::of_two();
    let (mut sender, mut receiver) = cluster.channel(number_edge(), channel(1, 0));
    let mut expected = Vec::new();
    for i in 0..200u64 {
        let batch = Batch::from((i * 100..(i + 1) * 100).collect::<Vec<_>>());
        expected.push(Message::Batch(batch.clone()));
        let _ = sender.send(batch).unwrap();
        if i % 7 == 0 {
            expected.push(Message::Control(watermark(i as i64)));
            let _ = sender.control(watermark(i as i64)).unwrap();
        }
    }
    let _ = sender.control(Control::End).unwrap();
    expected.push(Message::Control(Control::End));
    let received = cluster.pump(&mut sender, &mut receiver);
    assert_eq!(numbers(received), numbers(expected));
}

#[test]
fn control_overtakes_nothing_even_where_data_is_unsent() {
    let cluster = Cluster::of_two();
    let id = channel(1, 0);
    let mut sender = cluster.open_sender(number_edge(), id);
    // Without a receiver there is no credit: everything stays at the sender, the barrier goes at once.
    assert_eq!(sender.send(vec![1, 2, 3].into()).unwrap(), Flow::Blocked);
    assert_eq!(sender.control(barrier(1)).unwrap(), Flow::Blocked);
    assert_eq!(sender.send(vec![4].into()).unwrap(), Flow::Blocked);
    assert_eq!(sender.control(watermark(9)).unwrap(), Flow::Blocked);
    assert_eq!(sender.control(Control::End).unwrap(), Flow::Blocked);
    let mut receiver = cluster.open_receiver(number_edge(), id);
    let received = cluster.pump(&mut sender, &mut receiver);
    assert_eq!(
        received,
        [
            Message::Batch(vec![1, 2, 3].into()),
            Message::Control(barrier(1)),
            Message::Batch(vec![4].into()),
            Message::Control(watermark(9)),
            Message::Control(Control::End),
        ]
    );
}

#[test]
fn a_consumer_that_does_not_poll_holds_back_neither_its_neighbours_data_nor_their_barriers() {
    let cluster = Cluster::of_two();
    let edge = number_edge();
    let (mut stuck, mut unread) = cluster.channel(edge.clone(), channel(1, 0));
    let (mut busy, mut read) = cluster.channel(edge, channel(1, 1));
    // Fill the stuck channel until its credit is gone.
    let mut sent = 0u64;
    eventually("the stuck channel runs out of credit", || {
        while stuck.drain().unwrap() == Flow::Ready {
            let _ = stuck
                .send((sent..sent + 1000).collect::<Vec<_>>().into())
                .unwrap();
            sent += 1000;
        }
        sent > 0
    });
    let _ = stuck
        .send((sent..sent + 1000).collect::<Vec<_>>().into())
        .unwrap();
    sent += 1000;
    let _ = stuck.control(barrier(1)).unwrap();
    let _ = stuck.control(Control::End).unwrap();

    // Far more than all of its windows passes next to it.
    for i in 0..400u64 {
        let _ = busy.send(vec![i; 5_000].into()).unwrap();
    }
    let _ = busy.control(barrier(1)).unwrap();
    let _ = busy.control(Control::End).unwrap();
    let received = cluster.pump(&mut busy, &mut read);
    assert_eq!(numbers(received).0.len(), 400 * 5_000);

    // And what is stuck is still whole.
    let received = cluster.pump(&mut stuck, &mut unread);
    assert_eq!(numbers(received).0, (0..sent).collect::<Vec<_>>());
}

#[test]
fn a_record_larger_than_the_window_passes() {
    let cluster = Cluster::with(|options| options.max_window_bytes = 64 * 1024);
    let (mut sender, mut receiver) = cluster.channel(text_edge(), channel(1, 0));
    let sizes = [10, 300_000, 1, 2_000_000, 65_536, 3];
    for size in sizes {
        let _ = sender.send(vec!["x".repeat(size)].into()).unwrap();
        let _ = sender.send(vec!["y".repeat(100)].into()).unwrap();
    }
    let _ = sender.control(Control::End).unwrap();
    let received = cluster.pump(&mut sender, &mut receiver);
    let lengths: Vec<_> = received
        .into_iter()
        .filter_map(|message| match message {
            Message::Batch(batch) => Some(batch.records),
            Message::Control(_) => None,
        })
        .flatten()
        .map(|text| text.len())
        .filter(|length| *length != 100)
        .collect();
    assert_eq!(lengths, sizes);
}

#[test]
fn a_record_above_the_limit_is_a_typed_error() {
    let cluster = Cluster::of_two();
    let (mut sender, _receiver) = cluster.channel(text_edge(), channel(1, 0));
    let _ = sender.send(vec!["x".repeat(20 * 1024 * 1024)].into()).map(drop);
    let mut error = None;
    eventually("the record is encoded and refused", || {
        error = sender.drain().err();
        error.is_some()
    });
    let Some(ChannelError::Codec(error)) = error else {
        panic!("{error:?} is not a codec error")
    };
    assert!(error.to_string().contains("max_record_bytes"), "{error}");
}

#[test]
fn all_consumers_of_a_broadcast_get_everything_and_the_slowest_returns_the_credit() {
    let cluster = Cluster::of_two();
    let id = channel(1, 0);
    let mut sender = cluster.open_sender(number_edge(), id);
    let mut receivers = cluster.open_broadcast(number_edge(), id, 3);
    let mut slow = receivers.pop().unwrap();
    let mut sent = 0;
    // Two consumers keep up, the third reads nothing: the window ends.
    let mut fast = vec![Vec::new(); 2];
    let mut idle_rounds = 0;
    eventually("the slow consumer holds the sender back", || {
        let flow = sender.drain().unwrap();
        if flow == Flow::Ready {
            let _ = sender.send(vec![sent; 1000].into()).unwrap();
            sent += 1;
        }
        let mut had_any = false;
        for (receiver, seen) in receivers.iter_mut().zip(&mut fast) {
            while let Some(message) = receiver.poll().unwrap() {
                had_any = true;
                seen.push(message);
            }
        }
        idle_rounds = if flow == Flow::Blocked && !had_any && sent > 0 {
            idle_rounds + 1
        } else {
            0
        };
        idle_rounds > 20
    });
    assert!(sent < 100, "{sent} batches of 8 kB were sent against one window");
    let _ = sender.control(Control::End).unwrap();
    let received = cluster.pump(&mut sender, &mut slow);
    assert_eq!(numbers(received).0.len(), sent as usize * 1000);
    for (receiver, mut seen) in receivers.into_iter().zip(fast) {
        let mut receiver = receiver;
        seen.extend(cluster.pump(&mut sender, &mut receiver));
        assert_eq!(numbers(seen).0.len(), sent as usize * 1000);
    }
}

#[test]
fn a_zombie_of_an_earlier_attempt_is_refused_with_the_reason() {
    let cluster = Cluster::of_two();
    cluster.begin_on(1, identity(1, 2));
    let (sender_end, waker) = (cluster.network(0), cluster.waker());
    let mut sender = cluster::framed(
        number_edge(),
        sender_end.open_sender(WorkerId(1), channel(1, 0), waker).unwrap(),
    );
    let error = cluster.eventual_error(&mut sender);
    let reason = Refusal::Attempt { ours: 2, theirs: 1 }.to_string();
    assert!(error.contains(&reason), "{error}");
    assert_eq!(cluster.losses(0), 1);
    assert_eq!(cluster.losses(1), 0);
}

#[test]
fn an_older_generation_is_refused() {
    let cluster = Cluster::of_two();
    cluster.begin_on(1, cluster::identity_of_generation(1, 1, 8));
    let mut sender = cluster.open_sender(number_edge(), channel(1, 0));
    let error = cluster.eventual_error(&mut sender);
    assert!(error.contains("generation 8"), "{error}");
}

#[test]
fn another_graph_is_refused_with_both_fingerprints() {
    let cluster = Cluster::of_two();
    let mut other = identity(1, 1);
    other.graph_fingerprint = 0xbad;
    cluster.begin_on(1, other);
    let mut sender = cluster.open_sender(number_edge(), channel(1, 0));
    let error = cluster.eventual_error(&mut sender);
    assert!(
        error.contains("0x0000000000000bad") && error.contains("deterministic"),
        "{error}"
    );
}

#[test]
fn connections_outlive_attempts_and_old_frames_do_not_come_through() {
    let cluster = Cluster::of_two();
    let old = channel(1, 0);
    let (mut sender, mut receiver) = cluster.channel(number_edge(), old);
    let _ = sender.send(vec![1, 2, 3].into()).unwrap();
    eventually("the first batch has arrived", || {
        let _ = sender.drain().unwrap();
        receiver.poll().unwrap().is_some()
    });

    // The receiving worker rolls back first; the other has not heard of it and goes on.
    cluster.begin_on(1, identity(1, 2));
    let new = channel(2, 0);
    let mut receiver = cluster.open_receiver(number_edge(), new);
    let _ = sender.send(vec![4, 5, 6].into()).unwrap();
    let _ = sender.control(watermark(1)).unwrap();
    eventually("frames of the old attempt are dropped and counted", || {
        let _ = sender.drain().unwrap();
        cluster.network(1).dropped_frames() >= 2
    });

    cluster.begin_on(0, identity(0, 2));
    let mut sender = cluster.open_sender(number_edge(), new);
    let _ = sender.send(vec![7].into()).unwrap();
    let _ = sender.control(Control::End).unwrap();
    let received = cluster.pump(&mut sender, &mut receiver);
    assert_eq!(numbers(received), (vec![7], vec![(1, Control::End)]));
    assert_eq!((cluster.losses(0), cluster.losses(1)), (0, 0));
}

#[test]
fn a_worker_that_begins_first_is_waited_for() {
    let cluster = Cluster::of_two();
    cluster.begin_on(0, identity(0, 2));
    let id = channel(2, 0);
    let mut sender = cluster.open_sender(number_edge(), id);
    let _ = sender.send(vec![1].into()).unwrap();
    let _ = sender.control(Control::End).unwrap();
    cluster.begin_on(1, identity(1, 2));
    let mut receiver = cluster.open_receiver(number_edge(), id);
    let received = cluster.pump(&mut sender, &mut receiver);
    assert_eq!(numbers(received).0, [1]);
}

#[test]
fn a_receiver_may_be_open_long_before_its_sender() {
    let cluster = Cluster::of_two();
    // The connection stands because of another channel, so the grant arrives before anyone has asked for it.
    let (mut first, mut first_end) = cluster.channel(number_edge(), channel(1, 0));
    let mut receiver = cluster.open_receiver(number_edge(), channel(1, 1));
    let _ = first.send(vec![0].into()).unwrap();
    let _ = first.control(Control::End).unwrap();
    assert_eq!(numbers(cluster.pump(&mut first, &mut first_end)).0, [0]);
    let mut sender = cluster.open_sender(number_edge(), channel(1, 1));
    let _ = sender.send(vec![1].into()).unwrap();
    let _ = sender.control(Control::End).unwrap();
    assert_eq!(numbers(cluster.pump(&mut sender, &mut receiver)).0, [1]);
}

#[test]
fn a_peer_that_goes_is_noticed_at_both_ends_of_its_channels() {
    let mut cluster = Cluster::of_two();
    let (mut sender, receiver) = cluster.channel(number_edge(), channel(1, 0));
    let _ = sender.send(vec![1].into()).unwrap();
    eventually("the connection stands", || {
        let _ = sender.drain().unwrap();
        cluster.network(0).channels()[0].meter.frames.get() > 0
    });
    drop(receiver);
    cluster.crash(1);
    let error = cluster.eventual_error(&mut sender);
    assert!(error.contains("worker 1"), "{error}");
    eventually("the loss is reported", || cluster.losses(0) == 1);
}

#[test]
fn a_stranger_on_the_port_is_sent_away_and_hurts_nobody() {
    use std::io::{Read, Write};
    let cluster = Cluster::of_two();
    let mut stranger = std::net::TcpStream::connect(cluster.network(1).address()).unwrap();
    stranger.write_all(&[b'G'; 4096]).unwrap();
    stranger.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // Closed, by a reset or an end, without an answer.
    assert!(matches!(stranger.read(&mut [0; 16]), Ok(0) | Err(_)));
    let (mut sender, mut receiver) = cluster.channel(number_edge(), channel(1, 0));
    let _ = sender.send(vec![1].into()).unwrap();
    let _ = sender.control(Control::End).unwrap();
    assert_eq!(numbers(cluster.pump(&mut sender, &mut receiver)).0, [1]);
}

#[test]
fn opening_what_cannot_be_opened_is_an_error() {
    let cluster = Cluster::of_two();
    let network = cluster.network(0);
    let open = |peer, id| network.open_sender(WorkerId(peer), id, cluster.waker()).map(drop);
    assert!(open(1, channel(1, 0)).is_ok());
    assert!(
        open(1, channel(1, 0))
            .unwrap_err()
            .to_string()
            .contains("already")
    );
    assert!(
        open(7, channel(1, 1))
            .unwrap_err()
            .to_string()
            .contains("worker 7")
    );
    assert_eq!(identity(0, 1).attempt, Attempt(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever the sizes of batches and wherever control elements stand, every channel gets its own, whole and in order.
    #[test]
    fn many_channels_with_random_traffic_stay_apart(
        traffic in proptest::collection::vec(
            proptest::collection::vec((0usize..4000, any::<bool>()), 1..12),
            1..5,
        )
    ) {
        let cluster = Cluster::of_two();
        let mut ends: Vec<_> = (0..traffic.len() as u64)
            .map(|place| cluster.channel(number_edge(), channel(1, place)))
            .collect();
        let mut expected = Vec::new();
        for ((sender, _), batches) in ends.iter_mut().zip(&traffic) {
            let mut messages = Vec::new();
            for (index, (size, with_watermark)) in batches.iter().enumerate() {
                let batch: Batch<u64> = vec![index as u64; *size].into();
                let _ = sender.send(batch.clone()).unwrap();
                messages.push(Message::Batch(batch));
                if *with_watermark {
                    let _ = sender.control(watermark(index as i64)).unwrap();
                    messages.push(Message::Control(watermark(index as i64)));
                }
            }
            let _ = sender.control(Control::End).unwrap();
            messages.push(Message::Control(Control::End));
            expected.push(numbers(messages));
        }
        for ((sender, receiver), expected) in ends.iter_mut().zip(expected) {
            let received = numbers(cluster.pump(sender, receiver));
            // Of watermarks with no record between them only the last need arrive.
            prop_assert_eq!(received.0, expected.0);
            prop_assert_eq!(received.1.last(), expected.1.last());
            for control in &received.1 {
                prop_assert!(expected.1.contains(control));
            }
        }
    }
}
