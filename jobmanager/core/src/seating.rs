//! Which worker gets which seat: as before where it can be.

use std::collections::BTreeMap;

use tidegate_core::{
    WorkerId,
    control::{Placement, WorkerAddress},
};

use crate::options::Requirement;

/// The seats of the next deployment on `workers`, in the order of their ids.
///
/// Who had seats in `before` and is still there keeps exactly those, if there are as many seats as then; what a lost worker
/// had goes together to one other if it has room for it. Otherwise all seats are dealt anew, in rounds.
pub(crate) fn seat(
    before: &[WorkerId],
    workers: &[WorkerAddress],
    requirement: Requirement,
) -> Vec<WorkerId> {
    let room: u32 = workers.iter().map(|worker| worker.slots).sum();
    let wanted = match requirement {
        Requirement::Workers(_) => room,
        Requirement::Slots(slots) => slots.max(1).min(room),
    } as usize;
    let mut free: BTreeMap<WorkerId, u32> = workers
        .iter()
        .map(|worker| (worker.worker, worker.slots))
        .collect();
    let mut kept = Vec::new();
    for worker in before {
        let stays = free.get_mut(worker).filter(|free| **free > 0);
        kept.push(stays.map(|free| {
            *free -= 1;
            *worker
        }));
    }
    if before.len() != wanted || kept.iter().all(Option::is_none) {
        let seats = Placement::new(workers);
        let seats: Vec<WorkerId> = seats.seats().take(wanted).collect();
        return seats;
    }
    let mut heirs: BTreeMap<WorkerId, WorkerId> = BTreeMap::new();
    let mut seats = Vec::new();
    for (lost, kept) in before.iter().zip(&kept) {
        let worker = match kept {
            Some(worker) => *worker,
            None => {
                let heir = heirs
                    .get(lost)
                    .filter(|heir| free.get(heir).is_some_and(|free| *free > 0));
                let share = before.iter().filter(|worker| *worker == lost).count() as u32;
                let Some(heir) = heir.copied().or_else(|| roomiest(&free, share)) else {
                    break;
                };
                heirs.insert(*lost, heir);
                if let Some(free) = free.get_mut(&heir) {
                    *free -= 1;
                }
                heir
            }
        };
        seats.push(worker);
    }
    seats
}

/// Who has exactly `share` free slots; otherwise who has most.
fn roomiest(free: &BTreeMap<WorkerId, u32>, share: u32) -> Option<WorkerId> {
    free.iter()
        .filter(|(_, free)| **free > 0)
        .max_by_key(|(worker, free)| (**free == share, **free, std::cmp::Reverse(**worker)))
        .map(|(worker, _)| *worker)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn workers(slots: &[(u32, u32)]) -> Vec<WorkerAddress> {
        slots
            .iter()
            .map(|(worker, slots)| WorkerAddress {
                worker: WorkerId(*worker),
                slots: *slots,
                data: None,
            })
            .collect()
    }

    fn ids(seats: &[u32]) -> Vec<WorkerId> {
        seats.iter().copied().map(WorkerId).collect()
    }

    #[test]
    fn seats_are_dealt_in_rounds_and_kept() {
        type Case<'a> = (&'a [u32], &'a [(u32, u32)], Requirement, &'a [u32]);
        let cases: [Case<'_>; 9] = [
            (
                &[],
                &[(0, 2), (1, 1), (2, 2)],
                Requirement::Workers(3),
                &[0, 1, 2, 0, 2],
            ),
            (&[], &[(0, 2), (1, 2)], Requirement::Slots(3), &[0, 1, 0]),
            // One of three replaced.
            (
                &[0, 1, 2, 0, 1, 2],
                &[(0, 2), (2, 2), (3, 2)],
                Requirement::Slots(6),
                &[0, 3, 2, 0, 3, 2],
            ),
            // Replaced by two smaller ones.
            (
                &[0, 1, 0, 1],
                &[(0, 2), (2, 1), (3, 1)],
                Requirement::Slots(4),
                &[0, 2, 0, 3],
            ),
            // Two lost, each inherited by one of its size.
            (
                &[0, 1, 2, 1],
                &[(0, 1), (3, 1), (4, 2)],
                Requirement::Slots(4),
                &[0, 4, 3, 4],
            ),
            // Nothing changed.
            (&[1, 0], &[(0, 1), (1, 1)], Requirement::Slots(2), &[1, 0]),
            // Who has come besides is not needed.
            (&[1, 0], &[(0, 1), (1, 1), (2, 1)], Requirement::Slots(2), &[1, 0]),
            // Another size.
            (
                &[1, 0],
                &[(0, 1), (1, 1), (2, 1)],
                Requirement::Slots(3),
                &[0, 1, 2],
            ),
            (
                &[1, 0],
                &[(0, 1), (1, 1), (2, 1)],
                Requirement::Workers(3),
                &[0, 1, 2],
            ),
        ];
        for (before, attached, requirement, expected) in cases {
            assert_eq!(
                seat(&ids(before), &workers(attached), requirement),
                ids(expected),
                "{before:?} {attached:?} {requirement:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn survivors_never_move(
            slots in proptest::collection::vec(1u32..4, 1..8),
            lost in proptest::collection::vec(any::<bool>(), 8),
            replacements in proptest::collection::vec(1u32..4, 0..8),
            surplus in 0u32..3,
        ) {
            let first: Vec<(u32, u32)> = (0..).zip(slots.iter().copied()).collect();
            let total: u32 = slots.iter().sum();
            let required = Requirement::Slots(total.saturating_sub(surplus).max(1));
            let before = seat(&[], &workers(&first), required);
            let mut then: Vec<(u32, u32)> =
                first.iter().copied().filter(|(worker, _)| !lost[*worker as usize]).collect();
            then.extend((100..).zip(replacements.iter().copied()));
            let room: u32 = then.iter().map(|(_, slots)| slots).sum();
            prop_assume!(room as usize >= before.len());
            let after = seat(&before, &workers(&then), required);
            prop_assert_eq!(after.len(), before.len());
            for (worker, slots) in &then {
                let seats = after.iter().filter(|seat| seat.0 == *worker).count();
                prop_assert!(seats <= *slots as usize, "a slot is given once");
            }
            for (was, is) in before.iter().zip(&after) {
                if then.iter().any(|(worker, _)| *worker == was.0) {
                    prop_assert_eq!(was, is);
                }
            }
        }
    }
}
