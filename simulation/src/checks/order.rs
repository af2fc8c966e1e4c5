//! Per key, what is read is what the last acknowledged or possibly applied write left, and
//! operations end in the order of their submission.

use deepstream_connector::core::ErrorCode;

use crate::failure::{expect, Checked, Failure};
use crate::ledger::{Fate, Ledger, OpId, Subject};
use crate::scenario::Kind;

/// A read that came back: the version it saw, if there was a record.
pub fn a_read_sees_the_last_write(ledger: &mut Ledger, op: OpId, seen: Option<i64>) -> Checked {
    const CHECK: &str = "a_read_sees_the_last_write";
    let (key, position) = (ledger.ops[op].key, ledger.ops[op].position);
    let lane = &ledger.lanes[key];
    let acknowledged = lane.acknowledged.range(..position).next_back().map_or(0, |place| place + 1);
    let before = lane.reads.range(..position).next_back().map_or(0, |(_, &seen)| seen);
    let after = lane.reads.range(position..).next().map_or(usize::MAX, |(_, &seen)| seen);
    let least = acknowledged.max(before);
    let fail = |why: String| -> Checked {
        let words = format!(
            "k{key}: read {op} (number {position} on its key) saw {seen:?}; {why} \
             (acknowledged before it: {acknowledged}, seen before it: {before})"
        );
        Err(Failure { check: CHECK, words })
    };
    let place = match seen {
        None if lane.has_late_delete => return Ok(()),
        None => {
            let removed = lane.history[..position].iter().enumerate().skip(least.saturating_sub(1));
            let mut removed = removed.filter(|(_, &write)| {
                ledger.ops[write].kind == Kind::Delete && may_be_in_effect(&ledger.ops[write].fate)
            });
            let (first, second) = (removed.next(), removed.next());
            match first {
                None if least > 0 => return fail("nothing can have removed it".into()),
                Some((place, _)) if least > 0 && second.is_none() => place + 1,
                // There may be several reasons, or there never was a record.
                _ => return Ok(()),
            }
        }
        Some(version) => {
            let Some(write) = ledger.set_of_version(version) else {
                return fail("nobody wrote that".into());
            };
            if lane.late_sets.contains(&write) {
                return Ok(());
            }
            let place = ledger.ops[write].position;
            if ledger.ops[write].key != key {
                return fail(format!("that is of k{}", ledger.ops[write].key));
            }
            if place >= position {
                return fail("that was submitted after it".into());
            }
            if !may_be_in_effect(&ledger.ops[write].fate) {
                return fail(format!("that write ended with {:?}", ledger.ops[write].fate));
            }
            if place + 1 < least {
                return fail(format!("that is number {place} on its key"));
            }
            ledger.ops[write].is_observed = true;
            place + 1
        }
    };
    if place > after {
        return fail(format!("a later read has seen {after}"));
    }
    ledger.lanes[key].reads.insert(position, place);
    Ok(())
}

fn may_be_in_effect(fate: &Fate) -> bool {
    !matches!(fate, Fate::Failed { may_be_applied: false, .. })
}

/// A write was acknowledged: no read behind it may have missed it.
pub fn an_acknowledged_write_is_seen(ledger: &mut Ledger, op: OpId) -> Checked {
    let (key, position) = (ledger.ops[op].key, ledger.ops[op].position);
    let lane = &mut ledger.lanes[key];
    lane.acknowledged.insert(position);
    let next = lane.reads.range(position..).next();
    let is_late = lane.has_late_delete || !lane.late_sets.is_empty();
    expect(is_late || next.is_none_or(|(_, &seen)| seen > position), "an_acknowledged_write_is_seen", || {
        format!("k{key}: write {op} (number {position} on its key) was acknowledged, {next:?} saw less")
    })
}

/// An operation has failed; whether it was sent is known, or not.
pub fn what_was_not_applied_is_not_seen(ledger: &Ledger, op: OpId, is_known: bool) -> Checked {
    let it = &ledger.ops[op];
    let is_denied = matches!(it.fate, Fate::Failed { may_be_applied: false, .. });
    expect(!(is_denied && it.is_observed), "what_was_not_applied_is_not_seen", || {
        format!("k{}: write {op} ended with {:?}, and a read has seen it", it.key, it.fate)
    })?;
    let says_unsent = match it.fate {
        // The server said so itself.
        Fate::Failed { code: ErrorCode::TooLarge, .. } => false,
        Fate::Failed { may_be_applied, .. } => !may_be_applied && !it.kind.is_read(),
        Fate::Open | Fate::Done => false,
    };
    expect(!says_unsent || it.sent == 0 || !is_known, "what_was_not_applied_is_not_seen", || {
        format!("k{}: write {op} ended with {:?}, and was sent {} times", it.key, it.fate, it.sent)
    })
}

/// Operations on one key end in the order of their submission, but for those that end by
/// themselves. Parts of a bulk are told of later than they end.
pub fn operations_on_a_key_end_in_order(ledger: &Ledger, op: OpId) -> Checked {
    let it = &ledger.ops[op];
    let before = ledger.lanes[it.key].open.iter().take_while(|&&other| other < op);
    for &other in before {
        let is_told_at_once = ledger.requests[ledger.ops[other].request].subject == Subject::One;
        expect(!is_told_at_once, "operations_on_a_key_end_in_order", || {
            format!("k{}: {op} has ended before {other}", it.key)
        })?;
    }
    Ok(())
}
