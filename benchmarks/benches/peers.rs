//! `cargo bench -p tidegate-benchmarks --bench peers -- --peer renoir=<program> [q3]`: ours beside another engine. Called
//! with a query, a parallelism and a number of events it is our side of the comparison, with a directory as well one of the
//! lives of a recovery.

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::{error::Error, process::ExitCode};

use tidegate_benchmarks::{
    BenchmarkError,
    peers::{Peer, Request, compare, run_life, run_ours},
};

fn main() -> ExitCode {
    // As every job's command line does.
    tidegate::tune_allocator();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), BenchmarkError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let (Some(request), Some(directory)) = (Request::parse(arguments.iter().cloned()), arguments.get(3)) {
        return run_life(&request, directory.as_ref());
    }
    if let Some(request) = Request::parse(arguments.iter().cloned()) {
        let outcome = run_ours(&request)?;
        println!(
            "{}",
            serde_json::to_string(&outcome).expect("an outcome is plain numbers")
        );
        return Ok(());
    }
    let Some(peer) = named_peer(&arguments) else {
        eprintln!("no peer is named, so there is nothing to compare with; say --peer renoir=<program>");
        return Ok(());
    };
    let ours = std::env::current_exe().map_err(|cause| BenchmarkError::Machine {
        what: "the path of this program is not known",
        cause,
    })?;
    let queries: Vec<String> = arguments
        .into_iter()
        .filter(|word| !word.starts_with('-') && !word.contains('='))
        .collect();
    println!("{}", compare(&ours, &peer, &queries)?.table());
    Ok(())
}

/// What follows `--peer`.
fn named_peer(arguments: &[String]) -> Option<Peer> {
    let place = arguments.iter().position(|word| word == "--peer")?;
    let (name, program) = arguments.get(place + 1)?.split_once('=')?;
    Some(Peer {
        name: name.to_owned(),
        program: program.into(),
    })
}
