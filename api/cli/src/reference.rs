//! How people name a job: by its id, the beginning of it, or its name.

use crate::{
    client::{Call, Client},
    documents::{JobSummary, JobsOverview},
    error::{Error, Result},
};

/// How many digits a job's id has.
const ID_DIGITS: usize = 32;

/// The id of the job that `text` means.
pub(crate) fn job(client: &Client, text: &str) -> Result<String> {
    if is_hexadecimal(text) && text.len() == ID_DIGITS {
        return Ok(text.to_owned());
    }
    let overview: JobsOverview = client.fetch(&Call::get(["v1", "jobs", "overview"]))?;
    choose(&overview.jobs, text).map(|job| job.jid.clone())
}

fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The one job whose name is `text`, the one that has not ended among several, or whose id begins with it.
fn choose<'a>(jobs: &'a [JobSummary], text: &str) -> Result<&'a JobSummary> {
    let by_id = |job: &&JobSummary| is_hexadecimal(text) && job.jid.starts_with(text);
    let named: Vec<_> = jobs.iter().filter(|job| job.name == text).collect();
    let alive: Vec<_> = named.iter().copied().filter(|job| !job.has_ended()).collect();
    let candidates = [alive, named, jobs.iter().filter(by_id).collect()];
    match candidates
        .iter()
        .find(|found| !found.is_empty())
        .map(Vec::as_slice)
    {
        Some([job]) => Ok(job),
        Some(several) => Err(Error::Usage(format!(
            "`{text}` is {} jobs: {}; name one by its id",
            several.len(),
            several
                .iter()
                .map(|job| job.jid.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        ))),
        None => Err(Error::Usage(format!(
            "no job has the name or an id that begins with `{text}`; `tidegate list` shows those there are"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs() -> Vec<JobSummary> {
        serde_json::from_str(
            r#"[{"jid": "aa11", "name": "flights", "state": "FINISHED"},
                {"jid": "aa22", "name": "flights", "state": "RUNNING"},
                {"jid": "bb33", "name": "delays", "state": "CANCELED"},
                {"jid": "cc44", "name": "delays", "state": "FAILED"},
                {"jid": "dd55", "name": "bb", "state": "RUNNING"}]"#,
        )
        .unwrap()
    }

    #[test]
    fn a_job_is_found_by_what_is_clear() {
        for (text, found) in [
            ("aa1", Some("aa11")),
            ("flights", Some("aa22")),
            ("cc", Some("cc44")),
            ("bb", Some("dd55")),
            ("bb3", Some("bb33")),
            ("aa", None),
            ("delays", None),
            ("nothing", None),
            ("", None),
        ] {
            let jobs = jobs();
            let chosen = choose(&jobs, text);
            assert_eq!(chosen.ok().map(|job| job.jid.as_str()), found, "{text}");
        }
        let message = choose(&jobs(), "delays").unwrap_err().to_string();
        assert!(message.contains("bb33, cc44"), "{message}");
    }
}
