//! Parts of tests that need a process of their own: this program once more, told what to be.

use std::env;
use std::process::Command;

/// Tells a process which part it is.
const PART: &str = "DSC_TEST_PART";

/// A part: its name, and what the process does.
pub type Part = (&'static str, fn());

/// The command that runs a part.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a program knows where it is"));
    command.env(PART, name);
    command
}

/// What this process is to do, if it is one for a part.
pub fn of_this_process(parts: &[Part]) -> Option<fn()> {
    let wanted = env::var(PART).ok()?;
    let part = parts.iter().find(|(name, _)| *name == wanted);
    Some(part.unwrap_or_else(|| panic!("{PART} names \"{wanted}\", which is no part of a test")).1)
}
