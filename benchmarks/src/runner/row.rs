//! One line of the report.

use std::fmt;

/// What a figure has to reach.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Bar {
    /// This much or more.
    AtLeast(f64),
    /// This much or less.
    AtMost(f64),
    /// There is none: the row is shown beside others.
    None,
}

impl Bar {
    /// Whether `figure` reaches it. What is not a number reaches nothing.
    pub fn is_met_by(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bar) => figure >= bar,
            Self::AtMost(bar) => figure <= bar,
            Self::None => true,
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bar) => write!(f, ">= {bar}"),
            Self::AtMost(bar) => write!(f, "<= {bar}"),
            Self::None => f.write_str("-"),
        }
    }
}

/// One figure, with what there is to say about it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The bar's name.
    pub id: &'static str,
    /// What was measured.
    pub what: String,
    /// What the bar is about.
    pub figure: f64,
    /// In which unit.
    pub unit: &'static str,
    /// What it has to reach.
    pub bar: Bar,
    /// Our speed in parts of the yardstick's, where there is one and the figure is another.
    pub ratio: Option<f64>,
    /// The spread over the runs, in parts of the median.
    pub spread: f64,
    /// Processor seconds that our runs took together.
    pub cpu_seconds: f64,
    /// How many threads ran.
    pub threads: u64,
    /// What else there is to say.
    pub note: String,
}

impl Row {
    /// Whether the bar is met.
    pub fn is_met(&self) -> bool {
        self.bar.is_met_by(self.figure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_met_from_the_right_side() {
        for (bar, figure, met) in [
            (Bar::AtLeast(0.5), 0.5, true),
            (Bar::AtLeast(0.5), 0.4, false),
            (Bar::AtMost(2.0), 2.0, true),
            (Bar::AtMost(2.0), 2.1, false),
            (Bar::AtLeast(0.5), f64::NAN, false),
            (Bar::AtMost(0.5), f64::NAN, false),
            (Bar::None, 1.0, true),
        ] {
            assert_eq!(bar.is_met_by(figure), met, "{bar} {figure}");
        }
    }
}
