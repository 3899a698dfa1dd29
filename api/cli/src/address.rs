//! Where a job manager is.

use url::Url;

use crate::error::{Error, Result};

/// Reads `host:port` or `http://host:port`.
pub(crate) fn parse(text: &str) -> Result<Url> {
    let refuse = |reason: &str| {
        Error::Usage(format!(
            "`{text}` is no address of a job manager: {reason}; write it as 127.0.0.1:8081 or http://host:8081"
        ))
    };
    let written = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = Url::parse(&written).map_err(|error| refuse(&error.to_string()))?;
    match url.scheme() {
        "http" => {}
        "https" => return Err(refuse("https is not spoken yet")),
        other => return Err(refuse(&format!("{other} is not spoken here"))),
    }
    if url.host().is_none() || url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has more or less than a host and a port"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse(
            "it holds a password, which does not belong there; set TIDEGATE_TOKEN",
        ));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, url) in [
            ("127.0.0.1:8081", "http://127.0.0.1:8081/"),
            ("localhost:1", "http://localhost:1/"),
            ("http://host:8081/", "http://host:8081/"),
            ("[::1]:8081", "http://[::1]:8081/"),
        ] {
            assert_eq!(parse(text).unwrap().as_str(), url);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "empty host"),
            ("https://host", "not spoken yet"),
            ("ftp://host", "ftp"),
            ("host:8081/path", "more or less"),
            ("host:99999", "port"),
            ("me:secret@host:1", "TIDEGATE_TOKEN"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
