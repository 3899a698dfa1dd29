//! An S3 server for demonstrations and tests by hand. It keeps everything in memory, and misbehaves on command.

use std::net::SocketAddr;

use clap::Parser;
use tidegate_sandbox::s3::{ACCESS_KEY_ID, FaultRule, S3Server, SECRET_ACCESS_KEY};

/// An S3 server on this machine that keeps everything in memory: nothing is left when it ends.
///
/// It prints the environment that leads clients to it, and serves until its standard input ends or it is told to end.
#[derive(Parser)]
#[command(name = "tidegate-test-s3", version)]
struct Arguments {
    /// Where to listen; port 0 for any that is free.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A bucket to have; may be repeated.
    #[arg(long = "bucket", default_value = "tidegate", value_name = "NAME")]
    buckets: Vec<String>,
    /// What to do to requests, such as `status:503 on write at /segments/ after 4`; may be repeated. Faults: `status:<code>`,
    /// `delay:<duration>`, reset, reset-mid-body, torn-write, lost-answer.
    #[arg(long = "fault", value_name = "RULE")]
    faults: Vec<FaultRule>,
}

fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let server = S3Server::start(arguments.listen)?;
    for bucket in &arguments.buckets {
        server.buckets().create(bucket);
    }
    for fault in arguments.faults {
        server.faults().add(fault);
    }
    for (name, value) in server.environment() {
        println!("export {name}={value}");
    }
    eprintln!(
        "serving {:?} at http://{} for {ACCESS_KEY_ID} with {SECRET_ACCESS_KEY:?}",
        arguments.buckets,
        server.address()
    );
    // Whoever started it and ends, ends it.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
