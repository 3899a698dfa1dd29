//! What becomes of a request to the store, with whatever goes wrong on the way.

use tidegate_coordinator::{Command, Event};
use tidegate_core::epoch::EpochRecord;

use crate::{
    random::Random,
    store::{Claim, Store},
    tally::Tally,
};

/// What a request has led to.
#[derive(Default)]
pub(crate) struct Worked {
    /// What whoever asked hears; `None` if it is lost, or there is none.
    pub(crate) answer: Option<Event>,
    /// The network carries the request out a second time, after so long.
    pub(crate) repeated: Option<(i64, Box<EpochRecord>)>,
}

impl Worked {
    fn answered(event: Event) -> Self {
        Self {
            answer: Some(event),
            repeated: None,
        }
    }
}

/// A request reaches the store: it takes effect now, even if whoever sent it is gone.
pub(crate) fn work(
    store: &mut Store,
    command: Command,
    random: &mut Random,
    faulty: bool,
    tally: &mut Tally,
) -> Worked {
    match command {
        Command::ReadChain => {
            store.assert_restorable();
            Worked::answered(Event::ChainRead(Box::new(store.read_chain())))
        }
        Command::CreateGeneration { above } => {
            Worked::answered(Event::GenerationCreated(store.create_generation(above)))
        }
        Command::WriteManifest(manifest) => {
            let checkpoint = manifest.checkpoint;
            if faulty && random.per_mille(30) {
                let reason = "simulated".into();
                return Worked::answered(Event::ManifestFailed { checkpoint, reason });
            }
            let reference = store.write_manifest(manifest);
            if faulty && random.per_mille(30) {
                // The answer is lost for good; the checkpoint's timeout takes care.
                return Worked::default();
            }
            Worked::answered(Event::ManifestWritten { reference })
        }
        Command::ClaimEpoch(record) => claim(store, &record, random, faulty, tally),
        Command::WriteCommitted { epoch } => {
            store.committed = Some(epoch);
            Worked::default()
        }
        Command::Collect(plan) => {
            if !(faulty && random.per_mille(200)) {
                store.collect(&plan);
            }
            Worked::default()
        }
        other => panic!("{other:?} was not expected"),
    }
}

/// The request may be lost, be carried out and its answer lost, or be carried out once more much later.
fn claim(
    store: &mut Store,
    record: &EpochRecord,
    random: &mut Random,
    faulty: bool,
    tally: &mut Tally,
) -> Worked {
    let epoch = record.epoch;
    let unresolved = Event::EpochUnresolved {
        epoch,
        reason: "simulated".into(),
    };
    let mut worked = Worked::default();
    if faulty && random.per_mille(100) {
        worked.repeated = Some((random.within(0..20_000), Box::new(record.clone())));
    }
    let lost = faulty && random.per_mille(100);
    let claim = if lost { None } else { Some(store.claim(record)) };
    worked.answer = Some(match claim {
        Some(claim) if !(faulty && random.per_mille(100)) => match claim {
            Claim::Ours => Event::EpochClaimed(epoch),
            Claim::Theirs(winner) => Event::EpochLost {
                epoch,
                winner: Box::new(winner),
            },
        },
        _ => {
            tally.unresolved += 1;
            unresolved
        }
    });
    worked
}
