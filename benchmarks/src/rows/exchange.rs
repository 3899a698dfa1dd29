//! E4: the exchange alone. A task of one worker sends to a task of another over loopback TCP: encoded, framed, granted
//! credit, decoded, against frames of the same size written and read as they are.

use std::{io, sync::Arc, thread, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tidegate_core::{Attempt, ChannelId, Control, Generation, JobId, TARGET_RECORDS, WorkerId};
use tidegate_exchange::{
    AttemptOptions, Bincode, ChannelError, ChannelReceiver, ChannelSender, Edge, Identity, Message, Network,
    NetworkOptions, ReadySet, ReadySlots,
};
use tokio::runtime::{Builder, Runtime};

use super::RUNS;
use crate::{
    BenchmarkError,
    runner::{Bar, Basis, Comparison, Report, Row, Sample, Status, measured},
    yardstick::{RawTransfer, raw_transfer},
};

const ID: &str = "E4";
/// As many threads for sockets as a job in one process has.
const IO_THREADS: usize = 2;
const CHANNEL: ChannelId = ChannelId(1);

/// A record of 1 KiB when encoded: a number, the length of a text, the text.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Wide {
    number: u64,
    text: String,
}

const TEXT_BYTES: usize = 1_024 - 16;

pub(super) fn run(report: &mut Report) -> Result<(), BenchmarkError> {
    let narrow = Load {
        what: "16 B",
        bar: 0.3,
        record_bytes: 16,
        batches: 40_000,
        batch: TARGET_RECORDS as u64,
        fill: |places: std::ops::Range<u64>, records: &mut Vec<(u64, u64)>| {
            records.extend(places.map(|place| (place, place ^ 0x5555)));
        },
        look: |(number, other): &(u64, u64)| number ^ other,
    };
    report.rows.push(narrow.compare()?);
    let text = "t".repeat(TEXT_BYTES);
    let wide = Load {
        what: "1 KiB",
        bar: 0.6,
        record_bytes: 1_024,
        batches: 40_000,
        batch: 60,
        fill: move |places: std::ops::Range<u64>, records: &mut Vec<Wide>| {
            records.extend(places.map(|number| Wide {
                number,
                text: text.clone(),
            }));
        },
        look: |record: &Wide| record.number ^ record.text.len() as u64,
    };
    report.rows.push(wide.compare()?);
    Ok(())
}

/// Records to be sent.
struct Load<F, L> {
    what: &'static str,
    bar: f64,
    record_bytes: u64,
    batches: u64,
    batch: u64,
    /// Makes records.
    fill: F,
    /// Looks at one that has arrived.
    look: L,
}

impl<F, L> Load<F, L> {
    fn records(&self) -> u64 {
        self.batches * self.batch
    }

    fn compare<T>(&self) -> Result<Row, BenchmarkError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: Fn(std::ops::Range<u64>, &mut Vec<T>) + Sync,
        L: Fn(&T) -> u64 + Sync,
    {
        let mut threads = 0;
        let mut frames = 0;
        let bytes = self.records() * self.record_bytes;
        let mut comparison = Comparison::default();
        for _ in 0..RUNS {
            let pair = Pair::connected()?;
            let (sent, usage) = measured(|| self.send(&pair));
            let sent = sent?;
            (threads, frames) = (sent.threads, sent.frames);
            drop(pair);
            if sent.looked != self.expected() {
                return Err(BenchmarkError::Checksum {
                    id: ID,
                    ours: sent.looked,
                    yardstick: self.expected(),
                });
            }
            comparison.ours.push(Sample {
                work: bytes,
                checksum: sent.looked,
                usage,
            });

            let transfer = RawTransfer {
                frame_bytes: (bytes / frames) as usize,
                frames,
            };
            let (arrived, usage) = measured(|| raw_transfer(transfer));
            let arrived = arrived.map_err(network)?;
            comparison.yardstick.push(Sample {
                work: arrived,
                checksum: arrived,
                usage,
            });
        }
        let (ratio, wall) = (comparison.ratio(Basis::Cpu), comparison.ratio(Basis::Wall));
        Ok(Row {
            id: ID,
            what: format!(
                "exchange over loopback TCP, records of {} : raw frames",
                self.what
            ),
            figure: ratio.median,
            unit: "x",
            bar: Bar::AtLeast(self.bar),
            ratio: Some(ratio.median),
            spread: ratio.spread,
            cpu_seconds: comparison.cpu_seconds(),
            threads,
            note: format!(
                "{:.2} : {:.2} GB / CPU s, {:.2} x by the wall, frames of {} B",
                comparison.rate(Basis::Cpu).median / 1e9,
                comparison.yardstick_rate(Basis::Cpu).median / 1e9,
                wall.median,
                bytes / frames
            ),
        })
    }

    /// What looking at all records comes to.
    fn expected<T>(&self) -> u64
    where
        F: Fn(std::ops::Range<u64>, &mut Vec<T>),
        L: Fn(&T) -> u64,
    {
        let mut records = Vec::new();
        let mut total = 0u64;
        for batch in 0..self.batches {
            (self.fill)(batch * self.batch..(batch + 1) * self.batch, &mut records);
            total = records
                .drain(..)
                .fold(total, |total, record| total.wrapping_add((self.look)(&record)));
        }
        total
    }

    fn send<T>(&self, pair: &Pair) -> Result<Sent, BenchmarkError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: Fn(std::ops::Range<u64>, &mut Vec<T>) + Sync,
        L: Fn(&T) -> u64 + Sync,
    {
        let edge = Edge::<T>::forward(Arc::new(Bincode::default()));
        let (producer, consumer) = (ReadySet::new(1), ReadySet::new(1));
        let receiver = pair.networks[1]
            .open_receiver(WorkerId(0), CHANNEL, consumer.waker(0))
            .map_err(network)?;
        let sender = pair.networks[0]
            .open_sender(WorkerId(1), CHANNEL, producer.waker(0))
            .map_err(network)?;
        let meter = sender.meter();
        let (mut sender, mut receiver) = (edge.remote_sender(sender), edge.remote_receiver(receiver));
        thread::scope(|scope| {
            let sending = scope.spawn(|| self.produce(&mut sender, &producer));
            let looked = self.consume(&mut receiver, &consumer).map_err(network)?;
            let threads = Status::Threads.read().unwrap_or(0);
            sending
                .join()
                .expect("sending plain records does not panic")
                .map_err(network)?;
            Ok(Sent {
                looked,
                frames: meter.frames.get(),
                threads,
            })
        })
    }

    fn produce<T>(&self, sender: &mut ChannelSender<T>, ready: &Arc<ReadySet>) -> Result<(), ChannelError>
    where
        T: Send + 'static,
        F: Fn(std::ops::Range<u64>, &mut Vec<T>),
    {
        ready.attach();
        let mut slots = ReadySlots::default();
        for number in 0..self.batches {
            let mut batch = sender.recycled().unwrap_or_default();
            (self.fill)(number * self.batch..(number + 1) * self.batch, &mut batch.records);
            let mut flow = sender.send(batch)?;
            while !flow.is_ready() {
                ready.take_ready(&mut slots);
                flow = sender.drain()?;
                if !flow.is_ready() {
                    ready.park(Duration::ZERO, None);
                }
            }
        }
        let _ = sender.control(Control::End)?;
        Ok(())
    }

    fn consume<T>(
        &self,
        receiver: &mut ChannelReceiver<T>,
        ready: &Arc<ReadySet>,
    ) -> Result<u64, ChannelError>
    where
        T: Send + 'static,
        L: Fn(&T) -> u64,
    {
        ready.attach();
        let mut slots = ReadySlots::default();
        let mut total = 0u64;
        loop {
            match receiver.poll()? {
                Some(Message::Control(Control::End)) => return Ok(total),
                Some(Message::Control(_)) => {}
                Some(Message::Batch(batch)) => {
                    total = batch
                        .records
                        .iter()
                        .fold(total, |total, one| total.wrapping_add((self.look)(one)));
                    receiver.recycle(batch);
                }
                None => {
                    // What comes after the bits are cleared sets them again.
                    ready.park(Duration::ZERO, None);
                    ready.take_ready(&mut slots);
                }
            }
        }
    }
}

struct Sent {
    looked: u64,
    frames: u64,
    threads: u64,
}

/// The networks of two workers of one job.
struct Pair {
    networks: [Network; 2],
    _runtime: Runtime,
}

impl Pair {
    fn connected() -> Result<Self, BenchmarkError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(IO_THREADS)
            .enable_all()
            .build()
            .map_err(network)?;
        let bind = || Network::bind(NetworkOptions::default(), runtime.handle(), |_| {}).map_err(network);
        let ((first, first_address), (second, second_address)) = (bind()?, bind()?);
        let workers = vec![(WorkerId(0), first_address), (WorkerId(1), second_address)];
        for (index, network) in [&first, &second].into_iter().enumerate() {
            network.begin_attempt(AttemptOptions {
                identity: Identity {
                    job: JobId::new("exchange"),
                    generation: Generation(1),
                    attempt: Attempt(1),
                    worker: WorkerId(index as u32),
                    graph_fingerprint: 0,
                },
                workers: workers.clone(),
            });
        }
        Ok(Self {
            networks: [first, second],
            _runtime: runtime,
        })
    }
}

fn network(cause: impl std::error::Error + Send + Sync + 'static) -> BenchmarkError {
    BenchmarkError::Machine {
        what: "records could not be exchanged",
        cause: io::Error::other(cause),
    }
}
