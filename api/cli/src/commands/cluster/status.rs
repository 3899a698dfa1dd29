//! `tidegate cluster status`.

use std::{fmt::Write, path::Path};

use serde_json::json;

use super::note::Note;
use crate::{
    error::Result,
    exit_code::ExitCode,
    output::{Column, Output, table},
};

/// Says which processes are alive; it is a failure if one is not.
pub(super) fn run(directory: &Path, output: Output) -> Result<ExitCode> {
    let Some(note) = Note::read(directory)? else {
        let document = json!({"running": false, "members": []});
        output.show(&document, || {
            Ok(format!("no cluster was started in {}\n", directory.display()))
        })?;
        return Ok(ExitCode::Failed);
    };
    let members: Vec<_> = note
        .members
        .iter()
        .map(|member| (member, member.process.is_alive()))
        .collect();
    let all = members.iter().all(|(_, alive)| *alive);
    let described: Vec<_> = members
        .iter()
        .map(|(member, alive)| {
            json!({"name": member.name, "pid": member.process.pid, "alive": alive, "log": member.log})
        })
        .collect();
    let document = json!({
        "running": all,
        "address": note.address,
        "storage": note.storage,
        "members": described,
    });
    output.show(&document, || {
        let columns = [
            Column::Text("PROCESS"),
            Column::Number("PID"),
            Column::Text("STATE"),
            Column::Text("LOG"),
        ];
        let rows = members.iter().map(|(member, alive)| {
            vec![
                member.name.clone(),
                member.process.pid.to_string(),
                if *alive { "alive" } else { "gone" }.to_owned(),
                member.log.display().to_string(),
            ]
        });
        let mut text = table(&columns, rows);
        let _ = write!(text, "\naddress {}\nstorage {}\n", note.address, note.storage);
        Ok(text)
    })?;
    Ok(if all { ExitCode::Success } else { ExitCode::Failed })
}
