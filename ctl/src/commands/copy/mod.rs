//! `copy`: all records of one database into another, and then a look whether they are there.

mod run;
mod verify;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{json, Value};

use crate::checkpoint::{self, Checkpoint, Stage, State};
use crate::cli::CopyArgs;
use crate::config::{self, masked, Target};
use crate::connection::Connection;
use crate::console::console;
use crate::failure::{Exit, Failure};
use crate::rejects::Rejects;

use run::Copying;
use verify::Verifying;

pub fn copy(arguments: &CopyArgs) -> Result<Exit, Failure> {
    let from = config::spec(&arguments.pair.from, arguments.pair.from_section)?;
    let to = config::spec(&arguments.pair.to, arguments.pair.to_section)?;
    if from.options == to.options {
        return Err(Failure::wrong("--from and --to are the same; give another target"));
    }
    // Without passwords, which may change.
    let options = |target: &Target| Value::Object(masked(&target.options)).to_string();
    let name = checkpoint::name_of(&[&options(&from), &options(&to), &arguments.prefix]);
    let place = arguments.checkpoint.clone().map_or_else(|| checkpoint::usual_place(&name), Ok)?;
    let rejects_place = arguments.rejects.clone().unwrap_or_else(|| beside(&place, arguments.dry_run));
    let mut checkpoint = Checkpoint::at(place);
    let before = if arguments.restart { None } else { checkpoint.load(&name)? };
    let (mut state, mut rejects) = match before {
        Some(state) if state.stage != Stage::Done && !arguments.dry_run => {
            console().remark(&format!(
                "goes on behind {} records, by {}",
                state.read,
                checkpoint.place().display()
            ));
            (state, Rejects::resume(&rejects_place)?)
        }
        before => {
            let total = before.map(|state| state.read).filter(|read| *read > 0);
            (State { copy: name, total, ..State::default() }, Rejects::begin(&rejects_place)?)
        }
    };
    if !arguments.dry_run {
        // Where it cannot be written, that is to be known before the first record.
        checkpoint.save(&state)?;
    }
    let patience = Duration::from_secs_f64(arguments.patience);
    let connections = (Connection::open(&from)?, Connection::open(&to)?);
    if state.stage == Stage::Copying {
        Copying {
            arguments,
            patience,
            from: connections.0.handle(),
            to: connections.1.handle(),
            checkpoint: &mut checkpoint,
            rejects: &mut rejects,
        }
        .run(&mut state)?;
    }
    let mut different = 0;
    if arguments.dry_run {
        state.stage = Stage::Done;
    } else if state.stage == Stage::Verifying {
        different = Verifying {
            arguments,
            patience,
            from: connections.0.handle(),
            to: connections.1.handle(),
            checkpoint: &mut checkpoint,
            rejects: &mut rejects,
        }
        .run(&mut state)?;
    }
    // A page may come before the warnings of what it left out.
    for omission in connections.0.close() {
        rejects.omission(&omission)?;
    }
    connections.1.close();
    if !arguments.dry_run {
        state.stage = Stage::Done;
        state.cursor = None;
        checkpoint.save(&state)?;
    }
    Ok(conclude(arguments, &state, &rejects, different))
}

/// The rejects of a checkpoint: `copy-x.json` has `copy-x.rejects.jsonl`.
fn beside(checkpoint: &Path, dry_run: bool) -> PathBuf {
    // Those of the copy itself stay.
    checkpoint.with_extension(if dry_run { "dry-run.rejects.jsonl" } else { "rejects.jsonl" })
}

/// Says what was done.
fn conclude(arguments: &CopyArgs, state: &State, rejects: &Rejects, different: u64) -> Exit {
    let rejected = rejects.count();
    let place = rejects.place().display().to_string();
    if console().json() {
        console().summary(&json!({
            "read": state.read, "written": state.written, "same": state.same, "kept": state.kept,
            "rejected": rejected, "rejects": (rejected > 0).then_some(&place), "dryRun": arguments.dry_run,
            "verified": (!arguments.dry_run && !arguments.no_verify).then_some(state.verified), "different": different,
        }));
    } else {
        let verb = if arguments.dry_run { "would be written" } else { "were written" };
        let mut words =
            format!("{} of {} records {verb}, {} were there already", state.written, state.read, state.same);
        if state.kept > 0 {
            words += &format!(", {} are newer there", state.kept);
        }
        if !arguments.dry_run && !arguments.no_verify {
            words += &format!("; {} were verified", state.verified);
        }
        console().remark(&words);
    }
    if different > 0 {
        console().warn(&format!(
            "{different} records differ, or changed meanwhile: run it again, and see {place}"
        ));
    }
    if rejected > 0 {
        console().warn(&format!("{rejected} records were rejected: {place}"));
    }
    if rejected + different > 0 {
        Exit::No
    } else {
        Exit::Done
    }
}
