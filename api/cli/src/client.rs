//! One request to the job manager, and what became of it.

use std::{io, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_settings::Secret;
use ureq::{
    Agent, SendBody,
    http::{Method, Request, Response, header},
};
use url::Url;

use crate::{
    address,
    error::{Error, Problem, Result},
    settings::CliSettings,
};

/// The most bytes of an answer that are taken.
const ANSWER_LIMIT_BYTES: u64 = 256 * 1024 * 1024;
/// How long it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The header that says how long a log file is in all.
const FILE_SIZE: &str = "x-file-size";

/// Speaks to one job manager.
pub(crate) struct Client {
    agent: Agent,
    base: Url,
    token: Option<Secret>,
    timeout: Duration,
}

/// A request that is being made up.
pub(crate) struct Call {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Call {
    fn new<S: AsRef<str>>(method: Method, path: impl IntoIterator<Item = S>) -> Self {
        Self {
            method,
            path: path
                .into_iter()
                .map(|segment| segment.as_ref().to_owned())
                .collect(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Asks for what is at `path`, given in segments.
    pub(crate) fn get<S: AsRef<str>>(path: impl IntoIterator<Item = S>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Sends `body` there.
    pub(crate) fn post<S: AsRef<str>>(path: impl IntoIterator<Item = S>, body: Value) -> Self {
        Self {
            body: Some(body),
            ..Self::new(Method::POST, path)
        }
    }

    /// Changes what is there.
    pub(crate) fn patch<S: AsRef<str>>(path: impl IntoIterator<Item = S>) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// Deletes what is there.
    pub(crate) fn delete<S: AsRef<str>>(path: impl IntoIterator<Item = S>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// With a parameter in the query.
    pub(crate) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A piece of a log file.
pub(crate) struct Piece {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// How many the file has in all.
    pub(crate) size: u64,
}

impl Client {
    /// For the job manager that the settings name.
    pub(crate) fn new(settings: &CliSettings) -> Result<Self> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A token must not travel through a machine that the user did not name.
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")));
        Ok(Self {
            agent: config.build().into(),
            base: address::parse(&settings.address)?,
            token: settings.token.clone(),
            timeout: settings.timeout.get(),
        })
    }

    /// Where the job manager is.
    pub(crate) fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Makes the request; what comes back is the JSON document of the answer.
    pub(crate) fn call(&self, call: &Call) -> Result<Value> {
        let response = self.answer(call)?;
        self.document(response)
    }

    /// Likewise, read as a `T`.
    pub(crate) fn fetch<T: DeserializeOwned>(&self, call: &Call) -> Result<T> {
        self.read(self.call(call)?)
    }

    /// Asks whether something holds, such as `readyz`; the words of the answer do not matter.
    pub(crate) fn probe(&self, name: &str) -> Result<()> {
        self.answer(&Call::get([name])).map(|_| ())
    }

    /// A document as a `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self, document: Value) -> Result<T> {
        serde_json::from_value(document)
            .map_err(|error| self.stranger(format!("its answer lacks something: {error}")))
    }

    /// Makes a request that is answered with a piece of a file.
    pub(crate) fn piece(&self, call: &Call) -> Result<Piece> {
        let mut response = self.answer(call)?;
        let size = response
            .headers()
            .get(FILE_SIZE)
            .and_then(|size| size.to_str().ok()?.parse().ok());
        let bytes = response
            .body_mut()
            .with_config()
            .limit(ANSWER_LIMIT_BYTES)
            .read_to_vec()
            .map_err(|error| self.unreachable(&error))?;
        Ok(Piece {
            size: size.unwrap_or(bytes.len() as u64),
            bytes,
        })
    }

    /// Sends `length` bytes from `source` as an executable whose SHA-256 is `digest`.
    pub(crate) fn upload(&self, mut source: impl io::Read, length: u64, digest: &str) -> Result<Value> {
        let mut url = self.url(&["v1", "artifacts"]);
        url.query_pairs_mut().append_pair("sha256", digest);
        let request = self
            .request(&Method::POST, &url)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, length)
            // Someone who may not upload learns it before sending everything.
            .header(header::EXPECT, "100-continue")
            .body(SendBody::from_reader(&mut source))
            .map_err(|error| Error::Usage(error.to_string()))?;
        let response = self
            .agent
            .run(request)
            .map_err(|error| self.unreachable(&error))?;
        let response = self.accepted(response)?;
        self.document(response)
    }

    fn url<S: AsRef<str>>(&self, path: &[S]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path.iter().map(AsRef::as_ref));
        }
        url
    }

    fn request(&self, method: &Method, url: &Url) -> ureq::http::request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(header::ACCEPT, "application/json");
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose())),
            None => request,
        }
    }

    fn answer(&self, call: &Call) -> Result<Response<ureq::Body>> {
        let mut url = self.url(&call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.request(&call.method, &url);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let body = match &call.body {
            Some(document) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                document.to_string()
            }
            None => String::new(),
        };
        // The builder remembers the first thing that was wrong, such as a line break in a header.
        let invalid = |error: ureq::http::Error| Error::Usage(format!("the request cannot be sent: {error}"));
        let answered = if body.is_empty() {
            let request = request.body(()).map_err(invalid)?;
            self.within_timeout(request)
        } else {
            let request = request.body(body).map_err(invalid)?;
            self.within_timeout(request)
        };
        self.accepted(answered.map_err(|error| self.unreachable(&error))?)
    }

    fn within_timeout(
        &self,
        request: Request<impl ureq::AsSendBody>,
    ) -> std::result::Result<Response<ureq::Body>, ureq::Error> {
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(Some(self.timeout))
            .build();
        self.agent.run(request)
    }

    /// Tells an answer from a refusal.
    fn accepted(&self, mut response: Response<ureq::Body>) -> Result<Response<ureq::Body>> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.body_mut().read_to_string().unwrap_or_default();
        match serde_json::from_str::<Problem>(&text) {
            Ok(mut problem) => {
                problem.status = status.as_u16();
                Err(Error::Problem(problem))
            }
            Err(_) => Err(self.stranger(format!("status {status} without a problem document"))),
        }
    }

    fn document(&self, mut response: Response<ureq::Body>) -> Result<Value> {
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_LIMIT_BYTES)
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        serde_json::from_str(&text).map_err(|error| self.stranger(format!("its answer is no JSON: {error}")))
    }

    fn unreachable(&self, error: &ureq::Error) -> Error {
        Error::Unreachable {
            address: self.address().to_owned(),
            reason: error.to_string(),
        }
    }

    fn stranger(&self, reason: String) -> Error {
        Error::Stranger {
            address: self.address().to_owned(),
            reason,
        }
    }
}
