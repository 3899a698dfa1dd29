//! From a request to a job that is written down.

use std::{sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tidegate_core::{JobId, graph::JobGraph, plan::ExecutionPlan};
use tidegate_driver::{DriverOptions, Snapshot, check_savepoint_name as check_name, read_snapshot};
use tidegate_proto::{
    JobRecord,
    taskmanager::{DescribeProblem, DescribeProblemKind},
};

use super::entry::JobEntry;
use crate::cluster::{
    artifact::{Artifact, hexadecimal},
    description::{self, JobFacts},
    dispatcher::Dispatcher,
    error::ClusterError,
    request::{
        JobSettings, MAX_IDEMPOTENCY_KEY, MAX_PROGRAM_ARGUMENT_BYTES, MAX_PROGRAM_ARGUMENTS, RunRequest,
    },
};

/// The largest parallelism: as many as a job may have key groups.
const MAX_PARALLELISM: u32 = 32_768;
/// The settings that a job may be submitted with.
const JOB_SETTINGS: [&str; 3] = ["checkpoints", "restart", "stop-timeout"];

/// Writes a job down. Answers with its id, and with the job if it is to be run from now on; without, it is one that was
/// submitted before.
pub(crate) async fn submit(
    dispatcher: &Dispatcher,
    request: RunRequest,
) -> Result<(JobId, Option<Arc<JobEntry>>), ClusterError> {
    check(&request)?;
    let settings = settings_of(dispatcher, &request.settings)?;
    let request_digest = digest(&request);
    let job = mint(request.idempotency_key.as_deref())?;
    if let Some(known) = dispatcher.jobs.find(&job) {
        repeated(&known.record(), &request_digest)?;
        return Ok((job, None));
    }
    let artifact = dispatcher.artifacts.find(&request.artifact).await?;
    let facts = describe(dispatcher, &artifact, &request.program_arguments).await?;
    let parallelism = request
        .parallelism
        .unwrap_or(dispatcher.options.default_parallelism)
        .min(u32::from(facts.graph.space.max_parallelism()));
    let plan = ExecutionPlan::expand(&facts.graph, parallelism);
    if let Some(location) = &request.savepoint {
        check_start(
            dispatcher,
            location,
            &facts.graph,
            request.allow_non_restored_state,
        )
        .await?;
    }
    let graph = serde_json::to_string(&facts.graph)
        .map_err(|error| ClusterError::NotDescribed(format!("its graph cannot be written down: {error}")))?;
    let record = JobRecord {
        job: job.clone(),
        name: facts.name,
        artifact: artifact.id,
        artifact_size_bytes: artifact.size,
        target: facts.target,
        graph,
        arguments: request.program_arguments,
        parallelism,
        savepoint: request.savepoint,
        allow_non_restored_state: request.allow_non_restored_state,
        settings,
        request_digest: request_digest.clone(),
        submitted_at_ms: dispatcher.clock.now_ms(),
        cancel_wanted: false,
        end: None,
    };
    let record = match dispatcher.store.create_job(&record).await? {
        None => record,
        Some(found) => {
            repeated(&found, &request_digest)?;
            found
        }
    };
    if dispatcher.store.is_superseded(dispatcher.generation).await? {
        // Who leads now may have looked for jobs before this one was written down.
        return Err(ClusterError::NotReady("superseded by another"));
    }
    tracing::info!(%job, name = record.name, slots = description::slots(&plan), "job submitted");
    let entry = JobEntry::new(record).map_err(ClusterError::NotDescribed)?;
    let has_ended = entry.end().is_some();
    let entry = dispatcher.jobs.add(entry);
    Ok((job, entry.filter(|_| !has_ended)))
}

/// A key that was used before: for the same request it is the same job.
fn repeated(known: &JobRecord, request_digest: &str) -> Result<(), ClusterError> {
    if known.request_digest == request_digest {
        return Ok(());
    }
    Err(ClusterError::KeyTaken {
        job: known.job.clone(),
    })
}

fn check(request: &RunRequest) -> Result<(), ClusterError> {
    let wrong = |field, reason: String| Err(ClusterError::Field { field, reason });
    if let Some(parallelism) = request.parallelism
        && !(1..=MAX_PARALLELISM).contains(&parallelism)
    {
        return wrong(
            "parallelism",
            format!("is {parallelism} where 1 to {MAX_PARALLELISM} are taken"),
        );
    }
    if let Some(key) = &request.idempotency_key
        && !(1..=MAX_IDEMPOTENCY_KEY).contains(&key.len())
    {
        return wrong(
            "idempotencyKey",
            format!(
                "has {} bytes where 1 to {MAX_IDEMPOTENCY_KEY} are taken",
                key.len()
            ),
        );
    }
    let arguments = &request.program_arguments;
    let bytes: usize = arguments.iter().map(String::len).sum();
    if arguments.len() > MAX_PROGRAM_ARGUMENTS || bytes > MAX_PROGRAM_ARGUMENT_BYTES {
        return wrong(
            "programArgsList",
            format!(
                "has {} arguments of {bytes} bytes where {MAX_PROGRAM_ARGUMENTS} of {MAX_PROGRAM_ARGUMENT_BYTES} are the most",
                arguments.len()
            ),
        );
    }
    if arguments.iter().any(|argument| argument.contains('\0')) {
        return wrong(
            "programArgsList",
            "has a zero byte, which no argument can have".to_owned(),
        );
    }
    Ok(())
}

/// The id of a job: from its key, so that a request that is repeated finds it, or at random.
fn mint(key: Option<&str>) -> Result<JobId, ClusterError> {
    let text = match key {
        Some(key) => hexadecimal(&Sha256::digest(key.as_bytes())[..16]),
        None => format!("{:032x}", rand::random::<u128>()),
    };
    Ok(JobId::parse(&text)?)
}

/// Equal for equal requests only.
fn digest(request: &RunRequest) -> String {
    hexadecimal(&Sha256::digest(format!("{request:?}").as_bytes()))
}

/// The settings of a job's driver, checked, as JSON.
fn settings_of(dispatcher: &Dispatcher, settings: &JobSettings) -> Result<String, ClusterError> {
    if let Some(unknown) = settings.keys().find(|key| !JOB_SETTINGS.contains(&key.as_str())) {
        return Err(ClusterError::Field {
            field: "settings",
            reason: format!("has {unknown:?} where {} are known", JOB_SETTINGS.join(", ")),
        });
    }
    let json = serde_json::to_string(settings).map_err(|error| wrong_settings(&error))?;
    driver_options(dispatcher, &json)?;
    Ok(json)
}

/// The options of a job's driver: the cluster's, and over them the job's own.
pub(super) fn driver_options(dispatcher: &Dispatcher, settings: &str) -> Result<DriverOptions, ClusterError> {
    let cluster = DriverOptions {
        checkpoints: dispatcher.options.checkpoints.clone(),
        restart: dispatcher.options.restart.clone(),
        ..DriverOptions::default()
    };
    let mut merged = serde_json::to_value(&cluster).map_err(|error| wrong_settings(&error))?;
    let own: serde_json::Value = serde_json::from_str(settings).map_err(|error| wrong_settings(&error))?;
    merge(&mut merged, own);
    serde_json::from_value(merged).map_err(|error| wrong_settings(&error))
}

/// Lays values over others: objects key by key. A restart strategy replaces the other as a whole.
fn merge(under: &mut serde_json::Value, over: serde_json::Value) {
    use serde_json::Value;
    match (under, over) {
        (Value::Object(under), Value::Object(over)) if !over.contains_key("strategy") => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

fn wrong_settings(error: &serde_json::Error) -> ClusterError {
    ClusterError::Field {
        field: "settings",
        reason: format!("cannot be used: {error}"),
    }
}

/// Lets a task manager ask an executable what job it is.
pub(crate) async fn describe(
    dispatcher: &Dispatcher,
    artifact: &Artifact,
    arguments: &[String],
) -> Result<JobFacts, ClusterError> {
    let target = dispatcher.artifacts.target(artifact).await?;
    let able: Vec<_> = dispatcher
        .task_managers
        .all()
        .into_iter()
        .filter(|link| link.registration.target == target)
        .collect();
    let mut failed = ClusterError::NoTaskManagers { target };
    // Whoever fails for a reason of its own is not the last who is asked.
    for link in able.iter().take(MAX_DESCRIBERS) {
        let patience: Duration = dispatcher.options.answer_timeout;
        let described = link
            .describe(artifact.id.clone(), artifact.size, arguments.to_vec(), patience)
            .await;
        match described {
            Ok(Ok(text)) => return description::read(&text).map_err(ClusterError::NotDescribed),
            Ok(Err(problem)) if is_of_the_node(problem.kind) => failed = silent(link.id(), problem),
            Ok(Err(problem)) => return Err(refused(problem)),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Whether another task manager may do better. One that hangs or crashes does so everywhere.
fn is_of_the_node(kind: DescribeProblemKind) -> bool {
    matches!(
        kind,
        DescribeProblemKind::Unavailable | DescribeProblemKind::Damaged
    )
}

fn refused(problem: DescribeProblem) -> ClusterError {
    match problem.kind {
        DescribeProblemKind::Arguments => ClusterError::ArgumentsRefused(problem.message),
        DescribeProblemKind::NotExecutable => ClusterError::NotExecutable(problem.message),
        _ => ClusterError::NotDescribed(problem.message),
    }
}

/// How many task managers are asked at most.
const MAX_DESCRIBERS: usize = 3;

fn silent(task_manager: &tidegate_core::TaskManagerId, problem: DescribeProblem) -> ClusterError {
    ClusterError::TaskManagerSilent {
        task_manager: task_manager.clone(),
        reason: problem.message,
    }
}

/// Checks, before anything is started, that there is a snapshot and that the job claims what is in it.
async fn check_start(
    dispatcher: &Dispatcher,
    location: &str,
    graph: &JobGraph,
    allow_non_restored_state: bool,
) -> Result<(), ClusterError> {
    if location.is_empty() || !(location.contains('/') || location.contains('\\')) {
        return Err(ClusterError::Start(format!(
            "{location:?} is not where a savepoint lies; give the location that it was reported with"
        )));
    }
    let snapshot = Snapshot::Savepoint(location.to_owned());
    let found = read_snapshot(dispatcher.store.root(), &snapshot).await;
    let found = found.map_err(|error| ClusterError::Start(error.to_string()))?;
    let Some((_, manifest)) = found else {
        return Err(ClusterError::Start(format!(
            "there is no snapshot at {location:?}"
        )));
    };
    if allow_non_restored_state {
        return Ok(());
    }
    let known = |uid: &tidegate_core::OperatorUid| graph.nodes.iter().any(|node| node.uid == *uid);
    let of_tasks = manifest.tasks.iter().flat_map(|task| &task.operators);
    let of_segments = manifest.segments.iter().flat_map(|segment| &segment.contents);
    let mut uids = of_tasks
        .filter(|(_, state)| {
            !state.states.is_empty() || !state.splits.is_empty() || !state.committables.is_empty()
        })
        .map(|(uid, _)| uid)
        .chain(of_segments.map(|content| &content.operator));
    match uids.find(|uid| !known(uid)) {
        Some(unclaimed) => Err(ClusterError::Start(format!(
            "the snapshot at {location:?} is of job {:?} and has state of operator {unclaimed:?}, which job {:?} does not have; \
             choose a snapshot of this job, or allow state that is not restored",
            manifest.job.as_str(),
            graph.name,
            unclaimed = unclaimed.as_str()
        ))),
        None => Ok(()),
    }
}

/// The name of a savepoint, given or made.
///
/// # Errors
/// If it cannot be one.
pub(crate) fn check_savepoint_name(given: Option<String>, trigger: &str) -> Result<String, ClusterError> {
    let name = given.unwrap_or_else(|| format!("savepoint-{}", trigger.get(..12).unwrap_or(trigger)));
    check_name(&name).map_err(|error| ClusterError::Field {
        field: "name",
        reason: format!("cannot be used: {error}"),
    })?;
    Ok(name)
}
