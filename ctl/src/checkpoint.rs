//! How far a copy came: a small file that is replaced as a whole, so that a kill at any moment costs nothing.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::files;

/// Between two checkpoints.
const PAUSE: Duration = Duration::from_millis(500);

/// What a copy is busy with.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    #[default]
    Copying,
    Verifying,
    Done,
}

/// What a run that goes on has to know.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Which copy it is of.
    pub copy: String,
    pub stage: Stage,
    /// Where the next page begins; none at the beginning.
    pub cursor: Option<String>,
    /// Records that were read of the source.
    pub read: u64,
    pub written: u64,
    /// Records that the target had already.
    pub same: u64,
    /// Records that the target has in a newer version.
    pub kept: u64,
    /// Records that the verification has seen.
    pub verified: u64,
    /// How many the run before found, for the time that is left.
    pub total: Option<u64>,
}

/// A checkpoint's file.
pub struct Checkpoint {
    place: PathBuf,
    saved: Instant,
}

impl Checkpoint {
    pub fn at(place: PathBuf) -> Checkpoint {
        Checkpoint { place, saved: Instant::now() }
    }

    pub fn place(&self) -> &Path {
        &self.place
    }

    /// What it says, where it is there.
    pub fn load(&self, copy: &str) -> Result<Option<State>, Failure> {
        let text = match fs::read(&self.place) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file(&self.shown(), &error)),
        };
        let state: Option<State> = serde_json::from_slice(&text).ok();
        match state {
            Some(state) if state.copy == copy => Ok(Some(state)),
            _ => Err(Failure::wrong(format!(
                "{} is no checkpoint of this source, target and prefix; name another one, or give --restart",
                self.shown()
            ))),
        }
    }

    /// Writes it, unless it did a moment ago.
    pub fn note(&mut self, state: &State) -> Result<(), Failure> {
        if self.saved.elapsed() < PAUSE {
            return Ok(());
        }
        self.save(state)
    }

    pub fn save(&mut self, state: &State) -> Result<(), Failure> {
        if let Some(folder) = self.place.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)
                .map_err(|error| Failure::file(&folder.display().to_string(), &error))?;
        }
        let text = serde_json::to_vec(state).unwrap_or_default();
        files::replace(&self.place, &text).map_err(|error| Failure::file(&self.shown(), &error))?;
        self.saved = Instant::now();
        Ok(())
    }

    fn shown(&self) -> String {
        self.place.display().to_string()
    }
}

/// Where a copy's checkpoint is unless it is told: in `$XDG_STATE_HOME/connectorctl`, or `~/.local/state/connectorctl`.
pub fn usual_place(copy: &str) -> Result<PathBuf, Failure> {
    let folder = env::var_os("XDG_STATE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".local/state")));
    let none = || {
        Failure::wrong(
            "the environment has no HOME and no XDG_STATE_HOME for a checkpoint; give --checkpoint FILE",
        )
    };
    Ok(folder.ok_or_else(none)?.join("connectorctl").join(format!("copy-{copy}.json")))
}

/// A name for a copy, the same in each run: FNV-1a of what it is of.
pub fn name_of(parts: &[&str]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_and_tells_apart() {
        assert_eq!(name_of(&["a", "b"]), name_of(&["a", "b"]));
        assert_ne!(name_of(&["ab", ""]), name_of(&["a", "b"]));
        assert_eq!(name_of(&[]), "cbf29ce484222325");
    }
}
