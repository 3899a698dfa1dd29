//! `tidegate doctor`.

use serde_json::{Value, json};
use tidegate_settings::Loaded;

use crate::{
    client::{Call, Client},
    documents::{JobDetails, JobsOverview, Overview, TaskManagers},
    error::{Error, Result},
    exit_code::ExitCode,
    output::{Column, Output, one_line, table},
    settings::CliSettings,
};

/// What one check has found.
enum Finding {
    /// All is well; what was seen.
    Sound(String),
    /// It works, and something may surprise.
    Doubtful { seen: String, advice: String },
    /// It does not work.
    Broken { seen: String, advice: String },
}

use Finding::{Broken, Doubtful, Sound};

/// The checks so far, in their order.
#[derive(Default)]
struct Findings(Vec<(&'static str, Finding)>);

impl Findings {
    fn add(&mut self, check: &'static str, finding: Finding) {
        self.0.push((check, finding));
    }

    fn broken(&mut self, check: &'static str, error: &Error, advice: &str) {
        self.add(
            check,
            Broken {
                seen: error.to_string(),
                advice: advice.to_owned(),
            },
        );
    }
}

/// Checks from the near to the far, and ends where nothing further can be seen.
pub(super) fn run(loaded: &Loaded<CliSettings>, output: Output) -> Result<ExitCode> {
    let mut findings = Findings::default();
    examine(loaded, &mut findings);
    let broken = findings
        .0
        .iter()
        .any(|(_, finding)| matches!(finding, Broken { .. }));
    let checks: Vec<Value> = findings.0.iter().map(document).collect();
    output.show(&json!({"sound": !broken, "checks": checks}), || {
        let columns = [
            Column::Text("CHECK"),
            Column::Text("FINDING"),
            Column::Text("WHAT WAS SEEN, AND WHAT TO DO"),
        ];
        let rows = findings.0.iter().flat_map(|(check, finding)| match finding {
            Sound(seen) => vec![vec![(*check).to_owned(), "ok".to_owned(), seen.clone()]],
            Doubtful { seen, advice } => row(check, "warning", seen, advice),
            Broken { seen, advice } => row(check, "broken", seen, advice),
        });
        Ok(table(&columns, rows))
    })?;
    Ok(if broken {
        ExitCode::Failed
    } else {
        ExitCode::Success
    })
}

fn row(check: &str, finding: &str, seen: &str, advice: &str) -> Vec<Vec<String>> {
    vec![
        vec![check.to_owned(), finding.to_owned(), seen.to_owned()],
        vec![String::new(), String::new(), format!("→ {advice}")],
    ]
}

fn document((check, finding): &(&'static str, Finding)) -> Value {
    match finding {
        Sound(seen) => json!({"check": check, "finding": "ok", "seen": seen}),
        Doubtful { seen, advice } => {
            json!({"check": check, "finding": "warning", "seen": seen, "advice": advice})
        }
        Broken { seen, advice } => {
            json!({"check": check, "finding": "broken", "seen": seen, "advice": advice})
        }
    }
}

fn examine(loaded: &Loaded<CliSettings>, findings: &mut Findings) {
    let client = match Client::new(&loaded.settings) {
        Ok(client) => client,
        Err(error) => return findings.broken("address", &error, "set --address or TIDEGATE_ADDRESS"),
    };
    let address = client.address().to_owned();
    findings.add(
        "address",
        Sound(format!("{address} ({})", loaded.origin("address"))),
    );
    match client.probe("healthz") {
        Err(error @ Error::Unreachable { .. }) => {
            let advice =
                "start it with `tidegate cluster start` or tidegate-jobmanager, or correct the address";
            return findings.broken("job manager", &error, advice);
        }
        // What answers is looked at next.
        _ => findings.add("job manager", Sound("it answers".to_owned())),
    }
    let overview: Overview = match client.fetch(&Call::get(["v1", "overview"])) {
        Ok(overview) => overview,
        Err(Error::Problem(problem)) if matches!(problem.status, 401 | 403) => {
            let advice = "set TIDEGATE_TOKEN to the value of the job manager's rest.token";
            return findings.broken("token", &Error::Problem(problem), advice);
        }
        Err(error) => {
            let advice = "see whether the address is that of the REST interface (8081 unless set otherwise)";
            return findings.broken("interface", &error, advice);
        }
    };
    let token = match (&loaded.settings.token, client.call(&Call::get(["v1", "config"]))) {
        (Some(_), Ok(config)) if config.pointer("/settings/rest/token").is_none_or(Value::is_null) => {
            Doubtful {
                seen: "there is one here, and the job manager asks for none".to_owned(),
                advice: "set rest.token of the job manager if others can reach it".to_owned(),
            }
        }
        (Some(_), _) => Sound("it is accepted".to_owned()),
        (None, _) => Sound("none is needed".to_owned()),
    };
    findings.add("token", token);
    findings.add("version", version(&overview));
    findings.add("storage", storage(&client, &overview));
    task_managers(&client, &overview, findings);
    jobs(&client, findings);
}

fn version(overview: &Overview) -> Finding {
    let own = env!("CARGO_PKG_VERSION");
    if overview.version == own {
        return Sound(format!("{own}, as this command"));
    }
    Doubtful {
        seen: format!("the job manager is {}, this command is {own}", overview.version),
        advice: "use those of one release together".to_owned(),
    }
}

/// The job manager is ready once it has tried the store, conditional writes included, and has begun its generation.
fn storage(client: &Client, overview: &Overview) -> Finding {
    match client.probe("readyz") {
        Err(error @ Error::Problem(_)) => Broken {
            seen: format!("{}: {error}", overview.storage),
            advice: "see the job manager's log; the store must offer conditional writes and accept the credentials in \
                     the job manager's environment"
                .to_owned(),
        },
        _ => Sound(format!(
            "{} takes conditional writes (generation {})",
            overview.storage, overview.generation
        )),
    }
}

fn task_managers(client: &Client, overview: &Overview, findings: &mut Findings) {
    if overview.taskmanagers == 0 {
        let advice = "start tidegate-taskmanager on the machines that are to work, with the address where the job \
                      manager takes them";
        return findings.add(
            "task managers",
            Broken {
                seen: "none is attached".to_owned(),
                advice: advice.to_owned(),
            },
        );
    }
    let list: TaskManagers = match client.fetch(&Call::get(["v1", "taskmanagers"])) {
        Ok(list) => list,
        Err(error) => return findings.broken("task managers", &error, "ask again"),
    };
    let strangers: Vec<_> = list
        .taskmanagers
        .iter()
        .filter(|task_manager| task_manager.version != overview.version)
        .map(|task_manager| format!("{} is {}", task_manager.id, task_manager.version))
        .collect();
    let finding = if strangers.is_empty() {
        Sound(format!("{} attached", overview.taskmanagers))
    } else {
        Doubtful {
            seen: format!(
                "{}; the job manager is {}",
                strangers.join(", "),
                overview.version
            ),
            advice: "use those of one release together".to_owned(),
        }
    };
    findings.add("task managers", finding);
    let slots = format!(
        "{} of {} are free",
        overview.slots_available, overview.slots_total
    );
    let finding = if overview.slots_available > 0 {
        Sound(slots)
    } else {
        Doubtful {
            seen: slots,
            advice: "the next job waits; start more task managers, give them more slots, or cancel a job"
                .to_owned(),
        }
    };
    findings.add("slots", finding);
}

fn jobs(client: &Client, findings: &mut Findings) {
    let overview: JobsOverview = match client.fetch(&Call::get(["v1", "jobs", "overview"])) {
        Ok(overview) => overview,
        Err(error) => return findings.broken("jobs", &error, "ask again"),
    };
    let alive = overview.jobs.iter().filter(|job| !job.has_ended());
    let waiting: Vec<_> = alive
        .clone()
        .filter_map(|job| {
            let details: JobDetails = client.fetch(&Call::get(["v1", "jobs", &job.jid])).ok()?;
            Some(format!("{} waits: {}", one_line(&job.name), details.waits_for?))
        })
        .collect();
    let finding = if waiting.is_empty() {
        let failed = overview.jobs.iter().filter(|job| job.state == "FAILED").count();
        Sound(format!(
            "{} under way, {failed} have failed so far",
            alive.count()
        ))
    } else {
        Doubtful {
            seen: waiting.join("; "),
            advice: "start more task managers or give them more slots".to_owned(),
        }
    };
    findings.add("jobs", finding);
}
