//! The command line. Help, completions and man pages are made from it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Looks into caches and databases, copies and compares them.
///
/// Each command is given a connection: by -c a file or a name, or by flags. Only data go to standard output; messages and
/// progress go to standard error.
///
/// Exit codes: 0 done; 1 the answer is no (no such record, a difference, records that were rejected); 2 failed; 3 the
/// command line or the configuration is wrong; 128 + N ended by signal N.
#[derive(Debug, Parser)]
#[command(name = "connectorctl", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// Results and errors as JSON, one object in each line
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no remarks
    #[arg(long, short, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Connects, makes a round trip, and says in one sentence what is wrong
    Ping(PingArgs),
    /// Prints a record's data; with --json its key and version as well
    Get(KeyArgs),
    /// Prints a record's version
    Head(KeyArgs),
    /// Stores a record
    Set(SetArgs),
    /// Removes records
    Delete(DeleteArgs),
    /// Prints the keys of all records, in an order of the database's own
    List(ListArgs),
    /// Prints the connection's statistics, and with --records what is stored
    Stats(StatsArgs),
    /// Says what the library would do with a configuration, without connecting
    CheckConfig(CheckArgs),
    /// Writes all records as JSON Lines
    Export(ExportArgs),
    /// Stores the records of JSON Lines
    Import(ImportArgs),
    /// Copies all records from one database to another
    Copy(CopyArgs),
    /// Prints a line for each record that differs: + only in --from, - only in --to, * other data or version, ! unreadable
    Diff(DiffArgs),
    /// Measures throughput and latency with W operations under way
    Bench(BenchArgs),
    /// Prints a completion script for a shell
    Completions(CompletionArgs),
    /// Writes the man pages into a folder
    Man(ManArgs),
}

/// One connection.
#[derive(Args, Clone, Debug, Default)]
pub struct ConnectionArgs {
    /// A configuration: a file (our JSON, or a deepstream server's YAML), @NAME of connectorctl.toml, or a JSON object
    #[arg(short = 'c', long = "config", value_name = "FILE|@NAME|JSON")]
    pub config: Option<String>,
    /// The part of a deepstream server's configuration
    #[arg(long, value_enum)]
    pub section: Option<Section>,
    #[command(flatten)]
    pub options: OptionArgs,
}

/// Options of a connection by flags; they replace those of the configuration.
#[derive(Args, Clone, Debug, Default)]
pub struct OptionArgs {
    /// Which cache or database: memory, sqlite, redis, postgres, …
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// The option "host"
    #[arg(long)]
    pub host: Option<String>,
    /// The option "port"
    #[arg(long)]
    pub port: Option<u16>,
    /// The option "user"
    #[arg(long)]
    pub user: Option<String>,
    /// The option "database"
    #[arg(long)]
    pub database: Option<String>,
    /// The option "path", of an SQLite file
    #[arg(long)]
    pub path: Option<String>,
    /// The option "url", without a password
    #[arg(long)]
    pub url: Option<String>,
    /// Any other option; the value is JSON, or text where it is none
    #[arg(long = "option", short = 'o', value_name = "NAME=VALUE")]
    pub options: Vec<String>,
    /// An option with a secret: NAME=env:VARIABLE, NAME=file:PATH or NAME=prompt
    #[arg(long = "secret", value_name = "NAME=SOURCE")]
    pub secrets: Vec<String>,
}

/// Two connections.
#[derive(Args, Clone, Debug)]
pub struct PairArgs {
    /// The source: a file, @NAME, or a JSON object
    #[arg(long, value_name = "FILE|@NAME|JSON")]
    pub from: String,
    /// The target: a file, @NAME, or a JSON object
    #[arg(long, value_name = "FILE|@NAME|JSON")]
    pub to: String,
    /// The part of the source's configuration, where it is a deepstream server's
    #[arg(long, value_enum)]
    pub from_section: Option<Section>,
    /// The part of the target's configuration, where it is a deepstream server's
    #[arg(long, value_enum)]
    pub to_section: Option<Section>,
}

/// A part of a deepstream server's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Section {
    Cache,
    Storage,
}

impl Section {
    pub fn name(self) -> &'static str {
        match self {
            Section::Cache => "cache",
            Section::Storage => "storage",
        }
    }
}

#[derive(Args, Debug)]
pub struct PingArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Gives up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub wait: f64,
}

#[derive(Args, Debug)]
pub struct KeyArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The record's name
    pub key: String,
}

#[derive(Args, Debug)]
pub struct SetArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The record's name
    pub key: String,
    /// The record's version
    #[arg(allow_negative_numbers = true)]
    pub version: i64,
    /// The record's data, a JSON document; - reads it from standard input
    #[arg(allow_hyphen_values = true)]
    pub data: String,
}

#[derive(Args, Debug)]
pub struct DeleteArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The records' names
    #[arg(required = true)]
    pub keys: Vec<String>,
}

#[derive(Args, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Only keys that begin so
    #[arg(long, default_value = "")]
    pub prefix: String,
    /// At most so many
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Goes on where a listing with --limit ended, which said how
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
}

#[derive(Args, Debug)]
pub struct StatsArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Counts all records and their bytes, by collection
    #[arg(long)]
    pub records: bool,
}

#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Args, Debug)]
pub struct ExportArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Where to: a file (.gz and .zst are compressed), or - for standard output
    #[arg(default_value = "-")]
    pub file: String,
    /// Only records whose keys begin so
    #[arg(long, default_value = "")]
    pub prefix: String,
}

#[derive(Args, Debug)]
pub struct ImportArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Where from: a file (.gz and .zst are decompressed), or - for standard input
    #[arg(default_value = "-")]
    pub file: String,
    /// What cannot be stored, with reasons
    #[arg(long, value_name = "FILE", default_value = "import.rejects.jsonl")]
    pub rejects: PathBuf,
    /// How many seconds an outage may last
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = seconds)]
    pub patience: f64,
}

#[derive(Args, Debug)]
pub struct CopyArgs {
    #[command(flatten)]
    pub pair: PairArgs,
    /// Only records whose keys begin so
    #[arg(long, default_value = "")]
    pub prefix: String,
    /// Says what would be written and writes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// At most so many records in a second
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// Only records whose version is above the target's
    #[arg(long)]
    pub newer_only: bool,
    /// Does not read everything again to compare it
    #[arg(long)]
    pub no_verify: bool,
    /// Where to remember how far it came [default: one in the state folder for this source, target and prefix]
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Begins anew whatever the checkpoint says
    #[arg(long)]
    pub restart: bool,
    /// What cannot be copied, with reasons [default: beside the checkpoint]
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// How many seconds an outage may last
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = seconds)]
    pub patience: f64,
}

#[derive(Args, Debug)]
pub struct DiffArgs {
    #[command(flatten)]
    pub pair: PairArgs,
    /// Only records whose keys begin so
    #[arg(long, default_value = "")]
    pub prefix: String,
    /// Prints a line with = for each record that is equal, too
    #[arg(long)]
    pub all: bool,
    /// How many seconds an outage may last
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    pub patience: f64,
}

#[derive(Args, Debug)]
pub struct BenchArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// How many operations are under way at once
    #[arg(short = 'W', long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub window: u32,
    /// How long it measures each kind of operation
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    pub seconds: f64,
    /// What is measured
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Measured::Set, Measured::Get, Measured::Head])]
    pub operations: Vec<Measured>,
    /// How many records it uses; they are named connectorctl-bench/N and removed afterwards
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub records: u32,
    /// Bytes of each record's data
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=16_777_216))]
    pub size: u32,
}

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measured {
    Set,
    Get,
    Head,
}

#[derive(Args, Debug)]
pub struct CompletionArgs {
    /// The shell
    pub shell: Shell,
}

/// The shells that there are completions for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Args, Debug)]
pub struct ManArgs {
    /// The folder; it is made where it is missing
    pub folder: PathBuf,
}

/// Seconds, from a millisecond to a day.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.001..=86_400.0).contains(&number) => Ok(number),
        _ => Err("give a number of seconds from 0.001 to 86400".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
