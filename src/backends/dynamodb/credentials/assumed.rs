//! Roles that are taken on with other credentials, by `AssumeRole` of the Security Token Service.

use url::form_urlencoded::Serializer;

use super::environment::Environment;
use super::keys::Credentials;
use super::remote::{ask, assumed, request, security_tokens, FORM, PATIENCE, SESSION};
use crate::backends::dynamodb::moment::Moment;
use crate::backends::dynamodb::sign::Signer;
use crate::config::Settings;
use crate::core::Error;
use crate::net::http::Origin;

/// A role as a profile names it.
pub(super) struct Role<'a> {
    pub arn: &'a str,
    pub session: Option<&'a str>,
    pub external_id: Option<&'a str>,
    /// For how long it is taken on.
    pub seconds: Option<&'a str>,
}

/// Takes on a role.
pub(super) async fn role(
    environment: &Environment,
    region: &str,
    with: &Credentials,
    role: Role<'_>,
) -> Result<Credentials, Error> {
    let url = security_tokens(environment, region)?;
    let body = form(&role);
    let host = Origin::from_url("credentials", &url, &Settings::default())?.authority();
    let time = Moment::now().compact();
    let mut headers = vec![("content-type", FORM), ("host", host.as_str()), ("x-amz-date", time.as_str())];
    if let Some(token) = &with.token {
        headers.push(("x-amz-security-token", token));
    }
    let signer = Signer::new(region.to_owned(), "sts");
    let authorization = signer.authorization(with, &time, &headers, body.as_bytes());
    headers.push(("authorization", &authorization));
    let answer = ask(&url, request("POST", &url, &headers, body.into())?, PATIENCE).await?;
    assumed(&answer, "this profile's keys take on its \"role_arn\"")
}

fn form(role: &Role<'_>) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("Action", "AssumeRole")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role.arn)
        .append_pair("RoleSessionName", role.session.unwrap_or(SESSION));
    for (name, value) in [("ExternalId", role.external_id), ("DurationSeconds", role.seconds)] {
        if let Some(value) = value {
            form.append_pair(name, value);
        }
    }
    form.finish()
}
