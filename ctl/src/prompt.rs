//! Asks the person at the terminal for a secret, which is not shown while it is typed.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};

use nix::sys::termios::{tcgetattr, tcsetattr, LocalFlags, SetArg, Termios};

use crate::ending;
use crate::failure::Failure;

/// The secret for an option.
pub fn ask(name: &str) -> Result<String, Failure> {
    // Standard input may be data.
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|_| {
        Failure::wrong(format!(
            "there is no terminal to ask for the option \"{name}\" at; give --secret {name}=env:VARIABLE or --secret {name}=file:PATH"
        ))
    })?;
    let failed = |_| Failure::failed("the terminal cannot be told to hide what is typed");
    let before = tcgetattr(&terminal).map_err(failed)?;
    let mut hiding = before.clone();
    hiding.local_flags.remove(LocalFlags::ECHO);
    let again = terminal.try_clone().map_err(|error| Failure::file("the terminal", &error))?;
    let shown = ending::at_end(move || show(&again, &before));
    tcsetattr(&terminal, SetArg::TCSAFLUSH, &hiding).map_err(failed)?;
    // Not before: what is typed then is hidden.
    let _ = write!(terminal, "{name}: ");
    let mut line = String::new();
    let read = BufReader::new(&terminal).read_line(&mut line);
    drop(shown);
    read.map_err(|error| Failure::file("the terminal", &error))?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Has the terminal show again what is typed.
fn show(terminal: &File, before: &Termios) {
    let _ = tcsetattr(terminal, SetArg::TCSANOW, before);
    let _ = writeln!(&*terminal);
}
