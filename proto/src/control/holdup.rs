//! What holds up a checkpoint, to and from its messages.

use std::time::Duration;

use tidegate_core::{Holdup, MissingBarrier, NamedTask, OperatorUid, Straggler, TaskId, VertexId, WaitsFor};

use crate::{convert::required, generated as wire, object::DecodeReason};

pub(super) fn holdup_to_wire(holdup: &Holdup) -> wire::explained::Holdup {
    match holdup {
        Holdup::Tasks(stragglers) => wire::explained::Holdup::Tasks(wire::Stragglers {
            stragglers: stragglers.iter().map(straggler_to_wire).collect(),
        }),
        Holdup::StagedOutput(sinks) => wire::explained::Holdup::StagedOutput(wire::Operators {
            operators: sinks.iter().map(|uid| uid.as_str().to_owned()).collect(),
        }),
        Holdup::Segments => wire::explained::Holdup::Segments(wire::Segments {}),
    }
}

pub(super) fn holdup_from_wire(holdup: wire::explained::Holdup) -> Result<Holdup, DecodeReason> {
    Ok(match holdup {
        wire::explained::Holdup::Tasks(tasks) => {
            let stragglers = tasks.stragglers.into_iter().map(straggler_from_wire);
            Holdup::Tasks(stragglers.collect::<Result<_, _>>()?)
        }
        wire::explained::Holdup::StagedOutput(sinks) => {
            Holdup::StagedOutput(sinks.operators.into_iter().map(OperatorUid::new).collect())
        }
        wire::explained::Holdup::Segments(wire::Segments {}) => Holdup::Segments,
    })
}

fn straggler_to_wire(straggler: &Straggler) -> wire::Straggler {
    use wire::straggler::WaitsFor as Wire;
    let waits_for = match &straggler.waits_for {
        WaitsFor::Barriers { missing, channels } => Wire::Barriers(wire::MissingBarriers {
            missing: missing
                .iter()
                .map(|missing| wire::MissingBarrier {
                    input: missing.input,
                    from: Some(named_to_wire(&missing.from)),
                })
                .collect(),
            channels: *channels,
        }),
        WaitsFor::Room { consumer } => Wire::Room(consumer.clone()),
        WaitsFor::Turn => Wire::Turn(wire::Turn {}),
        WaitsFor::Thread {
            holder,
            operator,
            held_for,
        } => Wire::Thread(wire::HeldThread {
            holder: holder.as_ref().map(named_to_wire),
            operator: operator.as_ref().map(|uid| uid.as_str().to_owned()),
            held_for_ns: u64::try_from(held_for.as_nanos()).unwrap_or(u64::MAX),
        }),
        WaitsFor::Serialisation => Wire::Serialisation(wire::Serialisation {}),
    };
    wire::Straggler {
        task: Some(named_to_wire(&straggler.task)),
        waits_for: Some(waits_for),
    }
}

fn straggler_from_wire(straggler: wire::Straggler) -> Result<Straggler, DecodeReason> {
    use wire::straggler::WaitsFor as Wire;
    let waits_for = match required("straggler.waits_for", straggler.waits_for)? {
        Wire::Barriers(barriers) => WaitsFor::Barriers {
            missing: barriers
                .missing
                .into_iter()
                .map(|missing| {
                    Ok(MissingBarrier {
                        input: missing.input,
                        from: named_from_wire(required("missing_barrier.from", missing.from)?),
                    })
                })
                .collect::<Result<_, DecodeReason>>()?,
            channels: barriers.channels,
        },
        Wire::Room(consumer) => WaitsFor::Room { consumer },
        Wire::Turn(wire::Turn {}) => WaitsFor::Turn,
        Wire::Thread(thread) => WaitsFor::Thread {
            holder: thread.holder.map(named_from_wire),
            operator: thread.operator.map(OperatorUid::new),
            held_for: Duration::from_nanos(thread.held_for_ns),
        },
        Wire::Serialisation(wire::Serialisation {}) => WaitsFor::Serialisation,
    };
    Ok(Straggler {
        task: named_from_wire(required("straggler.task", straggler.task)?),
        waits_for,
    })
}

fn named_to_wire(named: &NamedTask) -> wire::NamedTask {
    wire::NamedTask {
        vertex: named.task.vertex.0,
        index: named.task.index,
        name: named.name.clone(),
    }
}

fn named_from_wire(named: wire::NamedTask) -> NamedTask {
    NamedTask {
        task: TaskId {
            vertex: VertexId(named.vertex),
            index: named.index,
        },
        name: named.name,
    }
}
