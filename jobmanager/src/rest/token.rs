//! What a client must know before it is served.

use std::fmt;

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use super::problem::{Problem, ProblemKind};

/// The shortest token that is taken.
const SHORTEST: usize = 16;
/// The longest token that is taken.
const LONGEST: usize = 1024;
/// How the header starts that carries it.
const SCHEME: &[u8] = b"Bearer ";

/// The token that requests carry in `authorization: Bearer …`: 16 to 1024 visible ASCII characters. Debug output does
/// not show it.
#[derive(Clone)]
pub struct BearerToken(String);

/// Why a text is no token. It does not repeat the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// It is too short or too long.
    #[error(
        "the bearer token has {0} characters where {SHORTEST} to {LONGEST} are taken; choose one of 32 random characters"
    )]
    Length(usize),
    /// It has characters that a header cannot carry.
    #[error("the bearer token has a blank or a character that is not ASCII; choose letters and digits")]
    Characters,
}

impl BearerToken {
    /// Takes a text as the token; white space around it, such as the line end of a file, is dropped.
    ///
    /// # Errors
    /// If it is too short or too long, or has characters that a header cannot carry.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if !(SHORTEST..=LONGEST).contains(&text.len()) {
            return Err(TokenError::Length(text.chars().count()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Characters);
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether the headers carry it; takes the same time for every token of its length.
    ///
    /// # Errors
    /// [`ProblemKind::Unauthorized`] that says whether a token is missing or wrong, and nothing about the right one.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let refuse = |detail| Err(Problem::new(ProblemKind::Unauthorized, detail).at("authorization"));
        let Some(claimed) = headers.get(header::AUTHORIZATION) else {
            return refuse(
                "the request has no header authorization; send \"Bearer \" and the cluster's token",
            );
        };
        match strip_scheme(claimed.as_bytes()) {
            Some(claimed) if bool::from(claimed.ct_eq(self.0.as_bytes())) => Ok(()),
            Some(_) => refuse("the token is not this cluster's; ask who runs it"),
            None => refuse(
                "the header authorization has another scheme; send \"Bearer \" and the cluster's token",
            ),
        }
    }
}

/// What follows the scheme, whose case does not matter (RFC 9110, section 11.1).
fn strip_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(token)
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    #[test]
    fn only_the_token_is_let_in() {
        let token = BearerToken::new(&format!("{TOKEN}\n")).unwrap();
        let cases = [
            (Some("Bearer 0123456789abcdef"), true),
            (Some("bearer 0123456789abcdef"), true),
            (Some("Bearer 0123456789abcdeF"), false),
            (Some("Bearer 0123456789abcdef0"), false),
            (Some("Bearer "), false),
            (Some("Basic 0123456789abcdef"), false),
            (Some(""), false),
            (None, false),
        ];
        for (claimed, is_let_in) in cases {
            let mut headers = HeaderMap::new();
            if let Some(claimed) = claimed {
                headers.insert(header::AUTHORIZATION, HeaderValue::from_static(claimed));
            }
            let checked = token.check(&headers);
            assert_eq!(checked.is_ok(), is_let_in, "{claimed:?}");
            if let Err(problem) = checked {
                assert_eq!(problem.kind(), ProblemKind::Unauthorized);
                assert!(!problem.to_string().contains(TOKEN));
            }
        }
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_repeated() {
        assert_eq!(BearerToken::new("short").unwrap_err(), TokenError::Length(5));
        assert_eq!(
            BearerToken::new(&"x".repeat(1025)).unwrap_err(),
            TokenError::Length(1025)
        );
        assert_eq!(
            BearerToken::new("sixteen letters and blanks").unwrap_err(),
            TokenError::Characters
        );
        assert!(!format!("{:?}", BearerToken::new(TOKEN).unwrap()).contains(TOKEN));
    }
}
