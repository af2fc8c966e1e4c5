//! Secrets that may change: text, a file that holds it, or a command that prints it.

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{oneshot, Mutex};

use crate::core::{without_signals, Error};

/// What may be given for a secret.
pub(super) const SHAPES: &str =
    "text, {\"file\": path}, or {\"command\": [program, argument, …], \"every\": milliseconds}";

/// More than this is no secret.
const MAX_BYTES: u64 = 64 << 10;

/// Between two looks at a command that has said all, whether it has ended.
const LOOK_PAUSE: Duration = Duration::from_millis(2);

/// A secret of an option. Whoever connects asks for it anew each time.
#[derive(Clone)]
pub struct Secret {
    option: &'static str,
    patience: Duration,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Text(Arc<str>),
    File(PathBuf),
    Command(Arc<Program>),
}

/// A command, and what it said last.
struct Program {
    words: Vec<String>,
    every: Duration,
    last: Mutex<Option<(Instant, Arc<str>)>>,
}

impl Secret {
    /// One that does not change.
    pub fn text(option: &'static str, text: impl Into<Arc<str>>) -> Secret {
        Secret { option, patience: Duration::ZERO, source: Source::Text(text.into()) }
    }

    /// What a configuration has; `None` where it has none of the shapes.
    pub(super) fn of(option: &'static str, value: &Value, patience: Duration) -> Option<Secret> {
        let source = match value {
            Value::String(text) => Source::Text(text.as_str().into()),
            Value::Object(members) => {
                match (members.get("file"), members.get("command"), members.get("every")) {
                    (Some(Value::String(path)), None, None) if members.len() == 1 && is_word(path) => {
                        Source::File(path.into())
                    }
                    (None, Some(Value::Array(words)), every)
                        if members.len() == 1 + usize::from(every.is_some()) =>
                    {
                        let words: Option<Vec<String>> =
                            words.iter().map(|word| word.as_str().map(str::to_owned)).collect();
                        let words = words?;
                        let every = Duration::from_millis(every.map_or(Some(0), Value::as_u64)?);
                        if !words.first().is_some_and(|program| is_word(program)) {
                            return None;
                        }
                        if words.iter().any(|word| word.contains('\0')) {
                            return None;
                        }
                        Source::Command(Arc::new(Program { words, every, last: Mutex::default() }))
                    }
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(Secret { option, patience, source })
    }

    /// The text where it does not change.
    pub fn as_text(&self) -> Option<&str> {
        match &self.source {
            Source::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it is now. A file is read, and a command carried out unless what it said is still fresh, on
    /// a thread of their own, so that whoever asks goes on meanwhile; what takes longer than
    /// `connectTimeout` is given up.
    ///
    /// # Errors
    /// The file or the command gives none.
    pub async fn current(&self) -> Result<Arc<str>, Error> {
        match &self.source {
            Source::Text(text) => Ok(Arc::clone(text)),
            Source::File(path) => {
                let path = path.clone();
                self.told_by("file", move |_| read_file(&path)).await
            }
            Source::Command(program) => {
                // One who asks waits for another one's run.
                let mut last = program.last.lock().await;
                if let Some((when, text)) = &*last {
                    if when.elapsed() < program.every {
                        return Ok(Arc::clone(text));
                    }
                }
                let words = program.words.clone();
                let began = Instant::now();
                let text = self.told_by("command", move |patience| run(&words, patience)).await?;
                *last = Some((began, Arc::clone(&text)));
                Ok(text)
            }
        }
    }

    async fn told_by(
        &self,
        what: &str,
        ask: impl FnOnce(Duration) -> Result<Vec<u8>, String> + Send + 'static,
    ) -> Result<Arc<str>, Error> {
        let failed = |why: &str| {
            Error::connection(format!("the {what} of the option \"{}\" gives no secret: {why}", self.option))
        };
        let (sender, receiver) = oneshot::channel();
        let patience = self.patience;
        let asking = move || drop(sender.send(ask(patience)));
        let builder = thread::Builder::new().name("ds-secret".to_owned());
        without_signals(|| builder.spawn(asking))
            .map_err(|error| failed(&format!("there is no thread to read it ({})", error.kind())))?;
        let told = tokio::time::timeout(patience, receiver).await.map_err(|_| failed(LATE))?;
        let told = told.map_err(|_| failed("reading it failed"))?.map_err(|why| failed(&why))?;
        let text = String::from_utf8(told).map_err(|_| failed("it is not UTF-8"))?;
        // As a shell does it: files and commands mostly end a line.
        let text = text.trim_end_matches(['\r', '\n']);
        match text {
            "" => Err(failed("it is empty")),
            text if text.contains('\0') => Err(failed("it has a NUL character")),
            text => Ok(text.into()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("option", &self.option).finish_non_exhaustive()
    }
}

const LATE: &str = "it took longer than connectTimeout";

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let file = fs::File::open(path);
    file.and_then(read_all).map_err(|error| format!("it cannot be read ({})", error.kind()))
}

fn read_all(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// What a command prints.
fn run(words: &[String], patience: Duration) -> Result<Vec<u8>, String> {
    let give_up = Instant::now() + patience;
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("it cannot be run ({})", error.kind()))?;
    let Some(output) = child.stdout.take() else { return Err("it cannot be heard".to_owned()) };
    let (sender, receiver) = channel();
    // What the command has begun may keep the pipe open longer than the command itself lives.
    let reading =
        without_signals(|| thread::Builder::new().spawn(move || drop(sender.send(read_all(output)))));
    if let Err(error) = reading {
        end(&mut child);
        return Err(format!("there is no thread to hear it ({})", error.kind()));
    }
    let told = receiver.recv_timeout(patience);
    let told = match told {
        Ok(told) => told.map_err(|error| format!("it cannot be heard ({})", error.kind())),
        Err(RecvTimeoutError::Timeout) => Err(LATE.to_owned()),
        Err(RecvTimeoutError::Disconnected) => Err("it cannot be heard".to_owned()),
    };
    if told.is_err() {
        end(&mut child);
        return told;
    }
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return told,
            Ok(Some(status)) => return Err(format!("it failed ({status})")),
            // Somebody else in this process has waited for it, as for all children.
            Err(_) => return told,
            Ok(None) if Instant::now() >= give_up => {
                end(&mut child);
                return Err(LATE.to_owned());
            }
            Ok(None) => thread::sleep(LOOK_PAUSE),
        }
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::runtime::Builder;

    fn secret(value: &Value, patience: Duration) -> Option<Secret> {
        Secret::of("password", value, patience)
    }

    fn current(secret: &Secret) -> Result<String, String> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let told = runtime.block_on(secret.current());
        told.map(|text| text.to_string()).map_err(|error| error.message().to_owned())
    }

    fn shell(script: &str) -> Value {
        json!({"command": ["sh", "-c", script]})
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_file_is_read_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let secret = secret(&json!({"file": path}), PATIENCE).unwrap();
        let error = current(&secret).unwrap_err();
        assert!(error.contains("the file of the option \"password\"") && !error.contains('/'), "{error}");
        for (written, read) in [("one\n", "one"), ("two\r\n", "two"), (" three ", " three ")] {
            fs::write(&path, written).unwrap();
            assert_eq!(current(&secret).as_deref(), Ok(read));
        }
        for bad in [&b""[..], b"\n", b"hunter2\xff", b"hunter2\0", &[b'x'; 70_000]] {
            fs::write(&path, bad).unwrap();
            let error = current(&secret).unwrap_err();
            assert!(error.contains("\"password\"") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_command_is_carried_out_when_what_it_said_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs");
        let script = format!("echo x >> '{0}'; wc -l < '{0}'", path.display());
        let each_time = secret(&shell(&script), PATIENCE).unwrap();
        assert_eq!(
            [current(&each_time), current(&each_time)].map(|told| told.unwrap().trim().to_owned()),
            ["1", "2"]
        );
        let mut value = shell(&script);
        value["every"] = json!(3_600_000);
        let kept = secret(&value, PATIENCE).unwrap();
        let told = [current(&kept), current(&kept.clone())].map(|told| told.unwrap().trim().to_owned());
        assert_eq!(told, ["3", "3"]);
    }

    #[test]
    fn a_command_that_fails_or_hangs_is_told_without_what_it_said() {
        for script in [
            "echo hunter2; exit 3",
            "echo hunter2 >&2; exit 1",
            "printf 'hunter2\\377'",
            "head -c 100000 /dev/zero",
        ] {
            let error = current(&secret(&shell(script), PATIENCE).unwrap()).unwrap_err();
            assert!(error.contains("the command of the option \"password\""), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let error =
            current(&secret(&json!({"command": ["/nowhere/hunter2"]}), PATIENCE).unwrap()).unwrap_err();
        assert!(error.contains("cannot be run") && !error.contains("hunter2"), "{error}");
        // The child of the command holds the pipe.
        for script in ["exec sleep 5", "sleep 5 & exit", "exec >&-; exec sleep 5"] {
            let begin = Instant::now();
            let error = current(&secret(&shell(script), Duration::from_millis(300)).unwrap()).unwrap_err();
            assert!(error.contains("connectTimeout"), "{script}: {error}");
            assert!(begin.elapsed() < PATIENCE, "{script}");
        }
    }

    #[test]
    fn what_has_another_shape_is_none() {
        for value in [
            json!({}),
            json!({"file": ""}),
            json!({"file": 1}),
            json!({"file": "a", "command": ["b"]}),
            json!({"file": "a", "every": 1}),
            json!({"command": []}),
            json!({"command": [""]}),
            json!({"command": ["a", 1]}),
            json!({"command": "a"}),
            json!({"command": ["a\u{0}"]}),
            json!({"command": ["a"], "every": -1}),
            json!({"command": ["a"], "every": 1, "more": 1}),
            json!([]),
            json!(true),
        ] {
            assert!(secret(&value, PATIENCE).is_none(), "{value}");
        }
        assert!(!format!("{:?}", secret(&json!("hunter2"), PATIENCE)).contains("hunter2"));
    }
}
