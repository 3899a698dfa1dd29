//! Rows that are no flights, and times that cannot be, go to outputs of their own and change nothing else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use tidegate_example_tests::{Job, data, lines, malformed, rows};

const HEADING: &str =
    "scheduled,carrier,flight,tailnum,origin,dest,distance_miles,dep_delay_min,arr_delay_min,air_time_min";

#[test]
fn what_cannot_be_placed_in_time_goes_to_outputs_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let flights = place.join("flights.csv");
    let no_time = "at noon,AA,1,N1,JFK,MIA,1089,5,,";
    let before_1970 = "1969-12-31T23:59:59Z,AA,2,N1,JFK,MIA,1089,5,,";
    // A delay of almost four thousand years: its watermark would end all windows.
    let poison = "2013-01-01T10:00:00Z,AA,3,N1,JFK,MIA,1089,2000000000,,";
    let good = [
        "2013-01-01T10:00:00Z,AA,4,N1,JFK,MIA,1089,7,,",
        "2013-01-01T12:00:00Z,AA,5,,JFK,MIA,1089,-1,,",
    ];
    let text = [HEADING, no_time, before_1970, poison, good[0], good[1]].join("\n");
    fs::write(&flights, text).unwrap();
    let (flights, airlines) = (flights.to_string_lossy(), data().join("airlines.csv"));
    let airlines = airlines.to_string_lossy();
    let job = Job::new(env!("CARGO_BIN_EXE_flight_delays"), place);
    job.succeeds(&["--flights", &flights, "--airlines", &airlines]);

    let output = job.output();
    let expected = [(2, no_time), (3, before_1970)];
    let expected = expected.map(|(line, text)| ("flights.csv".to_owned(), line, text.to_owned()));
    assert_eq!(malformed(&output.join("malformed")), expected);
    let untimely = lines(&output.join("untimely"), 0);
    assert_eq!(untimely.len(), 1, "{untimely:?}");
    assert!(
        untimely[0].contains("\"flight\":3") && untimely[0].contains("latest accepted"),
        "{untimely:?}"
    );

    let mut hours = rows(&output.join("origin-hours"));
    hours.sort();
    let expected = [
        ["JFK", "2013-01-01T10:00:00Z", "1", "7.0", "7"],
        ["JFK", "2013-01-01T11:00:00Z", "1", "-1.0", "-1"],
    ];
    assert_eq!(hours, expected);
    // The second flight's aircraft is not known, so it is of no working day.
    assert_eq!(lines(&output.join("working-days"), 0).len(), 1);
    assert_eq!(rows(&output.join("carrier-days")).len(), 25);
    assert_eq!(rows(&output.join("late-origin-hours")).len(), 0);
}

#[test]
fn a_duration_that_is_none_is_refused_when_the_job_is_started() {
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_flight_delays"))
        .args(["--out-of-orderness", "soon"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(
        words.contains("--out-of-orderness") && words.contains("soon"),
        "{words}"
    );
}
