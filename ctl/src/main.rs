//! `connectorctl`: looks into caches and databases, copies and compares them. `docs/connectorctl.md` tells how.

mod checkpoint;
mod cli;
mod commands;
mod config;
mod connection;
mod console;
mod ending;
mod failure;
mod files;
mod lines;
mod listing;
mod output;
mod progress;
mod prompt;
mod reads;
mod rejects;
mod same;
mod writes;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use commands as run;
use failure::Exit;

fn main() -> ExitCode {
    ending::watch_signals();
    let words = std::env::args_os().skip(1).filter_map(|word| word.into_string().ok());
    if let Err(failure) = config::refuse_secrets(words) {
        console::console().fail(&failure);
        return ExitCode::from(failure.exit as u8);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and the version are no errors.
            let exit = if error.use_stderr() { Exit::Wrong } else { Exit::Done };
            drop(error.print());
            return ExitCode::from(exit as u8);
        }
    };
    console::choose(cli.json, cli.quiet);
    let done = match &cli.command {
        Command::Ping(arguments) => run::ping(arguments),
        Command::Get(arguments) => run::get(arguments),
        Command::Head(arguments) => run::head(arguments),
        Command::Set(arguments) => run::set(arguments),
        Command::Delete(arguments) => run::delete(arguments),
        Command::List(arguments) => run::list(arguments),
        Command::Stats(arguments) => run::stats(arguments),
        Command::CheckConfig(arguments) => run::check_config(arguments),
        Command::Export(arguments) => run::export(arguments),
        Command::Import(arguments) => run::import(arguments),
        Command::Copy(arguments) => run::copy(arguments),
        Command::Diff(arguments) => run::diff(arguments),
        Command::Bench(arguments) => run::bench(arguments),
        Command::Completions(arguments) => run::completions(arguments),
        Command::Man(arguments) => run::man(arguments),
    };
    let exit = done.unwrap_or_else(|failure| {
        console::console().fail(&failure);
        failure.exit
    });
    ExitCode::from(exit as u8)
}
