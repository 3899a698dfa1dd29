//! A job manager that answers from a script, and the command that asks it.

use std::{
    collections::{HashMap, VecDeque},
    process::Command,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime};

/// A job's id.
pub(crate) const JOB: &str = "0123456789abcdef0123456789abcdef";

/// A request that was made.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) what: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Answer = (u16, Value);

#[derive(Default)]
struct Play {
    /// By `METHOD /path?query`; the last answer is given again and again.
    answers: HashMap<String, VecDeque<Answer>>,
    asked: Vec<Asked>,
}

/// A job manager that answers from a script.
pub(crate) struct Script {
    play: Arc<Mutex<Play>>,
    address: String,
    _runtime: Runtime,
}

impl Script {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let play = Arc::<Mutex<Play>>::default();
        let router = Router::new().fallback(answer).with_state(play.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            play,
            address,
            _runtime: runtime,
        }
    }

    /// Answers `what` (`GET /v1/jobs`) with the document.
    pub(crate) fn on(self, what: &str, document: Value) -> Self {
        self.answer(what, 200, document)
    }

    /// Answers with another status; what is said of the same request twice is answered in turn.
    pub(crate) fn answer(self, what: &str, status: u16, document: Value) -> Self {
        let mut play = self.play.lock().unwrap();
        let answers = play.answers.entry(what.to_owned()).or_default();
        answers.push_back((status, document));
        drop(play);
        self
    }

    /// Runs the command with these words.
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        self.run_with(words, &[])
    }

    /// Likewise, with more in its environment.
    pub(crate) fn run_with(&self, words: &[&str], environment: &[(&str, &str)]) -> Ran {
        tidegate(words, &self.address, environment)
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.play.lock().unwrap().asked.clone()
    }

    /// The requests so far that begin like this.
    pub(crate) fn asked_for(&self, what: &str) -> Vec<Asked> {
        let mut asked = self.asked();
        asked.retain(|asked| asked.what.starts_with(what));
        asked
    }
}

/// How the command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// That it ended well; what it said.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// That it ended with a code and told something.
    #[track_caller]
    pub(crate) fn refused(self, code: i32, told: &str) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert!(self.err.contains(told), "{told:?} is not in {}", self.err);
    }
}

/// Runs the command against an address.
pub(crate) fn tidegate(words: &[&str], address: &str, environment: &[(&str, &str)]) -> Ran {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(words)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .env("TIDEGATE_ADDRESS", address)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// A problem document.
pub(crate) fn problem(name: &str, status: u16, detail: &str) -> Value {
    json!({
        "type": format!("urn:tidegate:problem:{name}"),
        "title": "It was refused",
        "status": status,
        "detail": detail,
    })
}

async fn answer(State(play): State<Arc<Mutex<Play>>>, request: Request) -> Response {
    let what = format!("{} {}", request.method(), request.uri());
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let body: Bytes = axum::body::to_bytes(request.into_body(), usize::MAX)
        .await
        .unwrap();
    let mut play = play.lock().unwrap();
    play.asked.push(Asked {
        what: what.clone(),
        headers,
        body: body.to_vec(),
    });
    let known = play.answers.get_mut(&what).map(|answers| match answers.len() {
        1 => answers[0].clone(),
        _ => answers.pop_front().unwrap(),
    });
    let (status, document) = known.unwrap_or_else(|| {
        (
            404,
            problem("unknown-path", 404, &format!("the script has no {what}")),
        )
    });
    let status = StatusCode::from_u16(status).unwrap();
    match document {
        // What is no document is a file's piece.
        Value::String(text) => (status, [("x-file-size", text.len().to_string())], text).into_response(),
        document => {
            let kind = match status.is_success() {
                true => "application/json",
                false => "application/problem+json",
            };
            (status, [(header::CONTENT_TYPE, kind)], document.to_string()).into_response()
        }
    }
}
