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

/// What an option's value may be.
#[derive(Clone, Copy, Debug)]
pub enum OptionKind {
    /// Text; a number is taken as its text, since a password may look like one.
    Text,
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
    /// One or more servers: see [`Server::list`](super::Server::list).
    Servers,
}
