//! How a worker's process is called.

use std::{ffi::OsString, path::Path};

use tidegate_proto::{control::ClusterSecret, taskmanager::StartWorker};

use crate::options::{LinkOptions, WorkerOptions};

/// Where a worker takes the cluster secret from: arguments can be read by every process of the machine.
pub(crate) const SECRET_VARIABLE: &str = "TIDEGATE_CLUSTER_SECRET";

/// The arguments of a worker's process. The job's own come last, behind `--`.
pub(super) fn arguments(
    start: &StartWorker,
    link: &LinkOptions,
    workers: &WorkerOptions,
    storage: &str,
    folder: &Path,
) -> Vec<OsString> {
    let checkpoints = format!("{}/jobs/{}", storage.trim_end_matches('/'), start.job);
    let reattach = format!("{}ms", workers.reattach_timeout.as_millis());
    let own = [
        ("--coordinator", link.job_manager.clone().into()),
        ("--job", start.job.as_str().into()),
        ("--worker", start.worker.as_str().into()),
        ("--slots", start.slots.to_string().into()),
        ("--checkpoint-dir", checkpoints.into()),
        ("--local-dir", folder.as_os_str().to_owned()),
        ("--data-address", workers.data_address.to_string().into()),
        ("--reattach-timeout", reattach.into()),
    ];
    let bind = workers
        .data_bind
        .map(|bind| ("--data-bind", bind.to_string().into()));
    let port = workers
        .data_port
        .map(|port| ("--data-port", port.to_string().into()));
    let mut arguments: Vec<OsString> = vec!["worker".into()];
    for (name, value) in own.into_iter().chain(bind).chain(port) {
        arguments.push(name.into());
        arguments.push(value);
    }
    arguments.push("--supervised".into());
    arguments.push("--".into());
    arguments.extend(start.arguments.iter().map(OsString::from));
    arguments
}

/// What a worker's environment has of the cluster secret.
pub(super) fn secret_variable(secret: &ClusterSecret) -> (&'static str, String) {
    (SECRET_VARIABLE, secret.reveal().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_core::{ArtifactId, JobId, WorkerName};

    use super::*;

    #[test]
    fn the_command_line_says_everything_that_is_not_secret() {
        let job = "0123456789abcdef".repeat(2);
        let start = StartWorker {
            job: JobId::parse(&job).unwrap(),
            worker: WorkerName::parse("a-7").unwrap(),
            artifact: ArtifactId::parse(&"0".repeat(64)).unwrap(),
            artifact_size_bytes: 1,
            arguments: vec!["--input".to_owned(), "a b".to_owned()],
            slots: 2,
            memory_limit_bytes: None,
        };
        let workers = WorkerOptions {
            reattach_timeout: Duration::from_millis(1500),
            ..WorkerOptions::default()
        };
        let link = LinkOptions::to("http://127.0.0.1:6123");
        let arguments = arguments(
            &start,
            &link,
            &workers,
            "s3://bucket/root/",
            Path::new("/scratch/a-7"),
        );
        let expected = format!(
            "worker|--coordinator|http://127.0.0.1:6123|--job|{job}|--worker|a-7|--slots|2|--checkpoint-dir|\
             s3://bucket/root/jobs/{job}|--local-dir|/scratch/a-7|--data-address|127.0.0.1|--reattach-timeout|1500ms|\
             --supervised|--|--input|a b"
        );
        let text: Vec<_> = arguments.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(text.join("|"), expected);
    }
}
