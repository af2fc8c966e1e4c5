//! Real servers, by `tests/servers/ctl`.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const CTL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/servers/ctl");

/// A server that ends with this process, or when dropped.
pub struct Server {
    recipe: &'static str,
    folder: TempDir,
    pub port: String,
}

impl Server {
    /// Starts one. Where it cannot be had the test is left out, visibly, and fails where the environment has `CI`.
    pub fn start(recipe: &'static str, words: &[&str]) -> Option<Server> {
        let available = Command::new(CTL).args([recipe, "available"]).output().expect("the script runs");
        if !available.status.success() {
            let reason = text(&available);
            assert!(std::env::var_os("CI").is_none(), "{recipe}: {reason}");
            eprintln!("SKIPPED: {reason}");
            return None;
        }
        let folder = match std::env::var_os("DSC_TEST_DATA") {
            Some(data) => TempDir::new_in(data),
            None => TempDir::new(),
        };
        let mut server =
            Server { recipe, folder: folder.expect("the system has room for a folder"), port: String::new() };
        let owner = std::process::id().to_string();
        let address = server.ctl(&[&["start", "--owner", &owner], words].concat());
        server.port = address.trim().rsplit(':').next().unwrap_or_default().to_owned();
        Some(server)
    }

    /// One of the script's commands.
    pub fn ctl(&self, words: &[&str]) -> String {
        let mut command = Command::new(CTL);
        command.args([self.recipe, words[0], "--dir"]).arg(self.place()).args(&words[1..]);
        let output = command.output().expect("the script runs");
        assert!(output.status.success(), "{} {words:?}: {}", self.recipe, text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn place(&self) -> std::path::PathBuf {
        Path::join(self.folder.path(), "server")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new(CTL).args([self.recipe, "wipe", "--dir"]).arg(self.place()).output();
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).trim().to_owned()
}
