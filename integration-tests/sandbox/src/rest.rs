//! The cluster as its users reach it: REST on the job manager.

use std::{fs::File, path::Path, time::Duration};

use serde_json::Value;

/// After which a request has failed. A job manager that is gone refuses connections, it does not keep anybody waiting.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a request was not answered as it should be.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// Nobody answered.
    #[error("{request} was not answered: {reason}")]
    Unanswered {
        /// The request.
        request: String,
        /// What happened.
        reason: String,
    },
    /// The answer says no.
    #[error("{request} was refused with {status}: {problem}")]
    Refused {
        /// The request.
        request: String,
        /// The status.
        status: u16,
        /// The problem document.
        problem: Value,
    },
}

/// A client of one job manager.
#[derive(Clone, Debug)]
pub struct Rest {
    base: String,
    agent: ureq::Agent,
}

impl Rest {
    pub(crate) fn at(base: String) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .build()
            .into();
        Self { base, agent }
    }

    /// Where the job manager is: `http://host:port`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Reads what is at a path, such as `/v1/overview`.
    ///
    /// # Errors
    /// When there is no answer, or one that says no.
    pub fn get(&self, path: &str) -> Result<Value, RestError> {
        let answer = self.agent.get(format!("{}{path}", self.base)).call();
        read(format!("GET {path}"), answer)
    }

    /// Sends JSON to a path.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, RestError> {
        let request = self
            .agent
            .post(format!("{}{path}", self.base))
            .content_type("application/json");
        read(format!("POST {path}"), request.send(body.to_string()))
    }

    /// Changes what is at a path, which says how.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn patch(&self, path: &str) -> Result<Value, RestError> {
        let answer = self.agent.patch(format!("{}{path}", self.base)).send_empty();
        read(format!("PATCH {path}"), answer)
    }

    /// Uploads an executable; its id.
    ///
    /// # Errors
    /// As [`get`](Self::get), and when the file cannot be read.
    pub fn upload(&self, executable: &Path) -> Result<String, RestError> {
        let request = format!("POST /v1/artifacts of {}", executable.display());
        let file = File::open(executable).map_err(|error| RestError::Unanswered {
            request: request.clone(),
            reason: error.to_string(),
        })?;
        let answer = self
            .agent
            .post(format!("{}/v1/artifacts", self.base))
            .content_type("application/octet-stream")
            .send(file);
        let stored = read(request.clone(), answer)?;
        match stored["id"].as_str() {
            Some(id) => Ok(id.to_owned()),
            None => Err(RestError::Unanswered {
                request,
                reason: format!("the answer names no artifact: {stored}"),
            }),
        }
    }
}

fn read(
    request: String,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Value, RestError> {
    let unanswered = |error: ureq::Error| RestError::Unanswered {
        request: request.clone(),
        reason: error.to_string(),
    };
    let mut answer = answer.map_err(unanswered)?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string().map_err(unanswered)?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    match status {
        200..=299 => Ok(body),
        _ => Err(RestError::Refused {
            request,
            status,
            problem: body,
        }),
    }
}
