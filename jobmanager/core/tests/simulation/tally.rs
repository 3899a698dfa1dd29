//! How much went wrong: a simulation in which nothing does shows nothing.

/// How often things went wrong.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) crashes: u64,
    pub(crate) leaders: u64,
    pub(crate) fenced: u64,
    pub(crate) overtaken: u64,
    pub(crate) unresolved: u64,
    pub(crate) failed_tasks: u64,
    pub(crate) lost_workers: u64,
    pub(crate) lost_nodes: u64,
    pub(crate) adopted: u64,
    pub(crate) not_adopted: u64,
    pub(crate) refused: u64,
    pub(crate) waits: u64,
    pub(crate) aborted: u64,
    pub(crate) epochs: u64,
    pub(crate) strays: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.leaders += other.leaders;
        self.fenced += other.fenced;
        self.overtaken += other.overtaken;
        self.unresolved += other.unresolved;
        self.failed_tasks += other.failed_tasks;
        self.lost_workers += other.lost_workers;
        self.lost_nodes += other.lost_nodes;
        self.adopted += other.adopted;
        self.not_adopted += other.not_adopted;
        self.refused += other.refused;
        self.waits += other.waits;
        self.aborted += other.aborted;
        self.epochs += other.epochs;
        self.strays += other.strays;
    }

    pub(crate) fn is_eventful(&self) -> bool {
        let counts = [
            self.crashes,
            self.fenced,
            self.overtaken,
            self.unresolved,
            self.failed_tasks,
            self.lost_workers,
            self.aborted,
        ];
        counts.iter().all(|count| *count > 10)
    }

    /// The same of a world with a whole cluster in it.
    pub(crate) fn is_eventful_cluster(&self) -> bool {
        let counts = [
            self.lost_nodes,
            self.adopted,
            self.not_adopted,
            self.refused,
            self.waits,
        ];
        self.is_eventful() && counts.iter().all(|count| *count > 10)
    }
}
