//! The files that AWS's tools share: `~/.aws/credentials` and `~/.aws/config`.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>

use std::collections::BTreeMap;
use std::fs;

use super::environment::Environment;

/// The settings of one profile; those in `credentials` win over those in `config`.
#[derive(Debug, Default)]
pub(super) struct Profile {
    values: BTreeMap<String, String>,
}

impl Profile {
    /// Reads a profile out of both files; `None` where neither has it.
    pub fn read(environment: &Environment, name: &str) -> Option<Profile> {
        let file = |variable: &str, usual: &str| {
            let path = environment
                .variable(variable)
                .or_else(|| environment.variable("HOME").map(|home| format!("{home}/.aws/{usual}")))?;
            fs::read_to_string(path).ok()
        };
        let config = file("AWS_CONFIG_FILE", "config").unwrap_or_default();
        let credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials").unwrap_or_default();
        let config = section(&config, |title| match title.strip_prefix("profile ") {
            Some(rest) => rest.trim() == name,
            None => name == "default" && title == "default",
        });
        let credentials = section(&credentials, |title| title == name);
        if config.is_none() && credentials.is_none() {
            return None;
        }
        let mut values = config.unwrap_or_default();
        values.extend(credentials.unwrap_or_default());
        Some(Profile { values })
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

/// The settings below each title that is wanted.
fn section(text: &str, is_wanted: impl Fn(&str) -> bool) -> Option<BTreeMap<String, String>> {
    let mut found: Option<BTreeMap<String, String>> = None;
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(title) = line.trim().strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            inside = is_wanted(title.0.trim());
            if inside {
                found.get_or_insert_with(BTreeMap::new);
            }
            continue;
        }
        // What is indented belongs to the setting above it, and none of those matters here.
        if !inside || line.starts_with([' ', '\t']) {
            continue;
        }
        if let (Some((name, value)), Some(values)) = (line.split_once('='), found.as_mut()) {
            values.insert(name.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_read_and_no_other() {
        let text = "# comment\n[default]\naws_access_key_id = A\n; more\ns3 =\n  region = nested\n\n[ other ]\nAWS_access_key_id=B\nregion=eu-west-1\n[default]\nregion = us-west-2\n";
        let values = section(text, |title| title == "default").unwrap();
        assert_eq!(values["aws_access_key_id"], "A");
        assert_eq!(values["region"], "us-west-2");
        let values = section(text, |title| title == "other").unwrap();
        assert_eq!((&*values["aws_access_key_id"], &*values["region"]), ("B", "eu-west-1"));
        assert!(section(text, |title| title == "none").is_none());
    }
}
