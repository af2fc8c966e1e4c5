//! Finds the built library, and compiles programs in C and C++ against it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::ROOT;

/// The name that programs which link the shared library look for.
pub const SONAME: &str = "libdeepstream_connector.so.0";

/// A folder with the shared library under all its names, and with what is compiled against it.
pub struct Workshop {
    name: &'static str,
    folder: OnceLock<PathBuf>,
    programs: Mutex<HashMap<&'static str, Compiled>>,
}

/// A program to be compiled: its file from the repository's root, and how.
#[derive(Clone, Copy)]
pub struct Source {
    pub compiler: &'static str,
    pub path: &'static str,
    pub flags: &'static [&'static str],
}

/// A program that several tests run, or why there is none.
type Compiled = Arc<OnceLock<Result<PathBuf, String>>>;

impl Workshop {
    /// One whose folder has this name.
    pub fn new(name: &'static str) -> Workshop {
        Workshop { name, folder: OnceLock::new(), programs: Mutex::default() }
    }

    /// # Panics
    /// The library is not there; Cargo builds it before it runs a test.
    fn folder(&self) -> &Path {
        self.folder.get_or_init(|| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(self.name);
            std::fs::create_dir_all(&folder).expect("Cargo's folder for tests is writable");
            let test = std::env::current_exe().expect("a test knows where it is");
            // A test lies beside what it was built with: in target/<profile>/deps.
            let built = test.with_file_name("libdeepstream_connector.so");
            assert!(built.exists(), "{} is not there", built.display());
            for name in [SONAME, "libdeepstream_connector.so"] {
                let link = folder.join(name);
                let _ = std::fs::remove_file(&link);
                std::os::unix::fs::symlink(&built, &link).expect("links can be made");
            }
            folder
        })
    }

    pub fn library(&self) -> PathBuf {
        self.folder().join(SONAME)
    }

    /// A program that was compiled from its source, once for all who ask for it.
    pub fn program(&self, source: Source) -> Result<PathBuf, String> {
        let compiled = {
            let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(programs.entry(source.path).or_default())
        };
        compiled.get_or_init(|| self.compile(source.compiler, source.path, source.flags)).clone()
    }

    /// Compiles a source file, given from the repository's root, and links the library.
    pub fn compile(&self, compiler: &str, source: &str, flags: &[&str]) -> Result<PathBuf, String> {
        let program = self.folder().join(source.replace(['/', '.'], "_"));
        let mut command = Command::new(compiler);
        command
            .args(["-g", "-O1", "-Wall", "-Wextra", "-Werror"])
            .args(flags)
            .arg(Path::new(ROOT).join(source))
            .arg("-o")
            .arg(&program)
            .arg(format!("-I{ROOT}/include"))
            .arg(format!("-L{}", self.folder().display()))
            .arg(format!("-Wl,-rpath,{}", self.folder().display()))
            .args(["-ldeepstream_connector", "-lpthread", "-ldl"]);
        succeed(&mut command).map(|_| program)
    }
}

/// Runs a command to its end; anything but success is an error with all that it said.
pub fn succeed(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!(
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}
