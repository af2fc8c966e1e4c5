//! A promise that was not kept.

/// Which check failed, and what it saw.
#[derive(Clone, Debug)]
pub struct Failure {
    pub check: &'static str,
    pub words: String,
}

/// What every check returns.
pub type Checked = Result<(), Failure>;

/// Fails a check unless the condition holds.
pub fn expect(condition: bool, check: &'static str, words: impl FnOnce() -> String) -> Checked {
    if condition {
        return Ok(());
    }
    Err(Failure { check, words: words() })
}
