//! Finds the built library and the system's tools, and compiles the programs of this folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The name that programs which link the shared library look for.
pub const SONAME: &str = "libdeepstream_connector.so.0";

/// A folder with the shared library under all its names, and with what is compiled against it.
pub struct Workshop {
    folder: PathBuf,
}

impl Workshop {
    /// # Panics
    /// The library is not there; Cargo builds it before it runs a test.
    pub fn open(name: &str) -> Workshop {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
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
        Workshop { folder }
    }

    pub fn library(&self) -> PathBuf {
        self.folder.join(SONAME)
    }

    /// Compiles a source file, given from the repository's root, and links the library.
    pub fn compile(&self, compiler: &str, source: &str, flags: &[&str]) -> Result<PathBuf, String> {
        let program = self.folder.join(source.replace(['/', '.'], "_"));
        let mut command = Command::new(compiler);
        command
            .args(["-g", "-O1", "-Wall", "-Wextra", "-Werror"])
            .args(flags)
            .arg(Path::new(ROOT).join(source))
            .arg("-o")
            .arg(&program)
            .arg(format!("-I{ROOT}/include"))
            .arg(format!("-L{}", self.folder.display()))
            .arg(format!("-Wl,-rpath,{}", self.folder.display()))
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

/// Whether the system has a tool. In continuous integration it must.
pub fn has(tool: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()));
    assert!(found || !in_ci(), "{tool} is missing, and CI is set: install it");
    found
}

fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}
