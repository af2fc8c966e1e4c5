//! `completions` and `man`: made from the command line's own description.

use std::io::Write;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell as Kind;

use crate::cli::{Cli, CompletionArgs, ManArgs, Shell};
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::checked;

const NAME: &str = "connectorctl";

pub fn completions(arguments: &CompletionArgs) -> Result<Exit, Failure> {
    let shell = match arguments.shell {
        Shell::Bash => Kind::Bash,
        Shell::Zsh => Kind::Zsh,
        Shell::Fish => Kind::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    let mut output = std::io::stdout().lock();
    checked(output.write_all(&script).and_then(|()| output.flush()))?;
    Ok(Exit::Done)
}

pub fn man(arguments: &ManArgs) -> Result<Exit, Failure> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder).map_err(|error| Failure::file(&folder.display().to_string(), &error))?;
    let mut all = Cli::command();
    all.build();
    page(folder, NAME, &all)?;
    for command in all.get_subcommands() {
        let name = format!("{NAME}-{}", command.get_name());
        page(folder, &name, &command.clone().display_name(name.clone()))?;
    }
    Ok(Exit::Done)
}

fn page(folder: &Path, name: &str, command: &Command) -> Result<(), Failure> {
    let place = folder.join(format!("{name}.1"));
    let failed = |error| Failure::file(&place.display().to_string(), &error);
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text).map_err(failed)?;
    files::replace(&place, &text).map_err(failed)
}
