//! Environment variables, where much of the chain begins.

type Lookup = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Environment variables, of this process or of a test.
pub(in crate::backends::dynamodb) struct Environment {
    lookup: Lookup,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Environment {
        Environment { lookup: Box::new(|name| std::env::var(name).ok()) }
    }

    #[cfg(test)]
    pub fn of(variables: &[(&str, &str)]) -> Environment {
        let variables: std::collections::HashMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Environment { lookup: Box::new(move |name| variables.get(name).cloned()) }
    }

    /// A variable that is set to something.
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// The name of the profile to read.
    pub(super) fn profile(&self, given: Option<&str>) -> String {
        let named = given.map(str::to_owned).or_else(|| self.variable("AWS_PROFILE"));
        named.unwrap_or_else(|| "default".to_owned())
    }
}
