//! What is wrong is said, with what to do, and with its exit code.

use std::{fs, net::TcpListener};

use serde_json::json;

use crate::script::{JOB, Script, problem, tidegate};

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn nobody_answers() {
    tidegate(&["list"], &nobody(), &[]).refused(4, "say where it is with --address or TIDEGATE_ADDRESS");
    let ran = tidegate(&["doctor"], &nobody(), &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("tidegate cluster start"), "{}", ran.out);
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    tidegate(&["run", &path, "--patience", "0s"], &nobody(), &[]).refused(4, "cannot be reached");
}

#[test]
fn somebody_else_answers() {
    let script = Script::new()
        .on("GET /v1/jobs/overview", json!({"something": "else"}))
        .on("GET /v1/taskmanagers", json!("a page"))
        .answer("GET /v1/artifacts", 502, json!("a proxy's page"));
    script
        .run(&["list"])
        .refused(4, "does not answer like a job manager");
    script.run(&["task-managers"]).refused(4, "its answer is no JSON");
    script
        .run(&["artifacts", "ls"])
        .refused(4, "status 502 Bad Gateway without a problem document");
}

#[test]
fn refusals_are_told_as_they_came() {
    let mut document = problem("job-not-found", 404, "there is no job;\nlist\u{1b}[2J the jobs");
    document["field"] = json!("job");
    let script = Script::new()
        .answer(&format!("GET /v1/jobs/{JOB}"), 404, document)
        .answer(
            "GET /v1/jobs/overview",
            401,
            problem("unauthorized", 401, "send the token"),
        )
        .answer(
            "GET /v1/artifacts",
            503,
            problem("not-ready", 503, "ask again later"),
        );
    script.run(&["describe", JOB]).refused(
        3,
        "error: It was refused (job-not-found, status 404)\n  there is no job;\n  list [2J the jobs\n  at: job",
    );
    script
        .run(&["list"])
        .refused(3, "set TIDEGATE_TOKEN to the job manager's token");
    script
        .run(&["artifacts", "ls"])
        .refused(4, "not-ready, status 503");
}

#[test]
fn the_token_is_sent_and_never_shown() {
    let script = Script::new().on("GET /v1/jobs/overview", json!({"jobs": []}));
    let token = [("TIDEGATE_TOKEN", "sesame-open-sesame")];
    script.run_with(&["list"], &token).done();
    let headers = &script.asked()[0].headers;
    assert_eq!(headers["authorization"], "Bearer sesame-open-sesame");
    let out = script.run_with(&["config", "print"], &token).done();
    assert!(
        out.contains("token = \"(redacted)\" # environment variable TIDEGATE_TOKEN"),
        "{out}"
    );
    assert!(!out.contains("sesame"), "{out}");
    let out = script.run(&["config", "keys"]).done();
    assert!(out.contains("| `address` | text |"), "{out}");
}

#[test]
fn settings_come_from_a_file_too() {
    let script = Script::new().on("GET /v1/jobs/overview", json!({"jobs": []}));
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("tidegate");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("cli.toml"), "timeout = '5s'\n").unwrap();
    let place = home.path().display().to_string();
    let environment = [("XDG_CONFIG_HOME", place.as_str())];
    let out = script.run_with(&["config", "print"], &environment).done();
    assert!(out.contains("timeout = \"5s\" # "), "{out}");
    fs::write(directory.join("cli.toml"), "timeuot = '5s'\n").unwrap();
    script
        .run_with(&["list"], &environment)
        .refused(2, "line 1); did you mean `timeout`?");
}

#[test]
fn the_command_line_makes_no_sense() {
    let script = Script::new().on("GET /v1/jobs/overview", json!({"jobs": []}));
    for (words, told) in [
        (vec!["lst"], "list"),
        (vec!["list", "--address", "https://x"], "https is not spoken yet"),
        (vec!["list", "--timeout", "5"], "write a number with its unit"),
        (vec!["run", "job", "-p", "0"], "0 is not in 1..=32768"),
        (vec!["run", "job", "--set", "x"], "expected a key and a value"),
        (
            vec![
                "run",
                &"0".repeat(64),
                "--set",
                "restart=none",
                "--set",
                "restart.delay=1s",
            ],
            "`restart` a value of its own",
        ),
        (
            vec!["describe", "nothing"],
            "no job has the name or an id that begins with `nothing`",
        ),
        (vec!["run", "."], "is no file"),
    ] {
        script.run(&words).refused(2, told);
    }
    script
        .run(&["run", "/nowhere/job"])
        .refused(6, "/nowhere/job cannot be read");
    // A name goes nowhere near a path.
    script
        .run(&["describe", "../overview"])
        .refused(2, "no job has the name");
    script
        .run(&["task-managers", "../jobs/overview"])
        .refused(3, "GET /v1/taskmanagers/..%2Fjobs%2Foverview");
}

#[test]
fn help_and_completions_are_worth_reading() {
    let script = Script::new();
    let help = script.run(&["--help"]).done();
    for part in [
        "Exit codes:",
        "doctor",
        "--address <TEXT>",
        "[default: 127.0.0.1:8081]",
    ] {
        assert!(help.contains(part), "{part:?} is not in {help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            script
                .run(&["completions", shell])
                .done()
                .contains("task-managers")
        );
    }
}

/// The page about the command, and that about settings.
const PAGES: [&str; 2] = [
    include_str!("../../../../docs/cli.md"),
    include_str!("../../../../docs/configuration.md"),
];

#[test]
fn the_pages_know_every_command_and_setting() {
    let script = Script::new();
    let help = script.run(&["--help"]).done();
    let commands = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let names = commands.lines().filter_map(|line| line.split_whitespace().next());
    let mut count = 0;
    for name in names.filter(|name| *name != "help") {
        assert!(
            PAGES[0].contains(&format!("`tidegate {name}")),
            "docs/cli.md lacks {name}"
        );
        count += 1;
    }
    assert!(count > 10, "{help}");
    let exit_codes = help.split("Exit codes:\n").nth(1).unwrap();
    for code in exit_codes
        .lines()
        .filter_map(|line| line.split_whitespace().next())
    {
        assert!(
            PAGES[0].contains(&format!("\n| {code} | ")),
            "docs/cli.md lacks exit code {code}"
        );
    }
    let keys = script.run(&["config", "keys"]).done();
    assert!(
        PAGES[1].contains(&keys),
        "put what `tidegate config keys` prints into docs/configuration.md:\n{keys}"
    );
}
