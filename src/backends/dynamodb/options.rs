//! The options, with the names that AWS's own SDKs have where they have any.

use std::sync::Arc;

use super::credentials::{self, Chain, Credentials, Environment, Provider, Source};
use super::item::Expiry;
use crate::config::{wrong, OptionKind, OptionSpec, Settings};
use crate::core::Error;
use crate::net::http::{parse_url, Origin};
use crate::net::tls;

const CREDENTIALS: &[OptionSpec] = &[
    OptionSpec { name: "accessKeyId", kind: OptionKind::Text, default: "–", meaning: "The key's id." },
    OptionSpec {
        name: "secretAccessKey", kind: OptionKind::Text, default: "–", meaning: "The key itself."
    },
    OptionSpec {
        name: "sessionToken",
        kind: OptionKind::Text,
        default: "none",
        meaning: "The token of a temporary key.",
    },
];

pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "region",
        kind: OptionKind::Text,
        default: "`AWS_REGION`, or the profile's",
        meaning: "AWS region, such as `eu-central-1`.",
    },
    OptionSpec {
        name: "endpoint",
        kind: OptionKind::Text,
        default: "the region's",
        meaning: "URL of the service; `http://127.0.0.1:8000` for DynamoDB local. Without it, `AWS_ENDPOINT_URL_DYNAMODB` and `AWS_ENDPOINT_URL` count.",
    },
    OptionSpec {
        name: "tls",
        kind: OptionKind::FlagOrObject(tls::OPTIONS),
        default: "by the endpoint",
        meaning: "For an endpoint of your own: see the TLS options.",
    },
    OptionSpec {
        name: "accessKeyId",
        kind: OptionKind::Text,
        default: "the usual chain",
        meaning: "Access key, with `secretAccessKey`; without it, see below.",
    },
    OptionSpec {
        name: "secretAccessKey",
        kind: OptionKind::Text,
        default: "the usual chain",
        meaning: "The secret of the access key.",
    },
    OptionSpec {
        name: "sessionToken",
        kind: OptionKind::Text,
        default: "none",
        meaning: "The token of a temporary access key.",
    },
    OptionSpec {
        name: "credentials",
        kind: OptionKind::Object(CREDENTIALS),
        default: "none",
        meaning: "The same three in an object, as the AWS SDK for JavaScript has them.",
    },
    OptionSpec {
        name: "profile",
        kind: OptionKind::Text,
        default: "`AWS_PROFILE`, or `default`",
        meaning: "A profile in `~/.aws/credentials` or `~/.aws/config`.",
    },
    OptionSpec {
        name: "table",
        kind: OptionKind::Text,
        default: "deepstream",
        meaning: "The table of all records.",
    },
    OptionSpec {
        name: "splitChar",
        kind: OptionKind::Text,
        default: "/",
        meaning: "What ends the collection in a key. One or more characters.",
    },
    OptionSpec {
        name: "tablePerCollection",
        kind: OptionKind::Flag,
        default: "false",
        meaning: "A table for each collection: `users/1` is the item `1` of `deepstream-users`, after the option `table`.",
    },
    OptionSpec {
        name: "createTable",
        kind: OptionKind::Flag,
        default: "false",
        meaning: "Makes a table that is not there, paid by request, and waits for it.",
    },
    OptionSpec {
        name: "ttl",
        kind: OptionKind::Integer(1, 10_000_000_000),
        default: "none",
        meaning: "Seconds after its last `set` at which a record is gone.",
    },
    OptionSpec {
        name: "ttlAttribute",
        kind: OptionKind::Text,
        default: "ds_expires",
        meaning: "The attribute that says when: the one for which the table's time to live is switched on, which `createTable` does.",
    },
    OptionSpec {
        name: "consistentRead",
        kind: OptionKind::Flag,
        default: "true",
        meaning: "`false` halves the price of reads, which then may miss what was written just before, by this connector as well.",
    },
    OptionSpec {
        name: "useFipsEndpoint",
        kind: OptionKind::Flag,
        default: "`AWS_USE_FIPS_ENDPOINT`, or false",
        meaning: "The region's endpoint with cryptography by FIPS 140.",
    },
    OptionSpec {
        name: "useDualstackEndpoint",
        kind: OptionKind::Flag,
        default: "`AWS_USE_DUALSTACK_ENDPOINT`, or false",
        meaning: "The region's endpoint with IPv6 beside IPv4.",
    },
    OptionSpec {
        name: "maxConnections",
        kind: OptionKind::Integer(1, 1000),
        default: "8",
        meaning: "How many connections to the service there may be, and so how many requests at once.",
    },
    unused("maxAttempts", "Taken and not needed: operations are tried again up to their `timeout`."),
    unused("maxRetries", "Taken and not needed: operations are tried again up to their `timeout`."),
    unused("retryMode", "Taken and not needed: operations are tried again up to their `timeout`."),
    unused("defaultsMode", "Taken and not needed: see `timeout` and `connectTimeout`."),
    unused("apiVersion", "Taken and not needed: there is one version."),
];

/// An option of AWS's SDKs that is taken and does nothing.
const fn unused(name: &'static str, meaning: &'static str) -> OptionSpec {
    OptionSpec { name, kind: OptionKind::Unused, default: "none", meaning }
}

const CONNECTIONS: usize = 8;

/// What is needed for requests.
pub(super) struct Access {
    pub origin: Origin,
    pub region: String,
    pub provider: Provider,
}

impl Access {
    pub fn from_settings(settings: &Settings, environment: Environment) -> Result<Access, Error> {
        let profile = settings.text("profile").map(str::to_owned);
        let endpoint = settings
            .text("endpoint")
            .map(|text| ("endpoint", text.to_owned()))
            .or_else(|| {
                Some(("AWS_ENDPOINT_URL_DYNAMODB", environment.variable("AWS_ENDPOINT_URL_DYNAMODB")?))
            })
            .or_else(|| Some(("AWS_ENDPOINT_URL", environment.variable("AWS_ENDPOINT_URL")?)));
        let region = settings
            .text("region")
            .map(str::to_owned)
            .or_else(|| credentials::region(&environment, profile.as_deref()))
            // A service of one's own has any region.
            .or_else(|| endpoint.is_some().then(|| "us-east-1".to_owned()))
            .ok_or_else(|| wrong("the option \"region\" is missing; give one such as \"eu-central-1\""))?;
        if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') || region.is_empty() {
            return Err(wrong("the option \"region\" is no region; give one such as \"eu-central-1\""));
        }
        let is_wanted = |option: &str, variable: &str| {
            let by_variable =
                || environment.variable(variable).is_some_and(|value| value.eq_ignore_ascii_case("true"));
            settings.flag(option).unwrap_or_else(by_variable)
        };
        let is_fips = is_wanted("useFipsEndpoint", "AWS_USE_FIPS_ENDPOINT");
        let is_dual = is_wanted("useDualstackEndpoint", "AWS_USE_DUALSTACK_ENDPOINT");
        for option in ["useFipsEndpoint", "useDualstackEndpoint"] {
            if settings.flag(option) == Some(true) && settings.has("endpoint") {
                return Err(wrong(format!(
                    "the options \"{option}\" and \"endpoint\" exclude each other; leave one of them out"
                )));
            }
        }
        let (option, url) = endpoint.unwrap_or_else(|| {
            let service = if is_fips { "dynamodb-fips" } else { "dynamodb" };
            let domain = match (is_dual, credentials::domain(&region)) {
                (false, domain) => domain,
                (true, "amazonaws.com") => "api.aws",
                (true, _) => "api.amazonwebservices.com.cn",
            };
            ("endpoint", format!("https://{service}.{region}.{domain}"))
        });
        let origin = Origin::from_url(option, &parse_url(option, &url)?, settings)?;
        let source = match given(settings)? {
            Some(credentials) => Source::Options(Arc::new(credentials)),
            None => Source::Chain(Arc::new(Chain { environment, profile, region: region.clone() })),
        };
        Ok(Access { origin, region, provider: Provider::new(source) })
    }
}

/// The credentials among the options.
fn given(settings: &Settings) -> Result<Option<Credentials>, Error> {
    let inner = settings.object("credentials");
    let place = inner.as_ref().unwrap_or(settings);
    let prefix = if inner.is_some() { "credentials." } else { "" };
    match (place.text("accessKeyId"), place.text("secretAccessKey")) {
        (Some(id), Some(secret)) => Ok(Some(Credentials::fixed(id, secret, place.text("sessionToken")))),
        (None, None) if inner.is_none() => Ok(None),
        (Some(_), None) => Err(wrong(format!(
            "the option \"{prefix}accessKeyId\" needs \"{prefix}secretAccessKey\" beside it"
        ))),
        (None, _) => Err(wrong(format!(
            "the option \"{prefix}accessKeyId\" is missing; give it with \"{prefix}secretAccessKey\", or neither"
        ))),
    }
}

/// The name of the table, checked.
pub(super) fn check_table(settings: &Settings) -> Result<(), Error> {
    let Some(name) = settings.text("table") else { return Ok(()) };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    // Room for a hash behind it.
    let longest = if settings.flag("tablePerCollection") == Some(true) { 180 } else { 255 };
    if (3..=longest).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(wrong(format!(
        "the option \"table\" is no name of a table; give 3 to {longest} letters, digits, \"_\", \"-\" or \".\""
    )))
}

pub(super) fn expiry(settings: &Settings) -> Result<Option<Expiry>, Error> {
    let attribute = settings.text("ttlAttribute").unwrap_or("ds_expires").to_owned();
    let taken = ["ds_key", "ds_version", "ds_data", "ds_json", "ds_collection", "ds_full_key"];
    if attribute.is_empty() || attribute.len() > 255 || taken.contains(&attribute.as_str()) {
        return Err(wrong(
            "the option \"ttlAttribute\" is no attribute of its own; give one of 1 to 255 bytes",
        ));
    }
    let seconds = settings.count("ttl").and_then(|seconds| u64::try_from(seconds).ok());
    Ok(seconds.map(|seconds| Expiry { attribute, seconds }))
}

pub(super) fn connections(settings: &Settings) -> usize {
    settings.count("maxConnections").unwrap_or(CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn access(json: &str, variables: &[(&str, &str)]) -> Result<Access, Error> {
        let settings = Settings::check(parse(json.as_bytes()).unwrap(), "dynamodb", OPTIONS)?;
        Access::from_settings(&settings, Environment::of(variables))
    }

    fn address(json: &str, variables: &[(&str, &str)]) -> String {
        let access = access(json, variables).map_err(|error| error.to_string()).unwrap();
        format!("{} {} {}", access.origin.authority(), access.region, access.origin.tls.is_some())
    }

    #[test]
    fn the_region_has_an_endpoint() {
        let given = r#"{"region": "eu-central-1"}"#;
        assert_eq!(address(given, &[]), "dynamodb.eu-central-1.amazonaws.com eu-central-1 true");
        let china = r#"{"region": "cn-north-1"}"#;
        assert_eq!(address(china, &[]), "dynamodb.cn-north-1.amazonaws.com.cn cn-north-1 true");
        let variable = [("AWS_REGION", "us-west-2")];
        assert_eq!(address("{}", &variable), "dynamodb.us-west-2.amazonaws.com us-west-2 true");
        let error = access("{}", &[]).err().expect("there is no region");
        assert!(error.message().contains("\"region\" is missing"), "{error}");
    }

    #[test]
    fn an_endpoint_of_ones_own_needs_no_region() {
        let option = r#"{"endpoint": "http://127.0.0.1:8000"}"#;
        assert_eq!(address(option, &[]), "127.0.0.1:8000 us-east-1 false");
        let variable = [("AWS_ENDPOINT_URL", "http://localhost:4566")];
        assert_eq!(address("{}", &variable), "localhost:4566 us-east-1 false");
        assert_eq!(address(option, &variable), "127.0.0.1:8000 us-east-1 false");
    }

    #[test]
    fn a_region_has_endpoints_by_fips_and_for_ipv6() {
        for (json, variables, expected) in [
            (r#"{"useFipsEndpoint": true}"#, &[][..], "dynamodb-fips.us-west-2.amazonaws.com"),
            (r#"{"useDualstackEndpoint": true}"#, &[], "dynamodb.us-west-2.api.aws"),
            (
                "{}",
                &[("AWS_USE_FIPS_ENDPOINT", "true"), ("AWS_USE_DUALSTACK_ENDPOINT", "TRUE")],
                "dynamodb-fips.us-west-2.api.aws",
            ),
            (
                r#"{"useFipsEndpoint": false}"#,
                &[("AWS_USE_FIPS_ENDPOINT", "true")],
                "dynamodb.us-west-2.amazonaws.com",
            ),
        ] {
            let variables = [variables, &[("AWS_REGION", "us-west-2")]].concat();
            assert_eq!(address(json, &variables), format!("{expected} us-west-2 true"), "{json}");
        }
        let both = r#"{"useFipsEndpoint": true, "endpoint": "http://127.0.0.1:8000"}"#;
        let error = access(both, &[]).err().expect("they exclude each other");
        assert!(error.message().contains("\"useFipsEndpoint\" and \"endpoint\""), "{error}");
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let json =
            r#"{"maxAttempts": 3, "retryMode": "adaptive", "apiVersion": "2012-08-10", "region": "x"}"#;
        let settings = Settings::check(parse(json.as_bytes()).unwrap(), "dynamodb", OPTIONS).unwrap();
        let remarks = settings.engine().remarks;
        assert!(remarks.iter().any(|line| line.contains("\"maxAttempts\"")), "{remarks:?}");
    }

    #[test]
    fn half_of_the_credentials_is_refused() {
        for (json, words) in [
            (r#"{"region": "x", "accessKeyId": "a"}"#, "\"secretAccessKey\""),
            (r#"{"region": "x", "secretAccessKey": "hunter2"}"#, "\"accessKeyId\""),
            (r#"{"region": "x", "credentials": {}}"#, "\"credentials.accessKeyId\""),
        ] {
            let error = access(json, &[]).err().expect("it is half");
            assert!(error.message().contains(words) && !error.message().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn bad_names_are_refused() {
        for json in [r#"{"table": "a"}"#, r#"{"table": "a b c"}"#, r#"{"table": ""}"#] {
            let settings = Settings::check(parse(json.as_bytes()).unwrap(), "dynamodb", OPTIONS).unwrap();
            assert!(check_table(&settings).is_err(), "{json}");
        }
        for json in [r#"{"ttl": 1, "ttlAttribute": ""}"#, r#"{"ttl": 1, "ttlAttribute": "ds_key"}"#] {
            let settings = Settings::check(parse(json.as_bytes()).unwrap(), "dynamodb", OPTIONS).unwrap();
            assert!(expiry(&settings).is_err(), "{json}");
        }
    }
}
