//! How many bytes one channel between two workers moves per second of processor time, both ends in this process.
//!
//! `cargo run --release -p tidegate-exchange --example throughput`

use std::{sync::Arc, time::Instant};

use tidegate_core::{Attempt, ChannelId, Control, Flow, Generation, JobId, WorkerId};
use tidegate_exchange::{
    AttemptOptions, Bincode, Edge, Identity, MAX_FRAME_BODY, Message, Network, NetworkOptions, ReadySet,
    ReadySlots,
};

/// Processor time of this process so far, in seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

fn run<T>(name: &str, record: T, record_bytes: usize, batches: usize, per_batch: usize)
where
    T: Clone + Send + 'static + serde::Serialize + serde::de::DeserializeOwned,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let networks: Vec<Network> = (0..2)
        .map(|_| {
            Network::bind(NetworkOptions::default(), runtime.handle(), |failure| {
                eprintln!("{failure}");
            })
            .expect("a port")
            .0
        })
        .collect();
    let workers: Vec<_> = (0..2)
        .map(|worker| (WorkerId(worker as u32), networks[worker].address()))
        .collect();
    for (worker, network) in (0..).zip(&networks) {
        network.begin_attempt(AttemptOptions {
            identity: Identity {
                job: JobId::new("throughput"),
                generation: Generation(1),
                attempt: Attempt(1),
                worker: WorkerId(worker),
                graph_fingerprint: 0,
            },
            workers: workers.clone(),
        });
    }
    let edge = Edge::<T>::forward(Arc::new(Bincode::default()));
    let (from, to) = (ReadySet::new(1), ReadySet::new(1));
    let channel = ChannelId(1 << 40);
    let remote = networks[0].open_sender(WorkerId(1), channel, from.waker(0));
    let mut sender = edge.remote_sender(remote.expect("a sender"));
    let remote = networks[1].open_receiver(WorkerId(0), channel, to.waker(0));
    let mut receiver = edge.remote_receiver(remote.expect("a receiver"));

    let (start, cpu) = (Instant::now(), cpu_seconds());
    let producer = std::thread::spawn(move || {
        from.attach();
        let mut ready = ReadySlots::default();
        let mut wait = |flow: Flow| {
            if flow != Flow::Ready {
                from.take_ready(&mut ready);
                if ready.next().is_none() {
                    from.park(std::time::Duration::ZERO, None);
                }
            }
        };
        for _ in 0..batches {
            loop {
                let flow = sender.drain().expect("a connection");
                if flow == Flow::Ready {
                    break;
                }
                wait(flow);
            }
            let mut batch = sender.recycled().unwrap_or_default();
            batch.records.resize(per_batch, record.clone());
            let _ = sender.send(batch).expect("a connection");
        }
        let _ = sender.control(Control::End).expect("a connection");
        while let flow @ (Flow::Blocked | Flow::Pending) = sender.drain().expect("a connection") {
            wait(flow);
        }
        sender
    });
    to.attach();
    let mut ready = ReadySlots::default();
    let mut records = 0;
    'all: loop {
        to.take_ready(&mut ready);
        if ready.next().is_none() {
            to.park(std::time::Duration::ZERO, None);
            continue;
        }
        while let Some(message) = receiver.poll().expect("a connection") {
            match message {
                Message::Batch(batch) => records += batch.len(),
                Message::Control(_) => break 'all,
            }
        }
    }
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let _sender = producer.join().expect("the producer");
    let gigabytes = (records * record_bytes) as f64 / 1e9;
    println!(
        "{name}: {gigabytes:.2} GB in {seconds:.2} s, {cpu:.2} s of processor time: {:.2} GB/s, {:.2} GB per processor second",
        gigabytes / seconds,
        gigabytes / cpu
    );
}

/// The yardstick: the same bytes as plain writes and reads over loopback, in pieces as large as a frame.
fn raw_tcp() {
    use std::io::{Read, Write};
    const PIECES: usize = 50_000;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let producer = std::thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        let piece = vec![7u8; MAX_FRAME_BODY];
        for _ in 0..PIECES {
            stream.write_all(&piece).expect("a connection");
        }
    });
    let (mut stream, _) = listener.accept().expect("a connection");
    let (mut buffer, mut bytes) = (vec![0u8; 256 * 1024], 0);
    while let read @ 1.. = stream.read(&mut buffer).expect("a connection") {
        bytes += read;
    }
    producer.join().expect("the producer");
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let gigabytes = bytes as f64 / 1e9;
    println!(
        "raw TCP: {gigabytes:.2} GB in {seconds:.2} s, {cpu:.2} s of processor time: {:.2} GB/s, {:.2} GB per processor second",
        gigabytes / seconds,
        gigabytes / cpu
    );
}

fn main() {
    raw_tcp();
    run("16 B", (1u64, 2u64), 16, 200_000, 1024);
    run("1 KiB", "x".repeat(1016), 1024, 6_000, 512);
}
