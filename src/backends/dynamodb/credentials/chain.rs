//! The order in which credentials are searched for, as AWS's SDKs have it: environment, profile
//! in the shared files, web identity, container, instance.

use super::environment::Environment;
use super::files::Profile;
use super::keys::Credentials;
use super::remote::{self, WebIdentity};
use crate::config::wrong;
use crate::core::{Error, ErrorCode};

/// The region where none is given as an option.
pub(in crate::backends::dynamodb) fn region(
    environment: &Environment,
    profile: Option<&str>,
) -> Option<String> {
    let variable =
        || environment.variable("AWS_REGION").or_else(|| environment.variable("AWS_DEFAULT_REGION"));
    let shared =
        || Some(Profile::read(environment, &environment.profile(profile))?.get("region")?.to_owned());
    match profile {
        Some(_) => shared().or_else(variable),
        None => variable().or_else(shared),
    }
}

/// Searches until something is found.
///
/// # Errors
/// Nothing is, or what is found is of no use.
pub(super) async fn search(
    environment: &Environment,
    profile: Option<&str>,
    region: &str,
) -> Result<Credentials, Error> {
    if profile.is_none() {
        if let Some(found) = from_environment(environment) {
            return Ok(found);
        }
    }
    let name = environment.profile(profile);
    match Profile::read(environment, &name) {
        Some(found) => {
            if let Some(found) = from_profile(environment, &name, &found, region).await? {
                return Ok(found);
            }
        }
        None if profile.is_some() => {
            return Err(wrong(format!(
                "the profile \"{name}\" of the option \"profile\" is neither in ~/.aws/credentials nor in ~/.aws/config"
            )))
        }
        None => {}
    }
    let (file, role) = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN");
    if let (Some(token_file), Some(role)) = (environment.variable(file), environment.variable(role)) {
        let session = environment.variable("AWS_ROLE_SESSION_NAME");
        return remote::web_identity(environment, region, WebIdentity { token_file, role, session }).await;
    }
    if let Some(found) = remote::container(environment).await? {
        return Ok(found);
    }
    if let Some(found) = remote::instance(environment).await? {
        return Ok(found);
    }
    Err(Error::new(
        ErrorCode::Authentication,
        "there are no AWS credentials: neither options, nor AWS_ACCESS_KEY_ID, nor a profile, nor a web identity, nor those of a container or an instance; give \"accessKeyId\" and \"secretAccessKey\"",
    ))
}

fn from_environment(environment: &Environment) -> Option<Credentials> {
    let access_key = environment.variable("AWS_ACCESS_KEY_ID")?;
    let secret_key = environment.variable("AWS_SECRET_ACCESS_KEY")?;
    let token = environment.variable("AWS_SESSION_TOKEN");
    Some(Credentials { access_key, secret_key, token, expires: None })
}

async fn from_profile(
    environment: &Environment,
    name: &str,
    profile: &Profile,
    region: &str,
) -> Result<Option<Credentials>, Error> {
    let keys = (profile.get("aws_access_key_id"), profile.get("aws_secret_access_key"));
    if let (Some(access_key), Some(secret_key)) = keys {
        return Ok(Some(Credentials::fixed(access_key, secret_key, profile.get("aws_session_token"))));
    }
    if let (Some(file), Some(role)) = (profile.get("web_identity_token_file"), profile.get("role_arn")) {
        let identity = WebIdentity {
            token_file: file.to_owned(),
            role: role.to_owned(),
            session: profile.get("role_session_name").map(str::to_owned),
        };
        return remote::web_identity(environment, region, identity).await.map(Some);
    }
    for setting in ["role_arn", "sso_session", "sso_start_url", "credential_process"] {
        if profile.get(setting).is_some() {
            return Err(wrong(format!(
                "the AWS profile \"{name}\" has \"{setting}\", which is not supported; put temporary keys into the environment (aws configure export-credentials --format env)"
            )));
        }
    }
    Ok(None)
}
