//! Asks an executable what job it is, under bounds: it is code that nobody here has seen before.

use std::{io, process::Stdio};

use serde::Deserialize;
use serde_json::Value;
use tidegate_core::ArtifactId;
use tidegate_proto::{
    control::ProtocolRange,
    taskmanager::{DescribeProblem, DescribeProblemKind as Kind, WorkerEnd},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
};

use crate::{
    artifact::Artifact,
    child,
    log::LastWords,
    memory,
    node::{Node, OpenStorage},
    options::DescribeOptions,
    worker::SECRET_VARIABLE,
};

/// What a job's command line ends with when its arguments make no sense.
const USAGE_EXIT_CODE: i32 = 2;
/// How much of a process's errors a message repeats, in characters.
const QUOTED_CHARACTERS: usize = 1000;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Question {
    pub(crate) artifact: ArtifactId,
    pub(crate) artifact_size_bytes: u64,
    /// The job's own.
    pub(crate) arguments: Vec<String>,
}

/// The part of a description that is looked at here.
#[derive(Deserialize)]
struct Described {
    #[serde(rename = "job")]
    _job: String,
    #[serde(rename = "graph")]
    _graph: serde_json::Map<String, Value>,
    #[serde(rename = "target")]
    _target: String,
    protocol: DescribedProtocol,
}

#[derive(Deserialize)]
struct DescribedProtocol {
    name: String,
    oldest: u32,
    newest: u32,
}

/// What came of running it.
#[derive(PartialEq, Eq, Debug)]
enum Run {
    Ended {
        end: WorkerEnd,
        output: Vec<u8>,
        errors: String,
    },
    TimedOut,
    MemoryOverrun {
        used_bytes: u64,
    },
    OutputOverrun,
}

/// The executable's description of the job, as JSON text.
pub(crate) async fn describe(
    node: &Node,
    storage: &OpenStorage,
    question: &Question,
) -> Result<String, DescribeProblem> {
    let permit = node.describing.acquire().await;
    let executable = node
        .executable(storage, &question.artifact, question.artifact_size_bytes)
        .await?;
    let limits = &node.options.describe;
    let run = run(&executable, &question.arguments, limits)
        .await
        .map_err(|error| not_run(&question.artifact, &error))?;
    drop(permit);
    judge(run, &question.artifact, limits)
}

async fn run(executable: &Artifact, arguments: &[String], limits: &DescribeOptions) -> io::Result<Run> {
    let mut command = child::command(executable.path());
    command
        .args(["describe", "--"])
        .args(arguments)
        .env_remove(SECRET_VARIABLE)
        .stdin(Stdio::null());
    let mut child = child::spawn(&mut command).await?;
    let process_id = child.id();
    let run = tokio::select! {
        ended = listen(&mut child, limits.output_bytes) => ended,
        used_bytes = memory::overrun(process_id, Some(limits.memory_bytes)) => Ok(Run::MemoryOverrun { used_bytes }),
        () = tokio::time::sleep(limits.timeout) => Ok(Run::TimedOut),
    };
    let _ = child::kill(&mut child).await;
    run
}

async fn listen(child: &mut Child, output_bytes: u64) -> io::Result<Run> {
    let streams = child.stdout.take().zip(child.stderr.take());
    let (mut stdout, stderr) = streams.ok_or_else(|| io::Error::other("its output cannot be read"))?;
    let mut output = Vec::new();
    let printed = async {
        (&mut stdout)
            .take(output_bytes + 1)
            .read_to_end(&mut output)
            .await?;
        Ok::<_, io::Error>(output.len() as u64 <= output_bytes)
    };
    let errors = last_words_of(stderr);
    tokio::pin!(printed, errors);
    // One that prints too much is not waited for.
    let (within, errors) = tokio::select! {
        within = &mut printed => match within {
            Ok(true) => (true, errors.await),
            other => (other?, String::new()),
        },
        errors = &mut errors => (printed.await?, errors),
    };
    if !within {
        return Ok(Run::OutputOverrun);
    }
    let end = child::end_of(child.wait().await);
    Ok(Run::Ended { end, output, errors })
}

async fn last_words_of(mut stream: impl AsyncRead + Unpin) -> String {
    let mut words = LastWords::default();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        words.push(&buffer[..read]);
    }
    words.text()
}

fn not_run(artifact: &ArtifactId, error: &io::Error) -> DescribeProblem {
    let (kind, hint) = match error.kind() {
        // The file is there: what is missing is the loader that it names.
        io::ErrorKind::NotFound => (
            Kind::NotExecutable,
            "; the dynamic loader that it was linked for is not on the task manager's machine",
        ),
        io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock => (Kind::Unavailable, ""),
        _ => (Kind::NotExecutable, ""),
    };
    DescribeProblem {
        kind,
        message: format!("artifact {artifact} cannot be run: {error}{hint}"),
    }
}

fn judge(run: Run, artifact: &ArtifactId, limits: &DescribeOptions) -> Result<String, DescribeProblem> {
    let problem = |kind, message: String| {
        let message = format!("artifact {artifact} does not say what job it is: {message}");
        Err(DescribeProblem { kind, message })
    };
    match run {
        Run::TimedOut => problem(
            Kind::Hung,
            format!(
                "it had not answered after {:?}; build the job's graph without waiting for anything",
                limits.timeout
            ),
        ),
        Run::MemoryOverrun { used_bytes } => problem(
            Kind::Memory,
            format!(
                "it used {used_bytes} bytes of memory where {} are the limit; build the job's graph without loading data",
                limits.memory_bytes
            ),
        ),
        Run::OutputOverrun => problem(
            Kind::Output,
            format!(
                "it printed more than {} bytes; print nothing before `tidegate::main`",
                limits.output_bytes
            ),
        ),
        Run::Ended {
            end: WorkerEnd::Exited(0),
            output,
            ..
        } => match parse(&output) {
            Ok(text) => Ok(text),
            Err((kind, message)) => problem(kind, message),
        },
        Run::Ended {
            end: WorkerEnd::Exited(USAGE_EXIT_CODE),
            errors,
            ..
        } => Err(DescribeProblem {
            kind: Kind::Arguments,
            message: format!("artifact {artifact} says: {}", quoted(&errors)),
        }),
        Run::Ended { end, errors, .. } => problem(
            Kind::Crashed,
            format!("{end}; its last words: {}", quoted(&errors)),
        ),
    }
}

fn parse(output: &[u8]) -> Result<String, (Kind, String)> {
    let described: Described = serde_json::from_slice(output).map_err(|error| {
        let beginning = String::from_utf8_lossy(&output[..output.len().min(100)]);
        let message = format!(
            "what it printed, beginning with {beginning:?}, is no description of a job ({error}); upload an executable \
             whose main function is `tidegate::main`"
        );
        (Kind::NoJob, message)
    })?;
    let protocol = ProtocolRange {
        name: described.protocol.name,
        oldest: described.protocol.oldest,
        newest: described.protocol.newest,
    };
    ProtocolRange::worker_control()
        .agree_with(&protocol)
        .map_err(|error| (Kind::Protocol, error.to_string()))?;
    // It is JSON and therefore UTF-8.
    Ok(String::from_utf8_lossy(output).trim().to_owned())
}

fn quoted(errors: &str) -> String {
    let excess = errors.chars().count().saturating_sub(QUOTED_CHARACTERS);
    let end: String = errors.chars().skip(excess).collect();
    match end.trim() {
        "" => "none".to_owned(),
        end => end.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTION: &str = r#"{"job":"a","graph":{"nodes":[]},"target":"x","protocol":{"name":"tidegate.worker","oldest":1,"newest":1}}"#;

    fn ended(end: WorkerEnd, output: &str, errors: &str) -> Run {
        Run::Ended {
            end,
            output: output.as_bytes().to_vec(),
            errors: errors.to_owned(),
        }
    }

    fn judged(run: Run) -> Result<String, DescribeProblem> {
        let artifact = ArtifactId::parse(&"0f".repeat(32)).unwrap();
        judge(run, &artifact, &DescribeOptions::default())
    }

    #[test]
    fn a_description_comes_through_as_it_was_printed() {
        let output = format!("{DESCRIPTION}\n");
        let described = judged(ended(WorkerEnd::Exited(0), &output, "warnings"));
        assert_eq!(described.unwrap(), DESCRIPTION);
    }

    #[test]
    fn everything_else_is_a_problem_of_its_kind() {
        let exited = |output: &str| ended(WorkerEnd::Exited(0), output, "");
        let newer = DESCRIPTION.replace("\"oldest\":1,\"newest\":1", "\"oldest\":7,\"newest\":9");
        let other = DESCRIPTION.replace("tidegate.worker", "another");
        let cases = [
            (exited(""), Kind::NoJob, "no description"),
            (exited("Hello, world!"), Kind::NoJob, "\"Hello, world!\""),
            (exited("{}"), Kind::NoJob, "missing field"),
            (exited("[1]"), Kind::NoJob, "no description"),
            (exited(&format!("note\n{DESCRIPTION}")), Kind::NoJob, "note"),
            (exited(&newer), Kind::Protocol, "tidegate.worker versions 7 to 9"),
            (exited(&other), Kind::Protocol, "another version 1"),
            (
                ended(WorkerEnd::Exited(2), "", "unexpected argument '--x'"),
                Kind::Arguments,
                "says: unexpected argument '--x'",
            ),
            (
                ended(WorkerEnd::Exited(101), DESCRIPTION, "panicked at"),
                Kind::Crashed,
                "exit code 101; its last words: panicked at",
            ),
            (
                ended(WorkerEnd::Signaled(11), "", ""),
                Kind::Crashed,
                "SIGSEGV; its last words: none",
            ),
            (Run::TimedOut, Kind::Hung, "after 10s"),
            (
                Run::MemoryOverrun { used_bytes: 7 },
                Kind::Memory,
                "7 bytes of memory",
            ),
            (Run::OutputOverrun, Kind::Output, "8388608 bytes"),
        ];
        for (run, kind, says) in cases {
            let problem = judged(run).unwrap_err();
            assert_eq!(problem.kind, kind, "{problem}");
            assert!(problem.message.contains(says), "{problem}");
            assert!(problem.message.contains("0f0f"), "it says which: {problem}");
        }
    }

    #[test]
    fn long_words_are_cut_at_the_beginning() {
        let words = format!("{}end", "ä".repeat(5000));
        assert!(quoted(&words).ends_with("end"));
        assert_eq!(quoted(&words).chars().count(), QUOTED_CHARACTERS);
    }
}
