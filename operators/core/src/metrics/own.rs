//! Metrics that users' functions declare by name.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::Counter;
use crate::{error::OperatorError, id::OperatorUid};

/// The longest name of a metric, in characters.
const MAX_NAME: usize = 128;
/// The most buckets of a histogram.
const MAX_BOUNDS: usize = 100;
/// Endings that the exposition format adds itself.
const RESERVED_ENDINGS: [&str; 6] = ["_total", "_bucket", "_sum", "_count", "_created", "_info"];

/// What kind of metric stands behind a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Values in buckets.
    Histogram,
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// Why a metric cannot be made.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum MetricError {
    /// It would not be understood where metrics are read.
    #[error(
        "{name:?} cannot be the name of a metric: use up to {MAX_NAME} of a-z, A-Z, 0-9 and _, begin with a letter, and do \
         not end with {}",
        RESERVED_ENDINGS.join(", ")
    )]
    Name {
        /// The name.
        name: String,
    },
    /// In one job all metrics of one name are of one kind.
    #[error("metric {name:?} is a {is} already and cannot be a {asked} too; give one of them another name")]
    Kind {
        /// The name.
        name: String,
        /// What it is.
        is: MetricKind,
        /// What it was to be.
        asked: MetricKind,
    },
    /// Buckets must be told apart.
    #[error("histogram {name:?} cannot have these bounds: give 1 to {MAX_BOUNDS} finite ones that rise")]
    Bounds {
        /// The name.
        name: String,
    },
    /// A histogram of this name is there, with other buckets.
    #[error("histogram {name:?} has other bounds already; give one of the two another name")]
    OtherBounds {
        /// The name.
        name: String,
    },
}

impl From<MetricError> for OperatorError {
    fn from(error: MetricError) -> Self {
        Self::other(error)
    }
}

/// A number that goes up and down, written by one thread and read by any.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    /// Adds to it. Only its owner calls this, so a plain read and write are enough.
    pub fn add(&self, amount: f64) {
        self.set(self.get() + amount);
    }

    /// Reads it.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

/// Values in buckets, written by one thread and read by any.
#[derive(Debug)]
pub struct Histogram {
    bounds: Box<[f64]>,
    /// One for each bound and an open one.
    counts: Box<[Counter]>,
    sum: Gauge,
}

/// What a histogram held when it was read. While it is being written, the sum may be one value ahead or behind.
#[derive(Clone, PartialEq, Debug)]
pub struct HistogramValues {
    /// The upper bound of each bucket with how many values fell there and into none before; infinity is the last.
    pub buckets: Vec<(f64, u64)>,
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

impl Histogram {
    fn new(name: &str, bounds: &[f64]) -> Result<Self, MetricError> {
        let rises = bounds.is_sorted_by(|low, high| low < high);
        if bounds.is_empty() || bounds.len() > MAX_BOUNDS || !rises || bounds.iter().any(|b| !b.is_finite()) {
            return Err(MetricError::Bounds {
                name: name.to_owned(),
            });
        }
        Ok(Self {
            bounds: bounds.into(),
            counts: (0..=bounds.len()).map(|_| Counter::default()).collect(),
            sum: Gauge::default(),
        })
    }

    /// Counts a value: in the first bucket whose bound it does not exceed. One that is no number falls into the last, and
    /// is left out of the sum. Only its owner calls this.
    pub fn observe(&self, value: f64) {
        let place = self
            .bounds
            .partition_point(|bound| value.is_nan() || *bound < value);
        self.counts[place].add(1);
        if !value.is_nan() {
            self.sum.add(value);
        }
    }

    /// Reads it.
    pub fn values(&self) -> HistogramValues {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.counts.iter().map(Counter::get)).collect();
        HistogramValues {
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
            sum: self.sum.get(),
        }
    }
}

/// A metric of a user's function.
#[derive(Clone, Debug)]
pub enum OwnMetric {
    /// See [`OperatorMetrics::counter`].
    Counter(Arc<Counter>),
    /// See [`OperatorMetrics::gauge`].
    Gauge(Arc<Gauge>),
    /// See [`OperatorMetrics::histogram`].
    Histogram(Arc<Histogram>),
}

impl OwnMetric {
    /// What kind it is of.
    pub fn kind(&self) -> MetricKind {
        match self {
            Self::Counter(_) => MetricKind::Counter,
            Self::Gauge(_) => MetricKind::Gauge,
            Self::Histogram(_) => MetricKind::Histogram,
        }
    }
}

/// The names that the functions of a job have given to metrics. Tasks of one worker share it.
#[derive(Debug, Default)]
pub struct MetricNames {
    /// Taken when a metric is made.
    kinds: Mutex<BTreeMap<String, MetricKind>>,
}

impl MetricNames {
    fn claim(&self, name: &str, asked: MetricKind) -> Result<(), MetricError> {
        let is_word = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !name.starts_with(|first: char| first.is_ascii_alphabetic())
            || !is_word
            || name.len() > MAX_NAME
            || RESERVED_ENDINGS.iter().any(|ending| name.ends_with(ending))
        {
            return Err(MetricError::Name {
                name: name.to_owned(),
            });
        }
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let is = *kinds.entry(name.to_owned()).or_insert(asked);
        if is == asked {
            Ok(())
        } else {
            let name = name.to_owned();
            Err(MetricError::Kind { name, is, asked })
        }
    }
}

/// The metrics that the functions of one task have made.
#[derive(Debug, Default)]
pub(super) struct OwnMetrics {
    names: Arc<MetricNames>,
    /// Taken when a metric is made and when somebody reads.
    metrics: Mutex<BTreeMap<(OperatorUid, String), OwnMetric>>,
}

impl OwnMetrics {
    pub(super) fn sharing(names: Arc<MetricNames>) -> Self {
        Self {
            names,
            ..Self::default()
        }
    }

    fn get_or_make(
        &self,
        operator: &OperatorUid,
        name: &str,
        kind: MetricKind,
        make: impl FnOnce() -> Result<OwnMetric, MetricError>,
    ) -> Result<OwnMetric, MetricError> {
        self.names.claim(name, kind)?;
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (operator.clone(), name.to_owned());
        if let Some(metric) = metrics.get(&key) {
            return Ok(metric.clone());
        }
        let metric = make()?;
        metrics.insert(key, metric.clone());
        Ok(metric)
    }

    pub(super) fn all(&self) -> Vec<(OperatorUid, String, OwnMetric)> {
        let metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = metrics.iter();
        metrics
            .map(|((operator, name), metric)| (operator.clone(), name.clone(), metric.clone()))
            .collect()
    }
}

/// Makes the metrics of one operator's function, per task. They are served beside the engine's own as
/// `tidegate_user_<name>`, labelled with job, operator and task. Make them once, in `open`, and keep them: each is
/// written without a lock, by the task's thread alone. Asked for the same name again, it gives the same metric.
#[derive(Clone, Copy)]
pub struct OperatorMetrics<'a> {
    operator: &'a OperatorUid,
    own: &'a OwnMetrics,
}

impl<'a> OperatorMetrics<'a> {
    pub(super) fn new(operator: &'a OperatorUid, own: &'a OwnMetrics) -> Self {
        Self { operator, own }
    }

    /// A counter. `_total` is added to its name where it is served.
    ///
    /// # Errors
    /// If the name cannot be one, or is that of another kind of metric in the job.
    pub fn counter(&self, name: &str) -> Result<Arc<Counter>, MetricError> {
        let make = || Ok(OwnMetric::Counter(Arc::default()));
        match self
            .own
            .get_or_make(self.operator, name, MetricKind::Counter, make)?
        {
            OwnMetric::Counter(counter) => Ok(counter),
            other => Err(other_kind(name, &other, MetricKind::Counter)),
        }
    }

    /// A gauge, at 0.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    pub fn gauge(&self, name: &str) -> Result<Arc<Gauge>, MetricError> {
        let make = || Ok(OwnMetric::Gauge(Arc::default()));
        match self
            .own
            .get_or_make(self.operator, name, MetricKind::Gauge, make)?
        {
            OwnMetric::Gauge(gauge) => Ok(gauge),
            other => Err(other_kind(name, &other, MetricKind::Gauge)),
        }
    }

    /// A histogram with these upper bounds of its buckets, and an open one above.
    ///
    /// # Errors
    /// As [`counter`](Self::counter); and if the bounds do not rise or there are none, or others were given before.
    pub fn histogram(&self, name: &str, bounds: &[f64]) -> Result<Arc<Histogram>, MetricError> {
        let make = || Ok(OwnMetric::Histogram(Arc::new(Histogram::new(name, bounds)?)));
        match self
            .own
            .get_or_make(self.operator, name, MetricKind::Histogram, make)?
        {
            OwnMetric::Histogram(histogram) if *histogram.bounds == *bounds => Ok(histogram),
            OwnMetric::Histogram(_) => Err(MetricError::OtherBounds {
                name: name.to_owned(),
            }),
            other => Err(other_kind(name, &other, MetricKind::Histogram)),
        }
    }
}

fn other_kind(name: &str, is: &OwnMetric, asked: MetricKind) -> MetricError {
    let (name, is) = (name.to_owned(), is.kind());
    MetricError::Kind { name, is, asked }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_could_read_are_refused() {
        let (own, uid) = (OwnMetrics::default(), OperatorUid::from("alerts"));
        let metrics = OperatorMetrics::new(&uid, &own);
        for name in ["a", "alerts", "alerts_2", "Alerts"] {
            assert!(metrics.counter(name).is_ok(), "{name:?}");
        }
        let long = "a".repeat(MAX_NAME + 1);
        for name in [
            "",
            "2a",
            "_a",
            "a b",
            "a-b",
            "a:b",
            "é",
            "a\n",
            "alerts_total",
            "x_bucket",
            "x_sum",
            "x_count",
            &long,
        ] {
            assert!(
                matches!(metrics.gauge(name), Err(MetricError::Name { .. })),
                "{name:?}"
            );
        }
        assert_eq!(own.all().len(), 4);
    }

    #[test]
    fn a_name_is_of_one_kind_in_all_tasks_that_share_names() {
        let one = OwnMetrics::default();
        let two = OwnMetrics::sharing(Arc::clone(&one.names));
        let (a, b) = (OperatorUid::from("a"), OperatorUid::from("b"));
        OperatorMetrics::new(&a, &one).counter("seen").unwrap().add(2);
        let again = OperatorMetrics::new(&a, &one).counter("seen").unwrap();
        assert_eq!(again.get(), 2);
        let error = OperatorMetrics::new(&b, &two).gauge("seen").unwrap_err();
        assert_eq!(
            error.to_string(),
            "metric \"seen\" is a counter already and cannot be a gauge too; give one of them another name"
        );
        assert_eq!(OperatorMetrics::new(&b, &two).counter("seen").unwrap().get(), 0);
    }

    #[test]
    fn bounds_must_rise() {
        let (own, uid) = (OwnMetrics::default(), OperatorUid::from("delays"));
        let metrics = OperatorMetrics::new(&uid, &own);
        for bounds in [
            &[][..],
            &[1.0, 1.0],
            &[2.0, 1.0],
            &[f64::NAN],
            &[1.0, f64::INFINITY],
            &[0.5; 101],
        ] {
            assert!(
                matches!(
                    metrics.histogram("delay", bounds),
                    Err(MetricError::Bounds { .. })
                ),
                "{bounds:?}"
            );
        }
        metrics.histogram("delay", &[1.0, 2.0]).unwrap();
        assert!(matches!(
            metrics.histogram("delay", &[1.0, 3.0]),
            Err(MetricError::OtherBounds { .. })
        ));
    }

    #[test]
    fn values_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
        let histogram = Histogram::new("x", &[1.0, 10.0]).unwrap();
        for value in [-5.0, 1.0, 1.5, 10.0, 10.5, f64::NAN] {
            histogram.observe(value);
        }
        let expected = HistogramValues {
            buckets: vec![(1.0, 2), (10.0, 2), (f64::INFINITY, 2)],
            count: 6,
            sum: 18.0,
        };
        assert_eq!(histogram.values(), expected);
    }

    #[test]
    fn gauges_go_up_and_down() {
        let gauge = Gauge::default();
        gauge.add(2.5);
        gauge.add(-4.0);
        assert_eq!(gauge.get(), -1.5);
    }
}
