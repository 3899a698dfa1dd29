//! `tidegate plan`.

use std::fmt::Write;

use super::Context;
use crate::{
    client::Call, documents::JobPlan, error::Result, exit_code::ExitCode, output::one_line, reference,
};

/// Shows a job's chains of operators and what flows between them.
pub(super) fn run(context: &Context, job: &str) -> Result<ExitCode> {
    let id = reference::job(&context.client, job)?;
    let document = context.client.call(&Call::get(["v1", "jobs", &id, "plan"]))?;
    context.output.show(&document, || {
        let JobPlan { plan } = context.client.read(document.clone())?;
        let mut text = String::new();
        for node in &plan.nodes {
            let name = if node.description.is_empty() {
                node.operators.join(" → ")
            } else {
                node.description.clone()
            };
            let _ = writeln!(text, "{} × {}  {}", node.id, node.parallelism, one_line(&name));
            for input in &node.inputs {
                let _ = writeln!(
                    text,
                    "    ← {} ({})",
                    one_line(&input.id),
                    one_line(&input.ship_strategy)
                );
            }
        }
        Ok(text)
    })?;
    Ok(ExitCode::Success)
}
