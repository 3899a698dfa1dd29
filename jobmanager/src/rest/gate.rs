//! Who is served: the check before every operation.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    problem::{Problem, ProblemKind},
    token::BearerToken,
};

/// What may be asked by everybody: whether the process lives and whether it can work. Says nothing about jobs.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// What requests must bring.
#[derive(Clone, Debug)]
pub(crate) enum Gate {
    /// The token.
    Token(BearerToken),
    /// Nothing, but they must be meant for this machine: a page of another site must not reach the server through the
    /// browser of somebody who sits here, under a name that resolves to a loopback address.
    Loopback,
    /// Nothing at all.
    Insecure,
}

impl Gate {
    fn check(&self, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
        if OPEN_PATHS.contains(&path) {
            return Ok(());
        }
        check_origin(headers)?;
        match self {
            Self::Token(token) => token.check(headers),
            Self::Loopback => check_host(headers),
            Self::Insecure => Ok(()),
        }
    }
}

/// Lets a request through or refuses it.
pub(crate) async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    match gate.check(request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// A browser says for which site it sends a request that can change something; only the server's own pages may.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let host = headers.get(header::HOST).map_or(&b""[..], |host| host.as_bytes());
    let site = origin
        .as_bytes()
        .strip_prefix(b"http://")
        .or_else(|| origin.as_bytes().strip_prefix(b"https://"));
    if site.is_some_and(|site| site.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    let detail = "the header origin names another site than the header host; send requests from the cluster's own pages or \
                  from outside a browser";
    Err(Problem::new(ProblemKind::ForeignOrigin, detail).at("origin"))
}

fn check_host(headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("");
    if is_loopback(host) {
        return Ok(());
    }
    let detail = format!(
        "without a token this server is for its own machine and {host:?} may be another's name; ask for localhost or \
         127.0.0.1, or configure a token"
    );
    Err(Problem::new(ProblemKind::ForeignOrigin, detail).at("host"))
}

/// Whether a `host` header, with or without a port, names this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn check(gate: &Gate, path: &str, headers: &[(HeaderName, &'static str)]) -> Option<ProblemKind> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        gate.check(path, &headers).err().map(|problem| problem.kind())
    }

    #[test]
    fn without_a_token_requests_must_be_meant_for_this_machine() {
        for host in [
            "localhost",
            "127.0.0.1:8081",
            "[::1]:8081",
            "LOCALHOST:1",
            "127.9.9.9",
        ] {
            assert_eq!(
                check(&Gate::Loopback, "/v1/jobs", &[(header::HOST, host)]),
                None,
                "{host}"
            );
        }
        for host in [
            "",
            "evil.example",
            "10.0.0.1",
            "localhost.evil.example:80",
            "[::2]",
            "[",
        ] {
            let refused = check(&Gate::Loopback, "/v1/jobs", &[(header::HOST, host)]);
            assert_eq!(refused, Some(ProblemKind::ForeignOrigin), "{host}");
        }
        assert_eq!(
            check(&Gate::Insecure, "/v1/jobs", &[(header::HOST, "10.0.0.1")]),
            None
        );
    }

    #[test]
    fn pages_of_other_sites_are_refused_whatever_they_know() {
        let own = [
            (header::HOST, "localhost:1"),
            (header::ORIGIN, "http://localhost:1"),
        ];
        assert_eq!(check(&Gate::Insecure, "/v1/jobs", &own), None);
        for origin in ["http://evil.example", "null", "http://localhost:2", "localhost:1"] {
            let foreign = [(header::HOST, "localhost:1"), (header::ORIGIN, origin)];
            let refused = check(&Gate::Insecure, "/v1/jobs", &foreign);
            assert_eq!(refused, Some(ProblemKind::ForeignOrigin), "{origin}");
        }
    }

    #[test]
    fn with_a_token_only_probes_are_open() {
        let gate = Gate::Token(BearerToken::new("0123456789abcdef").unwrap());
        assert_eq!(check(&gate, "/healthz", &[]), None);
        assert_eq!(check(&gate, "/readyz", &[]), None);
        for path in [
            "/metrics",
            "/v1/jobs",
            "/healthz/",
            "//healthz",
            "/v1/openapi.json",
        ] {
            assert_eq!(check(&gate, path, &[]), Some(ProblemKind::Unauthorized), "{path}");
        }
    }
}
