//! What a job measures, as it is scraped while the job runs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use tidegate::{
    Error, OperatorContext,
    metrics::{Counter, Gauge, Histogram, MetricsServer},
    prelude::*,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Asks a server and gives what it answers: the head and the body.
fn request(address: SocketAddr, method: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// What was scraped: samples by name, each with its labels.
struct Scraped {
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
    text: String,
}

impl Scraped {
    fn from(address: SocketAddr) -> Self {
        let (head, text) = request(address, "GET", "/metrics");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(
            head.contains("application/openmetrics-text; version=1.0.0"),
            "{head}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = name.split_once('{').unwrap();
            let labels = labels.trim_end_matches('}').split("\",").map(|label| {
                let (key, value) = label.split_once("=\"").unwrap();
                (key.to_owned(), value.trim_end_matches('"').to_owned())
            });
            (name.to_owned(), labels.collect(), value.parse().unwrap())
        });
        Self {
            samples: samples.collect(),
            text,
        }
    }

    /// All samples of one name that have these labels.
    fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let has = |found: &BTreeMap<String, String>| {
            labels
                .iter()
                .all(|(key, value)| found.get(*key).map(String::as_str) == Some(value))
        };
        let samples = self
            .samples
            .iter()
            .filter(|(found, with, _)| found == name && has(with));
        samples.map(|(_, _, value)| *value).collect()
    }

    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.all(name, labels).iter().sum()
    }
}

/// Scrapes until a condition holds.
fn scrape_until(address: SocketAddr, holds: impl Fn(&Scraped) -> bool) -> Scraped {
    let started = Instant::now();
    loop {
        let scraped = Scraped::from(address);
        if holds(&scraped) {
            return scraped;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "it does not come to hold: {}",
            scraped.text
        );
    }
}

/// Sums numbers, with metrics of its own.
struct Sums {
    sum: ReducingState<u64>,
    own: Option<Own>,
}

struct Own {
    even: Arc<Counter>,
    last: Arc<Gauge>,
    sizes: Arc<Histogram>,
}

impl ProcessFunction for Sums {
    type Key = u64;
    type In = u64;
    type Out = u64;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        let metrics = context.metrics();
        self.own = Some(Own {
            even: metrics.counter("even_numbers")?,
            last: metrics.gauge("last_number")?,
            sizes: metrics.histogram("sizes", &[9.0, 99.0])?,
        });
        Ok(())
    }

    fn on_record(&self, number: u64, context: &mut ProcessContext<'_, u64, u64>) -> Result<(), BoxError> {
        self.sum.add(context, number);
        let own = self.own.as_ref().ok_or("it was not opened")?;
        if number.is_multiple_of(2) {
            own.even.add(1);
            context.emit(number);
        }
        own.last.set(number as f64);
        own.sizes.observe(number as f64);
        context.count("seen", 1)?;
        Ok(())
    }
}

#[test]
fn a_scrape_says_what_the_job_has_done() {
    let env = Env::new("a \"measured\" job");
    let evens = env
        .source(
            "numbers",
            GeneratorSource::new(|_seed, sequence| sequence).count(1000),
        )
        .key_by(|number| number % 10)
        .process("sums", |states| {
            Ok(Sums {
                sum: states.reducing("sum", StateOptions::default(), |sum: &mut u64, one| *sum += one)?,
                own: None,
            })
        })
        .collect("evens");
    // This one goes on for ever; its first record is from far ahead, and all others come too late.
    let times = WatermarkStrategy::monotonous()
        .event_time(|sequence: &u64| if *sequence == 0 { 100_000i64 } else { 0 });
    env.source(
        "heartbeats",
        GeneratorSource::new(|_seed, sequence| sequence).rate(500),
    )
    .parallelism(1)
    .watermarks(times)
    .parallelism(1)
    .key_by(|_| 0u8)
    .window(Tumbling::of(Duration::from_secs(1)))
    .aggregate("counts", Count::new())
    .parallelism(1)
    .discard("nowhere")
    .parallelism(1);
    let server = MetricsServer::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.address();
    assert!(address.port() > 0 && address.ip().is_loopback());
    let options = RunOptions::in_memory().workers(2).parallelism(1);
    let running = env
        .build()
        .unwrap()
        .start(options.checkpoint_interval(Duration::from_millis(20)))
        .unwrap();
    running.serve_metrics(server);

    let (sums, evens_out) = ([("operator", "sums")], [("operator", "evens")]);
    let scraped = scrape_until(address, |scraped| {
        scraped.sum("tidegate_operator_records_in_total", &evens_out) == 500.0
            && scraped.sum("tidegate_task_state_bytes", &[]) > 0.0
            && scraped.sum("tidegate_job_checkpoints_completed_total", &[]) >= 2.0
            && scraped.sum("tidegate_task_late_records_total", &[]) >= 10.0
    });

    // The numbers that came out are in the next checkpoint.
    let source = [("operator", "numbers")];
    assert_eq!(scraped.sum("tidegate_operator_records_in_total", &source), 1000.0);
    assert_eq!(
        scraped.sum("tidegate_operator_records_out_total", &source),
        1000.0
    );
    assert_eq!(scraped.sum("tidegate_operator_records_in_total", &sums), 1000.0);
    assert_eq!(scraped.sum("tidegate_operator_records_out_total", &sums), 500.0);
    assert_eq!(
        scraped.sum("tidegate_operator_records_out_total", &evens_out),
        500.0
    );

    // Chains: numbers → [sums → evens], which is where the keyed edge cuts them.
    let numbers = [("chain", "numbers"), ("job", "a \\\"measured\\\" job")];
    let chain = scraped
        .samples
        .iter()
        .find_map(|(name, labels, _)| {
            let is_sums = labels.get("operator").is_some_and(|operator| operator == "sums");
            (name == "tidegate_operator_records_in_total" && is_sums).then(|| labels["chain"].clone())
        })
        .unwrap();
    let of_chain = [("chain", chain.as_str())];
    assert_eq!(scraped.all("tidegate_task_records_in_total", &numbers).len(), 2);
    for (name, labels, value) in [
        ("tidegate_task_records_in_total", &numbers[..], 1000.0),
        ("tidegate_task_records_out_total", &numbers, 1000.0),
        ("tidegate_task_records_written_total", &numbers, 0.0),
        ("tidegate_task_records_in_total", &of_chain, 1000.0),
        ("tidegate_task_records_out_total", &of_chain, 500.0),
        ("tidegate_task_records_written_total", &of_chain, 500.0),
    ] {
        assert_eq!(scraped.sum(name, labels), value, "{name} {labels:?}");
    }
    // About half of the numbers travel to the other worker.
    let sent = scraped.sum("tidegate_task_bytes_out_total", &numbers);
    assert!(sent >= 300.0, "{sent}");
    assert_eq!(scraped.sum("tidegate_task_bytes_in_total", &of_chain), sent);

    for activity in ["busy", "idle"] {
        let name = format!("tidegate_task_{activity}_seconds_total");
        assert!(scraped.sum(&name, &numbers) > 0.0, "{name}");
    }
    let runs = scraped.sum("tidegate_task_run_seconds_count", &of_chain);
    let open = [("chain", chain.as_str()), ("le", "+Inf")];
    assert!(runs > 0.0);
    assert_eq!(scraped.sum("tidegate_task_run_seconds_bucket", &open), runs);

    // What the function itself measures.
    for (name, labels, value) in [
        ("tidegate_user_even_numbers_total", &sums[..], 500.0),
        ("tidegate_user_seen_total", &sums, 1000.0),
        ("tidegate_user_sizes_count", &sums, 1000.0),
        ("tidegate_user_sizes_sum", &sums, 499_500.0),
        ("tidegate_user_sizes_bucket", &[("le", "9.0")], 10.0),
        ("tidegate_user_sizes_bucket", &[("le", "99.0")], 100.0),
        ("tidegate_user_sizes_bucket", &[("le", "+Inf")], 1000.0),
    ] {
        assert_eq!(scraped.sum(name, labels), value, "{name} {labels:?}");
    }
    assert!(
        scraped.all("tidegate_user_last_number", &[]).contains(&999.0)
            || scraped.text.contains("last_number")
    );

    // Event time: the numbers have come to their end, the heartbeats stand at their first record.
    assert!(
        scraped
            .all("tidegate_task_watermark_seconds", &of_chain)
            .iter()
            .all(|watermark| watermark.is_infinite())
    );
    let counts = [("operator", "counts")];
    let late = scraped.sum("tidegate_task_late_records_total", &[]);
    assert!(
        late <= scraped.sum("tidegate_operator_records_in_total", &counts),
        "{late}"
    );
    let lags = scraped.all("tidegate_task_watermark_lag_seconds", &[]);
    assert!(!lags.is_empty() && lags.iter().all(|lag| *lag > 1e9), "{lags:?}");

    // The job.
    assert_eq!(scraped.all("tidegate_job_state", &[("state", "running")]), [1.0]);
    assert_eq!(scraped.sum("tidegate_job_restarts_total", &[]), 0.0);
    assert_eq!(scraped.sum("tidegate_job_checkpoints_failed_total", &[]), 0.0);
    for name in ["duration_seconds", "size_bytes", "age_seconds"] {
        let name = format!("tidegate_job_last_checkpoint_{name}");
        assert_eq!(scraped.all(&name, &[]).len(), 1, "{name}");
    }
    running.suspend().unwrap();
    running.join().unwrap();
    assert_eq!(evens.sorted().len(), 500);
}

#[test]
fn only_metrics_are_served_and_only_to_be_read() {
    let env = Env::new("served");
    env.source(
        "heartbeats",
        GeneratorSource::new(|_seed, sequence| sequence).rate(10),
    )
    .discard("nowhere");
    let running = env.build().unwrap().start(RunOptions::in_memory()).unwrap();
    let server = MetricsServer::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.address();
    running.serve_metrics(server);
    for (method, path, status) in [
        ("GET", "/", "404"),
        ("GET", "/metrics/", "404"),
        ("POST", "/metrics", "405"),
        ("HEAD", "/metrics", "200"),
        ("GET", "/metrics?now", "200"),
    ] {
        let (head, body) = request(address, method, path);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{method} {path}: {head}"
        );
        assert_eq!(body.is_empty(), method == "HEAD", "{method} {path}");
    }
    // Garbage ends its own connection alone.
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&[0xff; 4096]).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    Scraped::from(address);
}

#[test]
fn an_address_that_is_taken_is_refused_by_name() {
    let first = MetricsServer::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let error = MetricsServer::bind(first.address()).unwrap_err();
    assert!(matches!(&error, Error::MetricsAddress { address, .. } if *address == first.address()));
    assert!(
        error.to_string().contains(&first.address().to_string()),
        "{error}"
    );
}

/// Makes a metric of a name that cannot be one.
struct Misnamed;

impl ProcessFunction for Misnamed {
    type Key = u64;
    type In = u64;
    type Out = u64;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        context.metrics().gauge("orders per second")?;
        Ok(())
    }

    fn on_record(&self, _: u64, _: &mut ProcessContext<'_, u64, u64>) -> Result<(), BoxError> {
        Err("records come although it was not opened".into())
    }
}

#[test]
fn a_metric_of_an_impossible_name_is_refused_before_the_first_record() {
    let env = Env::new("misnamed");
    env.source(
        "numbers",
        GeneratorSource::new(|_seed, sequence| sequence).count(10),
    )
    .key_by(|number| *number)
    .process("misnamed", |_states| Ok(Misnamed))
    .discard("nowhere");
    let error = env.build().unwrap().run(RunOptions::in_memory()).unwrap_err();
    let message = error.with_causes();
    assert!(
        message.contains("\"misnamed\"")
            && message.contains("\"orders per second\" cannot be the name of a metric"),
        "{message}"
    );
}
