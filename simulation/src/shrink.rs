//! The shortest history that still fails: steps are left out as long as the same check fails.

use crate::driver::run;
use crate::scenario::{Action, Reaction, Scenario, Step};

/// How many attempts are made.
const ATTEMPTS: usize = 3_000;

/// A scenario that fails the same check, with as few steps as were found.
pub fn shrink(scenario: &Scenario, check: &str) -> Scenario {
    let mut best = scenario.clone();
    let mut attempts = 0;
    let mut fails = |candidate: &Scenario| {
        attempts += 1;
        attempts <= ATTEMPTS && run(candidate, false).failure.is_some_and(|failure| failure.check == check)
    };
    let mut size = best.steps.len().div_ceil(2);
    while size > 0 {
        let mut start = 0;
        let mut has_shrunk = false;
        while start < best.steps.len() {
            let mut candidate = best.clone();
            let end = (start + size).min(candidate.steps.len());
            candidate.steps.drain(start..end);
            if fails(&candidate) {
                best = candidate;
                has_shrunk = true;
            } else {
                start += size;
            }
        }
        if size > 1 || !has_shrunk {
            size /= 2;
        }
    }
    for number in 0..best.steps.len() {
        for simpler in simpler(&best.steps[number]) {
            let mut candidate = best.clone();
            candidate.steps[number] = simpler;
            if fails(&candidate) {
                best = candidate;
                break;
            }
        }
    }
    best
}

/// The same step with less in it.
fn simpler(step: &Step) -> Vec<Step> {
    let Action::Submit(submission) = &step.action else { return Vec::new() };
    let mut found = Vec::new();
    if submission.reaction.is_some() {
        let mut without = submission.clone();
        without.reaction = None;
        found.push(Step { at: step.at, action: Action::Submit(without) });
    }
    if let Some(Reaction::Submit(then)) = &submission.reaction {
        if then.reaction.is_some() {
            let mut shorter = submission.clone();
            let mut then = then.clone();
            then.reaction = None;
            shorter.reaction = Some(Reaction::Submit(then));
            found.push(Step { at: step.at, action: Action::Submit(shorter) });
        }
    }
    found
}
