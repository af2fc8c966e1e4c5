//! Whether `localDataCenter` fits the cluster.
//!
//! A level such as `LOCAL_QUORUM` counts the replicas of the datacentre whose node coordinates the
//! request. Without `localDataCenter` that may be another one for a write than for the read after
//! it, which then misses the write.

use scylla::frame::types::Consistency;

use super::options::Options;
use crate::config::wrong;
use crate::core::Error;

/// Refuses a datacentre that is not there, and none where several are and one is meant.
pub(super) fn check(options: &Options, mut known: Vec<String>) -> Result<(), Error> {
    known.sort();
    known.dedup();
    let all = known.join(", ");
    match &options.datacentre {
        Some(wanted) if known.contains(wanted) => Ok(()),
        Some(wanted) => Err(wrong(format!(
            "the option \"localDataCenter\" is \"{wanted}\", and the cluster has no such datacentre; give one of {all}"
        ))),
        None if known.len() > 1 && (is_local(options.reads) || is_local(options.writes)) => Err(wrong(format!(
            "the cluster has several datacentres, and a LOCAL level of consistency is that of one of them; give one of {all} as \"localDataCenter\", or a \"consistency\" that is the cluster's, such as QUORUM"
        ))),
        None => Ok(()),
    }
}

fn is_local(level: Consistency) -> bool {
    matches!(level, Consistency::LocalQuorum | Consistency::LocalOne)
}

#[cfg(test)]
mod tests {
    use super::super::specs::OPTIONS;
    use super::*;
    use crate::config::{parse, Settings};
    use crate::core::ErrorCode;

    fn checked(text: &str, known: &[&str]) -> Result<(), Error> {
        let settings = Settings::check(parse(text.as_bytes()).unwrap(), "cassandra", OPTIONS).unwrap();
        check(&Options::from_settings(&settings)?, known.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_local_level_needs_a_datacentre_where_there_are_several() {
        let both = ["two", "one", "one"];
        for text in [
            "{}",
            r#"{"consistency": "LOCAL_ONE"}"#,
            r#"{"consistency": "QUORUM", "readConsistency": "LOCAL_ONE"}"#,
            r#"{"consistency": "ALL", "writeConsistency": "LOCAL_QUORUM"}"#,
        ] {
            let error = checked(text, &both).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Configuration, "{text}");
            assert!(error.message().contains("\"localDataCenter\""), "{error}");
            assert!(error.message().contains("one, two"), "{error}");
            assert!(checked(text, &["one", "one"]).is_ok(), "{text}");
        }
        for text in [
            r#"{"localDataCenter": "two"}"#,
            r#"{"consistency": "QUORUM"}"#,
            r#"{"readConsistency": "ONE", "writeConsistency": "EACH_QUORUM"}"#,
        ] {
            assert!(checked(text, &both).is_ok(), "{text}");
        }
        assert!(checked(r#"{"localDataCenter": "three"}"#, &both)
            .unwrap_err()
            .message()
            .contains("one, two"));
    }
}
