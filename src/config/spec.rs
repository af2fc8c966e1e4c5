//! How an option is declared.

/// One option: what it is called, what it may be and what it means.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// The name in the JSON object.
    pub name: &'static str,
    /// What values are possible.
    pub kind: OptionKind,
    /// The default in words, for the documentation.
    pub default: &'static str,
    /// Meaning and unit in one sentence, for the documentation.
    pub meaning: &'static str,
}

impl OptionSpec {
    /// Whether empty text counts as absent: what an empty environment variable gives.
    pub(super) fn is_absent_when_empty(&self) -> bool {
        const NAMES: &[&str] = &["url", "user", "password", "sentinelUser", "sentinelPassword"];
        let is_place = matches!(
            self.kind,
            OptionKind::Host | OptionKind::Hosts | OptionKind::Servers | OptionKind::Nodes
        );
        is_place || NAMES.contains(&self.name)
    }
}

/// What an option's value may be.
#[derive(Clone, Copy, Debug)]
pub enum OptionKind {
    /// Text; a number is taken as its text, since a password may look like one.
    Text,
    /// A secret that may change: text, or where it is to be had, see [`Secret`](super::Secret).
    Secret,
    /// A whole number from the first to the last; digits in a string are taken as a number.
    Integer(i64, i64),
    /// `true` or `false`, in a string as well.
    Flag,
    /// One of these words, in upper or lower case.
    Choice(&'static [&'static str]),
    /// An object with these options.
    Object(&'static [OptionSpec]),
    /// `true`, `false`, or an object with these options.
    FlagOrObject(&'static [OptionSpec]),
    /// The same, or one of these words.
    FlagObjectOrWord(&'static [OptionSpec], &'static [&'static str]),
    /// The name or the address of a host, and nothing else.
    Host,
    /// One or more of them with commas between, or the folder of a Unix socket.
    Hosts,
    /// One or more servers: see [`Server::list`](super::Server::list).
    Servers,
    /// The same, and each may have a login of its own.
    Nodes,
    /// An object that gives `host:port` another one, which is to be dialled instead.
    AddressMap,
    /// Anything: it is taken and has no effect, of which a log line tells.
    Unused,
}
