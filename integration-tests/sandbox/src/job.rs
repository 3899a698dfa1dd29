//! Jobs of a cluster.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::{Binaries, Rest, RestError, eventually, within};

/// A job to be run.
#[derive(Clone, Debug, Default)]
pub struct JobRequest {
    /// The name of its program.
    pub program: String,
    /// The job's own arguments.
    pub arguments: Vec<String>,
    /// The parallelism of operators that do not say otherwise.
    pub parallelism: u32,
    /// Where a savepoint lies that it starts from.
    pub savepoint: Option<String>,
    /// Settings of checkpoints and restarts by name.
    pub settings: BTreeMap<String, Value>,
}

impl JobRequest {
    pub(crate) fn submit(&self, rest: &Rest, binaries: &Binaries) -> Result<Job, RestError> {
        let program: PathBuf = binaries.path(&self.program);
        let artifact = rest.upload(&program)?;
        let mut body = json!({
            "programArgsList": self.arguments,
            "parallelism": self.parallelism.max(1),
            "settings": self.settings,
        });
        if let Some(savepoint) = &self.savepoint {
            body["savepointPath"] = json!(savepoint);
        }
        let path = format!("/v1/artifacts/{artifact}/run");
        let submitted = rest.post(&path, &body)?;
        match submitted["jobid"].as_str() {
            Some(id) => Ok(Job { id: id.to_owned() }),
            None => Err(RestError::Unanswered {
                request: format!("POST {path}"),
                reason: format!("the answer names no job: {submitted}"),
            }),
        }
    }
}

/// A job that was submitted. It is looked at through whichever job manager there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// Its id.
    pub id: String,
}

impl Job {
    /// What the cluster says of it.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn details(&self, rest: &Rest) -> Result<Value, RestError> {
        rest.get(&format!("/v1/jobs/{}", self.id))
    }

    /// Its state, if the cluster answers.
    pub fn state(&self, rest: &Rest) -> Option<String> {
        Some(self.details(rest).ok()?["state"].as_str()?.to_owned())
    }

    /// How many of its checkpoints this job manager has seen completed.
    pub fn completed_checkpoints(&self, rest: &Rest) -> u64 {
        let checkpoints = rest.get(&format!("/v1/jobs/{}/checkpoints", self.id));
        checkpoints
            .ok()
            .and_then(|checkpoints| checkpoints["counts"]["completed"].as_u64())
            .unwrap_or(0)
    }

    /// Waits until so many more checkpoints have been completed, or the job has ended.
    ///
    /// # Panics
    /// When they are not in time.
    pub fn wait_for_checkpoints(&self, rest: &Rest, more: u64) {
        let before = self.completed_checkpoints(rest);
        eventually(&format!("{more} more checkpoints of job {}", self.id), || {
            let done = self.completed_checkpoints(rest) >= before + more;
            (done || self.state(rest).is_some_and(|state| is_terminal(&state))).then_some(())
        });
    }

    /// Ends it with a savepoint; where that lies.
    ///
    /// # Panics
    /// When the cluster refuses, or the savepoint fails.
    pub fn stop_with_savepoint(&self, rest: &Rest) -> String {
        let asked = rest.post(&format!("/v1/jobs/{}/stop", self.id), &json!({}));
        let asked = asked.unwrap_or_else(|error| panic!("{error}"));
        let request = asked["request-id"]
            .as_str()
            .expect("the answer names the request");
        let path = format!("/v1/jobs/{}/savepoints/{request}", self.id);
        eventually(&format!("the savepoint of job {}", self.id), || {
            let answer = rest.get(&path).ok()?;
            if answer["status"]["id"] != "COMPLETED" {
                return None;
            }
            let location = answer["operation"]["location"].as_str();
            Some(
                location
                    .unwrap_or_else(|| panic!("no savepoint was taken: {answer}"))
                    .to_owned(),
            )
        })
    }

    /// Waits until it is in a state.
    ///
    /// # Panics
    /// When it is not in time, or ends in another.
    pub fn wait_for_state(&self, rest: &Rest, wanted: &str) {
        eventually(&format!("job {} is {wanted}", self.id), || {
            self.is_in(rest, wanted)
        });
    }

    /// Waits until it has finished.
    ///
    /// # Panics
    /// When it has not in time, or ends otherwise.
    pub fn wait_until_finished(&self, rest: &Rest, limit: Duration) {
        let what = format!("job {} is FINISHED", self.id);
        within(limit, &what, || self.is_in(rest, "FINISHED"));
    }

    fn is_in(&self, rest: &Rest, wanted: &str) -> Option<()> {
        let state = self.state(rest)?;
        if state != wanted && is_terminal(&state) {
            let exceptions = rest.get(&format!("/v1/jobs/{}/exceptions", self.id));
            panic!("job {} is {state}, not {wanted}: {exceptions:?}", self.id);
        }
        (state == wanted).then_some(())
    }

    /// How often it was restarted, as its exceptions tell.
    pub fn exceptions(&self, rest: &Rest) -> Option<Value> {
        rest.get(&format!("/v1/jobs/{}/exceptions", self.id)).ok()
    }
}

fn is_terminal(state: &str) -> bool {
    matches!(state, "FINISHED" | "FAILED" | "CANCELED" | "SUSPENDED")
}
