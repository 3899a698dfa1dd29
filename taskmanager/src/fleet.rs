//! The workers of this machine and the questions that are being answered: whatever was ordered and has not been reported.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tidegate_core::{JobId, WorkerName};
use tidegate_proto::taskmanager::{
    DescribeProblem, DescribeProblemKind, LogProblem, Order, Report, RunningWorker, StartWorker,
};
use tokio::{
    sync::{mpsc, watch},
    task::{Id, JoinError, JoinSet},
    time::timeout,
};

use crate::{
    describe::{Question, describe},
    log::{list_logs, read_log, remove_oldest},
    node::{Node, OpenStorage},
    worker::{Ending, Started, StopSignal, Supervisor, log_path},
};

/// Starts that have not been reported yet.
const STARTED_CAPACITY: usize = 64;
/// How many questions are answered at a time; more are refused.
const MAX_QUESTIONS: usize = 64;
/// How long killed workers may take to be gone, beyond the grace that they have.
const KILL_MARGIN: Duration = Duration::from_secs(5);

/// What runs on this machine by order of the job manager. Dropping it kills all workers.
pub(crate) struct Fleet {
    node: Arc<Node>,
    workers: HashMap<WorkerKey, Worker>,
    supervisors: JoinSet<Ending>,
    supervised: HashMap<Id, WorkerKey>,
    /// Answers to questions.
    answers: JoinSet<Report>,
    /// What can be reported at once.
    ready: VecDeque<Report>,
    started_sender: mpsc::Sender<Started>,
    started: mpsc::Receiver<Started>,
}

type WorkerKey = (JobId, WorkerName);

struct Worker {
    start: Arc<StartWorker>,
    stop: watch::Sender<bool>,
    phase: Phase,
}

enum Phase {
    /// Its executable is being fetched.
    Preparing,
    Running {
        process_id: u32,
    },
}

/// A worker with a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct WorkerProcess {
    pub(crate) job: JobId,
    pub(crate) worker: WorkerName,
    pub(crate) process_id: u32,
}

impl Fleet {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        let (started_sender, started) = mpsc::channel(STARTED_CAPACITY);
        Self {
            node,
            workers: HashMap::new(),
            supervisors: JoinSet::new(),
            supervised: HashMap::new(),
            answers: JoinSet::new(),
            ready: VecDeque::new(),
            started_sender,
            started,
        }
    }

    /// The workers that were ordered and have not ended.
    pub(crate) fn running(&self) -> Vec<RunningWorker> {
        let mut running: Vec<_> = self
            .workers
            .values()
            .map(|worker| RunningWorker {
                job: worker.start.job.clone(),
                worker: worker.start.worker.clone(),
                slots: worker.start.slots,
            })
            .collect();
        running.sort();
        running
    }

    /// Those that have processes.
    pub(crate) fn processes(&self) -> Vec<WorkerProcess> {
        let processes = self.workers.values().filter_map(|worker| match worker.phase {
            Phase::Preparing => None,
            Phase::Running { process_id } => Some(WorkerProcess {
                job: worker.start.job.clone(),
                worker: worker.start.worker.clone(),
                process_id,
            }),
        });
        processes.collect()
    }

    /// Does what the job manager wants. What comes of it, [`next_report`](Self::next_report) says.
    pub(crate) fn carry_out(&mut self, order: Order, storage: &OpenStorage) {
        match order {
            Order::StartWorker(start) => self.start(start, storage),
            Order::StopWorker { job, worker } => {
                if let Some(worker) = self.workers.get(&(job, worker)) {
                    worker.stop.send_replace(true);
                }
            }
            question => self.answer(question, storage.clone()),
        }
    }

    fn start(&mut self, start: StartWorker, storage: &OpenStorage) {
        let key = (start.job.clone(), start.worker.clone());
        if let Some(worker) = self.workers.get(&key) {
            if let Phase::Running { process_id } = worker.phase {
                self.ready.push_back(started_report(&worker.start, process_id));
            }
            return;
        }
        tracing::info!(worker = %start.worker, job = %start.job, slots = start.slots, artifact = %start.artifact, "starting worker");
        let start = Arc::new(start);
        let (stop, stop_signal) = StopSignal::new();
        let supervisor = Supervisor {
            node: Arc::clone(&self.node),
            storage: storage.clone(),
            start: Arc::clone(&start),
            started: self.started_sender.clone(),
            stop: stop_signal,
        };
        let supervisor = self.supervisors.spawn(supervisor.run());
        self.supervised.insert(supervisor.id(), key.clone());
        let worker = Worker {
            start,
            stop,
            phase: Phase::Preparing,
        };
        self.workers.insert(key, worker);
        self.update_metrics();
    }

    fn answer(&mut self, question: Order, storage: OpenStorage) {
        if self.answers.len() >= MAX_QUESTIONS {
            self.ready.extend(refusal(&question));
            return;
        }
        let node = Arc::clone(&self.node);
        match question {
            Order::Describe {
                request,
                artifact,
                artifact_size_bytes,
                arguments,
            } => {
                let question = Question {
                    artifact,
                    artifact_size_bytes,
                    arguments,
                };
                self.answers.spawn(async move {
                    let outcome = describe(&node, &storage, &question).await;
                    node.metrics.described(&outcome);
                    Report::Described { request, outcome }
                });
            }
            Order::ListLogs { request, job } => {
                self.answers.spawn_blocking(move || Report::LogsListed {
                    request,
                    outcome: list_logs(&node.directories.job_logs(&job)),
                });
            }
            Order::ReadLog {
                request,
                job,
                file,
                offset,
                limit,
            } => {
                self.answers.spawn_blocking(move || Report::LogRead {
                    request,
                    outcome: read_log(&node.directories.job_logs(&job), &file, offset, limit),
                });
            }
            Order::StartWorker(_) | Order::StopWorker { .. } => {}
        }
    }

    /// What has happened since. Nothing is lost if this is dropped while it waits.
    pub(crate) async fn next_report(&mut self) -> Report {
        loop {
            if let Some(report) = self.ready.pop_front() {
                return report;
            }
            tokio::select! {
                biased;
                // A start is told before its end: it was sent before the supervisor could end.
                Some(started) = self.started.recv() => {
                    let Started { start, process_id } = started;
                    let key = (start.job.clone(), start.worker.clone());
                    if let Some(worker) = self.workers.get_mut(&key) {
                        worker.phase = Phase::Running { process_id };
                    }
                    tracing::info!(worker = %start.worker, job = %start.job, process_id, "worker started");
                    return started_report(&start, process_id);
                }
                Some(ended) = self.supervisors.join_next_with_id() => {
                    if let Some(report) = self.ended(ended) {
                        return report;
                    }
                }
                Some(answer) = self.answers.join_next() => match answer {
                    Ok(report) => return report,
                    // The job manager's own patience ends.
                    Err(error) => tracing::error!(%error, "a question could not be answered"),
                },
                else => return std::future::pending().await,
            }
        }
    }

    fn ended(&mut self, ended: Result<(Id, Ending), JoinError>) -> Option<Report> {
        let (id, ending) = match ended {
            Ok(ended) => ended,
            Err(error) => (
                error.id(),
                Ending::not_started(format!("its supervisor failed: {error}")),
            ),
        };
        let key = self.supervised.remove(&id)?;
        self.workers.remove(&key);
        let (job, worker) = key;
        let Ending { end, last_words } = ending;
        tracing::info!(%worker, %job, %end, "worker ended");
        self.node.metrics.worker_ended(&end);
        self.update_metrics();
        self.remove_old_logs();
        Some(Report::WorkerEnded {
            job,
            worker,
            end,
            last_words,
        })
    }

    fn remove_old_logs(&self) {
        let node = Arc::clone(&self.node);
        let running: HashSet<_> = self
            .workers
            .values()
            .map(|worker| log_path(&node, &worker.start))
            .collect();
        // Nobody waits for it: it is done before the runtime is gone, or with the next worker that ends.
        drop(tokio::task::spawn_blocking(move || {
            remove_oldest(&node.directories.logs(), &running, node.options.logs.total_bytes);
        }));
    }

    fn update_metrics(&self) {
        let slots = self.workers.values().map(|worker| worker.start.slots);
        self.node
            .metrics
            .running(self.workers.len(), slots.map(u64::from).sum());
    }

    /// Ends all workers, within the grace that they have.
    pub(crate) async fn end_all(&mut self) {
        for worker in self.workers.values() {
            worker.stop.send_replace(true);
        }
        let patience = self.node.options.workers.stop_grace + KILL_MARGIN;
        let all_ended = async {
            while !self.workers.is_empty() {
                self.next_report().await;
            }
        };
        if timeout(patience, all_ended).await.is_err() {
            tracing::error!(left = self.workers.len(), "not all workers could be ended");
        }
    }
}

fn started_report(start: &StartWorker, process_id: u32) -> Report {
    Report::WorkerStarted {
        job: start.job.clone(),
        worker: start.worker.clone(),
        process_id,
    }
}

/// The answer to a question too many.
fn refusal(question: &Order) -> Option<Report> {
    let message = || format!("the task manager answers {MAX_QUESTIONS} questions already; ask again later");
    match question {
        Order::Describe { request, .. } => Some(Report::Described {
            request: *request,
            outcome: Err(DescribeProblem {
                kind: DescribeProblemKind::Unavailable,
                message: message(),
            }),
        }),
        Order::ListLogs { request, .. } => Some(Report::LogsListed {
            request: *request,
            outcome: Err(message()),
        }),
        Order::ReadLog { request, .. } => Some(Report::LogRead {
            request: *request,
            outcome: Err(LogProblem::Unreadable(message())),
        }),
        Order::StartWorker(_) | Order::StopWorker { .. } => None,
    }
}
