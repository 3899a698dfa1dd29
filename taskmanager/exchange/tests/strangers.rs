//! Whoever reaches a worker's data port without belonging there is turned away and counted, and harms nobody.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::{
    cell::Cell,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use cluster::{Cluster, channel, eventually, identity, identity_of_generation, number_edge, numbers};
use tidegate_core::{Control, WorkerId};
use tidegate_exchange::{FrameHeader, FrameKind, HEADER_BYTES, Handshake, PeerSecret, Refusal};

const SECRET: &[u8] = b"correct-horse-battery-staple";

/// Workers with a secret, who are not patient with those who say nothing.
fn secret_cluster() -> Cluster {
    Cluster::with(|options| {
        options.secret = Some(PeerSecret::new(SECRET));
        options.handshake_timeout = Duration::from_millis(300);
    })
}

fn stranger(cluster: &Cluster) -> TcpStream {
    let stranger = TcpStream::connect(cluster.network(1).address()).unwrap();
    stranger.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stranger
}

/// What a stranger is told until its connection is closed.
fn last_words(mut stranger: TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    // By an end or by a reset; but for silence, which would be an error of another kind.
    if let Err(error) = stranger.read_to_end(&mut heard) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it was left alone");
    }
    heard
}

fn hello(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = Vec::new();
    Handshake {
        from: identity(0, 1),
        to: WorkerId(1),
        listen: ([127, 0, 0, 1], 1).into(),
    }
    .encode(&mut body);
    change(&mut body);
    FrameHeader::plain(FrameKind::Handshake, identity(0, 1).attempt)
        .frame(&body)
        .unwrap()
}

fn with_nonce(body: &mut Vec<u8>) {
    body.push(1);
    body.extend_from_slice(&[7; 32]);
}

/// The refusal in what was heard, behind `skip` bytes.
fn refusal(heard: &[u8], skip: usize) -> Refusal {
    Refusal::decode(&heard[skip + HEADER_BYTES..]).unwrap()
}

/// A channel that is open already and one that is opened now both carry what they are given.
fn works(cluster: &Cluster, places: std::ops::Range<u64>) {
    for place in places {
        let (mut sender, mut receiver) = cluster.channel(number_edge(), channel(1, place));
        let _ = sender.send(vec![place, 2, 3].into()).unwrap();
        let _ = sender.control(Control::End).unwrap();
        let received = cluster.pump(&mut sender, &mut receiver);
        assert_eq!(numbers(received).0, [place, 2, 3]);
    }
}

#[test]
fn workers_that_know_the_secret_are_connected() {
    let cluster = secret_cluster();
    works(&cluster, 0..3);
    assert_eq!(cluster.network(1).refused_connections(), 0);
}

#[test]
fn a_worker_with_another_secret_or_none_is_refused_in_words() {
    for other in [Some(PeerSecret::new(b"another-secret-altogether")), None] {
        for knows in [0, 1] {
            let worker = Cell::new(0);
            let cluster = Cluster::with(|options| {
                let own = worker.replace(worker.get() + 1) == knows;
                options.secret = if own {
                    Some(PeerSecret::new(SECRET))
                } else {
                    other.clone()
                };
            });
            let mut sender = cluster.open_sender(number_edge(), channel(1, 0));
            let error = cluster.eventual_error(&mut sender);
            assert!(error.contains(&Refusal::Secret.to_string()), "{error}");
            assert_eq!(cluster.network(1).refused_connections(), 1);
        }
    }
}

#[test]
fn a_zombie_that_knows_the_secret_is_refused_for_its_attempt() {
    let cluster = secret_cluster();
    cluster.begin_on(1, identity(1, 2));
    let mut zombie = cluster.open_sender(number_edge(), channel(1, 0));
    let error = cluster.eventual_error(&mut zombie);
    let reason = Refusal::Attempt { ours: 2, theirs: 1 }.to_string();
    assert!(error.contains(&reason), "{error}");
    assert_eq!(cluster.network(1).refused_connections(), 1);
}

#[test]
fn what_is_no_handshake_is_turned_away_and_counted() {
    let cluster = secret_cluster();
    works(&cluster, 0..1);
    let absurd = FrameHeader::plain(FrameKind::Handshake, identity(0, 1).attempt).encode(u32::MAX);
    let data = FrameHeader::plain(FrameKind::Data, identity(0, 1).attempt)
        .frame(&[])
        .unwrap();
    let good = hello(with_nonce);
    let said: [&[u8]; 7] = [
        &[b'G'; 4096],
        // An absurd length, of which nothing is waited for.
        &absurd,
        // Not the first thing to say.
        &data,
        // Half a header, half a body, nothing: closed when time is up.
        &good[..HEADER_BYTES / 2],
        &good[..good.len() - 3],
        &[],
        // No magic.
        &hello(|body| body[0] = b'X'),
    ];
    for (count, said) in (1..).zip(said) {
        let mut stranger = stranger(&cluster);
        stranger.write_all(said).unwrap();
        assert_eq!(last_words(stranger), [], "nobody is told anything");
        eventually("it is counted", || {
            cluster.network(1).refused_connections() == count
        });
    }
    works(&cluster, 1..3);
    assert_eq!(cluster.losses(1), 0);
}

#[test]
fn whoever_cannot_prove_the_secret_learns_nothing_but_that() {
    let cluster = secret_cluster();
    let challenge = HEADER_BYTES + 32;
    let attempt = identity(0, 1).attempt;
    let proof = |bytes: &[u8]| {
        FrameHeader::plain(FrameKind::Proof, attempt)
            .frame(bytes)
            .unwrap()
    };

    // No nonce, as from a worker without a secret.
    let mut without = stranger(&cluster);
    without.write_all(&hello(|body| body.push(0))).unwrap();
    assert_eq!(refusal(&last_words(without), 0), Refusal::Secret);

    // A guess. Its job and attempt are the right ones, and it is not told so.
    let mut guesses = stranger(&cluster);
    guesses.write_all(&hello(with_nonce)).unwrap();
    guesses.write_all(&proof(&[0; 32])).unwrap();
    assert_eq!(refusal(&last_words(guesses), challenge), Refusal::Secret);

    // A proof that is cut off, and one that does not come.
    for said in [proof(&[0; 31]), Vec::new()] {
        let mut cut = stranger(&cluster);
        cut.write_all(&hello(with_nonce)).unwrap();
        cut.write_all(&said).unwrap();
        assert_eq!(last_words(cut).len(), challenge);
    }

    // Another version is told before it is asked for anything.
    let mut newer = stranger(&cluster);
    newer.write_all(&hello(|body| body[8] = 9)).unwrap();
    assert_eq!(
        refusal(&last_words(newer), 0),
        Refusal::Version { ours: 1, theirs: 9 }
    );
    eventually("all are counted", || {
        cluster.network(1).refused_connections() == 5
    });
    works(&cluster, 0..1);
}

#[test]
fn a_thousand_silent_connections_keep_nobody_out() {
    let cluster = Cluster::with(|options| {
        options.secret = Some(PeerSecret::new(SECRET));
        // None of them goes by itself while the test lasts.
        options.handshake_timeout = Duration::from_secs(600);
    });
    let (mut sender, mut receiver) = cluster.channel(number_edge(), channel(1, 0));
    let _ = sender.send(vec![1].into()).unwrap();
    let silent: Vec<TcpStream> = (0..1000).map(|_| stranger(&cluster)).collect();
    eventually("those beyond what is allowed are closed", || {
        cluster.network(1).refused_connections() >= 1000 - 256
    });
    let _ = sender.send(vec![2].into()).unwrap();
    let _ = sender.control(Control::End).unwrap();
    assert_eq!(numbers(cluster.pump(&mut sender, &mut receiver)).0, [1, 2]);

    // And a worker that comes now is let in: connections do not outlive a generation.
    cluster.begin_on(1, identity_of_generation(1, 2, 8));
    cluster.begin_on(0, identity_of_generation(0, 2, 8));
    let (mut sender, mut receiver) = cluster.channel(number_edge(), channel(2, 0));
    let _ = sender.send(vec![3].into()).unwrap();
    let _ = sender.control(Control::End).unwrap();
    assert_eq!(numbers(cluster.pump(&mut sender, &mut receiver)).0, [3]);
    for stranger in &silent {
        let _ = stranger.shutdown(Shutdown::Both);
    }
}
