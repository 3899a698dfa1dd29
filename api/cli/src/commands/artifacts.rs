//! `tidegate artifacts`.

use std::{fs::File, io, path::Path};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Context;
use crate::{
    arguments::ArtifactsCommand,
    client::Call,
    documents::{Artifact, Artifacts},
    error::{Error, Result},
    exit_code::ExitCode,
    output::{Column, bytes, print, table},
    progress, time,
};

/// How many digits an id has.
const ID_DIGITS: usize = 64;

/// Does what is to be done about executables.
pub(super) fn run(context: &Context, command: &ArtifactsCommand) -> Result<ExitCode> {
    match command {
        ArtifactsCommand::Upload { file } => {
            let artifact = upload(context, file)?;
            let document = serde_json::json!({"id": artifact});
            context.output.show(&document, || Ok(format!("{artifact}\n")))?;
        }
        ArtifactsCommand::Ls => list(context)?,
        ArtifactsCommand::Rm { id } => {
            let id = resolve(context, id)?;
            context.client.call(&Call::delete(["v1", "artifacts", &id]))?;
            print(&format!("{id} is deleted\n"))?;
        }
    }
    Ok(ExitCode::Success)
}

fn list(context: &Context) -> Result<()> {
    let document = context.client.call(&Call::get(["v1", "artifacts"]))?;
    context.output.show(&document, || {
        let Artifacts { artifacts } = context.client.read(document.clone())?;
        let columns = [
            Column::Text("ARTIFACT"),
            Column::Text("NAME"),
            Column::Number("SIZE"),
            Column::Text("TARGET"),
            Column::Text("UPLOADED"),
            Column::Number("JOBS"),
        ];
        let unknown = || "-".to_owned();
        let rows = artifacts.into_iter().map(|artifact| {
            vec![
                artifact.id,
                artifact.name.unwrap_or_else(unknown),
                bytes(artifact.size),
                artifact.target.unwrap_or_else(unknown),
                time::time(artifact.uploaded),
                artifact.jobs.len().to_string(),
            ]
        });
        Ok(table(&columns, rows))
    })
}

/// Whether a text has the form of an executable's id.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn known(context: &Context) -> Result<Vec<Artifact>> {
    let Artifacts { artifacts } = context.client.fetch(&Call::get(["v1", "artifacts"]))?;
    Ok(artifacts)
}

fn resolve(context: &Context, text: &str) -> Result<String> {
    if is_id(text) {
        return Ok(text.to_owned());
    }
    let artifacts = known(context)?;
    let mut found = artifacts.iter().filter(|artifact| artifact.id.starts_with(text));
    match (found.next(), found.next()) {
        (Some(artifact), None) if !text.is_empty() => Ok(artifact.id.clone()),
        (None, _) => Err(Error::Usage(format!(
            "no artifact's id begins with `{text}`; `tidegate artifacts ls` shows those there are"
        ))),
        _ => Err(Error::Usage(format!(
            "several artifacts' ids begin with `{text}`; write more of it"
        ))),
    }
}

/// Sees to it that the executable is on the cluster; its id.
pub(super) fn upload(context: &Context, path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::file(path, "read"))?;
    let metadata = file.metadata().map_err(Error::file(path, "read"))?;
    if !metadata.is_file() {
        return Err(Error::Usage(format!(
            "{} is no file; name the job's executable, such as target/release/job",
            path.display()
        )));
    }
    let digest = digest(&mut file).map_err(Error::file(path, "read"))?;
    if known(context)?.iter().any(|artifact| artifact.id == digest) {
        return Ok(digest);
    }
    io::Seek::rewind(&mut file).map_err(Error::file(path, "read"))?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let bar = progress::upload(metadata.len(), &name);
    let uploaded = context
        .client
        .upload(bar.wrap_read(&file), metadata.len(), &digest);
    bar.finish_and_clear();
    let document: Value = uploaded?;
    let artifact: Artifact = context.client.read(document)?;
    Ok(artifact.id)
}

fn digest(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match io::Read::read(file, &mut buffer)? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    let digits = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(digits)
}
