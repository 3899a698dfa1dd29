//! How a store misbehaves: a script of rules, each of which picks requests and says what becomes of them.

use std::{
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::hold::Hold;

/// What becomes of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is answered with this status and not carried out.
    Status(u16),
    /// It is carried out after a while.
    Delay(Duration),
    /// The connection is closed before it is carried out.
    Reset,
    /// It is carried out, and the connection is closed in the middle of the answer's body.
    ResetMidBody,
    /// The connection is closed in the middle of the request's body. What had come by then is left behind as an object,
    /// unless the write had a condition: no store is known that would leave half of such a one.
    TornWrite,
    /// It is carried out, and the answer is lost.
    LostAnswer,
    /// It waits at a named point for the test to go on.
    Hold(Hold),
}

/// What kind of request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Any.
    Any,
    /// An object or a part is written, copied or completed: PUT and POST.
    Write,
    /// An object is read, or objects are listed: GET and HEAD.
    Read,
    /// Objects are deleted. Clients name them in the body, so that only the bucket is in the path.
    Delete,
}

/// Which requests meet with a fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultRule {
    /// What becomes of them.
    pub fault: Fault,
    /// Of which kind they are.
    pub operation: Operation,
    /// What their path and query contain.
    pub path: String,
    /// How many are let pass before each that is struck.
    pub pass: u32,
    /// How many are struck in all; `None` for all until the script is cleared.
    pub times: Option<u32>,
}

impl FaultRule {
    /// Strikes every request.
    pub fn every(fault: Fault) -> Self {
        Self {
            fault,
            operation: Operation::Any,
            path: String::new(),
            pass: 0,
            times: None,
        }
    }

    /// Only requests of a kind.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    /// Only requests whose path and query contain this.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Lets so many pass before each that is struck.
    #[must_use]
    pub fn after(mut self, pass: u32) -> Self {
        self.pass = pass;
        self
    }

    /// Strikes so many in all.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
}

/// Words that are no rule.
#[derive(Debug, thiserror::Error)]
#[error(
    "{rule:?} is no rule of faults: {reason}; write <fault>[ on write|read|delete][ at <path>][ after <count>][ times <count>], where a fault is status:<code>, delay:<duration>, reset, reset-mid-body, torn-write or lost-answer"
)]
pub struct FaultRuleError {
    rule: String,
    reason: String,
}

impl FromStr for FaultRule {
    type Err = FaultRuleError;

    fn from_str(text: &str) -> Result<Self, FaultRuleError> {
        parse_rule(text).map_err(|reason| FaultRuleError {
            rule: text.to_owned(),
            reason,
        })
    }
}

fn parse_rule(text: &str) -> Result<FaultRule, String> {
    let mut words = text.split_whitespace();
    let fault = words.next().ok_or("it is empty")?;
    let mut rule = FaultRule::every(parse_fault(fault)?);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word:?} needs a value"))?;
        let count = || {
            let count: Result<u32, _> = value.parse();
            count.map_err(|_| format!("{value:?} is no count"))
        };
        rule = match word {
            "on" => rule.on(match value {
                "write" => Operation::Write,
                "read" => Operation::Read,
                "delete" => Operation::Delete,
                _ => return Err(format!("{value:?} is no operation")),
            }),
            "at" => rule.at(value),
            "after" => rule.after(count()?),
            "times" => rule.times(count()?),
            _ => return Err(format!("{word:?} is not understood")),
        };
    }
    Ok(rule)
}

fn parse_fault(word: &str) -> Result<Fault, String> {
    Ok(match word.split_once(':').unwrap_or((word, "")) {
        ("status", code) => match code.parse() {
            Ok(code @ 400..=599) => Fault::Status(code),
            _ => return Err(format!("{code:?} is no status of an error")),
        },
        ("delay", duration) => {
            let duration = humantime::parse_duration(duration);
            Fault::Delay(duration.map_err(|error| error.to_string())?)
        }
        ("reset", "") => Fault::Reset,
        ("reset-mid-body", "") => Fault::ResetMidBody,
        ("torn-write", "") => Fault::TornWrite,
        ("lost-answer", "") => Fault::LostAnswer,
        _ => return Err(format!("{word:?} is no fault")),
    })
}

/// The rules in force. Clones are the same script.
#[derive(Clone, Debug, Default)]
pub struct FaultScript {
    /// A leaf lock, held while a request is compared with the rules.
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<ActiveRule>,
    struck: u64,
}

#[derive(Debug)]
struct ActiveRule {
    rule: FaultRule,
    passed: u32,
    struck: u32,
}

impl FaultScript {
    /// Adds a rule. A request meets with the first rule that picks it.
    pub fn add(&self, rule: FaultRule) {
        self.state().rules.push(ActiveRule {
            rule,
            passed: 0,
            struck: 0,
        });
    }

    /// From now on nothing misbehaves.
    pub fn clear(&self) {
        self.state().rules.clear();
    }

    /// How many requests have been struck in all.
    pub fn struck(&self) -> u64 {
        self.state().struck
    }

    pub(super) fn next(&self, operation: Operation, path: &str) -> Option<Fault> {
        let mut state = self.state();
        let fault = state
            .rules
            .iter_mut()
            .find_map(|active| active.strike(operation, path))?;
        state.struck += 1;
        Some(fault)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActiveRule {
    fn strike(&mut self, operation: Operation, path: &str) -> Option<Fault> {
        let rule = &self.rule;
        let is_meant = (rule.operation == Operation::Any || rule.operation == operation)
            && path.contains(&rule.path)
            && rule.times.is_none_or(|times| self.struck < times);
        if !is_meant {
            return None;
        }
        if self.passed < rule.pass {
            self.passed += 1;
            return None;
        }
        self.passed = 0;
        self.struck += 1;
        Some(rule.fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_from_words() {
        let rule: FaultRule = "delay:200ms on write at /epochs/ after 2 times 3"
            .parse()
            .unwrap();
        let expected = FaultRule::every(Fault::Delay(Duration::from_millis(200)))
            .on(Operation::Write)
            .at("/epochs/")
            .after(2)
            .times(3);
        assert_eq!(rule, expected);
        for wrong in [
            "",
            "sleep",
            "status:200",
            "status:x",
            "reset on fire",
            "reset times x",
            "reset at",
            "delay:soon",
        ] {
            let error = wrong.parse::<FaultRule>().unwrap_err().to_string();
            assert!(error.contains(&format!("{wrong:?}")), "{error}");
        }
    }

    #[test]
    fn a_rule_picks_what_it_says_as_often_as_it_says() {
        let script = FaultScript::default();
        script.add("reset on write at /a after 1 times 2".parse().unwrap());
        let strikes = |operation, path: &str| script.next(operation, path).is_some();
        assert!(!strikes(Operation::Read, "/a"));
        assert!(!strikes(Operation::Write, "/b"));
        let picked: Vec<bool> = (0..6).map(|_| strikes(Operation::Write, "/a")).collect();
        assert_eq!(picked, [false, true, false, true, false, false]);
        assert_eq!(script.struck(), 2);
        script.add(FaultRule::every(Fault::Reset));
        assert!(strikes(Operation::Delete, "/c"));
        script.clear();
        assert!(!strikes(Operation::Delete, "/c"));
    }
}
