//! The order in which credentials are searched for, as AWS's SDKs have it: environment, profile
//! in the shared files, web identity, container, instance.

use super::assumed::{self, Role};
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

/// Where credentials are searched for.
pub(in crate::backends::dynamodb) struct Chain {
    pub environment: Environment,
    /// The profile that the options name.
    pub profile: Option<String>,
    pub region: String,
}

impl Chain {
    /// Searches until something is found. Where some were found before, an instance's service that
    /// does not answer is away, and not absent.
    ///
    /// # Errors
    /// Nothing is, or what is found is of no use.
    pub(super) async fn search(&self, had_any: bool) -> Result<Credentials, Error> {
        let Chain { environment, profile, region } = self;
        if profile.is_none() {
            if let Some(found) = from_environment(environment) {
                return Ok(found);
            }
        }
        let name = environment.profile(profile.as_deref());
        match Profile::read(environment, &name) {
            Some(found) => {
                if let Some(found) = self.of_profile(&name, &found, &[]).await? {
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
            return remote::web_identity(environment, region, WebIdentity { token_file, role, session })
                .await;
        }
        if let Some(found) = remote::container(environment).await? {
            return Ok(found);
        }
        if let Some(found) = remote::instance(environment, had_any).await? {
            return Ok(found);
        }
        Err(Error::new(
            ErrorCode::Authentication,
            "there are no AWS credentials: neither options, nor AWS_ACCESS_KEY_ID, nor a profile, nor a web identity, nor those of a container or an instance; give \"accessKeyId\" and \"secretAccessKey\"",
        ))
    }

    /// What a profile says by itself; `below` are those that take on a role with it.
    async fn of_profile(
        &self,
        name: &str,
        profile: &Profile,
        below: &[&str],
    ) -> Result<Option<Credentials>, Error> {
        let Chain { environment, region, .. } = self;
        if let (Some(file), Some(role)) = (profile.get("web_identity_token_file"), profile.get("role_arn")) {
            let identity = WebIdentity {
                token_file: file.to_owned(),
                role: role.to_owned(),
                session: profile.get("role_session_name").map(str::to_owned),
            };
            return remote::web_identity(environment, region, identity).await.map(Some);
        }
        // A role goes before keys, unless it is taken on with these very keys.
        if let (Some(role), false) = (profile.get("role_arn"), below.contains(&name)) {
            let with = self.source_of(name, profile, below).await?;
            let role = Role {
                arn: role,
                session: profile.get("role_session_name"),
                external_id: profile.get("external_id"),
                seconds: profile.get("duration_seconds"),
            };
            return assumed::role(environment, region, &with, role).await.map(Some);
        }
        let keys = (profile.get("aws_access_key_id"), profile.get("aws_secret_access_key"));
        if let (Some(access_key), Some(secret_key)) = keys {
            let token = profile.get("aws_session_token");
            return Ok(Some(Credentials::fixed(access_key, secret_key, token)));
        }
        match UNSUPPORTED.iter().find(|setting| profile.get(setting).is_some()) {
            Some(setting) => Err(unsupported(name, setting)),
            None => Ok(None),
        }
    }

    /// What a profile takes on its role with.
    async fn source_of(&self, name: &str, profile: &Profile, below: &[&str]) -> Result<Credentials, Error> {
        if profile.get("mfa_serial").is_some() {
            return Err(unsupported(name, "mfa_serial"));
        }
        let environment = &self.environment;
        let lacks = |what: &str| {
            let text = format!("the AWS profile \"{name}\" has \"role_arn\" and {what}");
            wrong(format!("{text}; give it a \"source_profile\" with keys, or \"credential_source\""))
        };
        let found = match (profile.get("source_profile"), profile.get("credential_source")) {
            (Some(source), _) => {
                let other = Profile::read(environment, source)
                    .ok_or_else(|| lacks(&format!("no profile \"{source}\" to take it on with")))?;
                if source != name && below.contains(&source) {
                    return Err(lacks("needs itself for that"));
                }
                let below = [below, &[name]].concat();
                Box::pin(self.of_profile(source, &other, &below)).await?
            }
            (None, Some("Environment")) => from_environment(environment),
            (None, Some("Ec2InstanceMetadata")) => remote::instance(environment, true).await?,
            (None, Some("EcsContainer")) => remote::container(environment).await?,
            (None, Some(_)) => return Err(lacks("an unknown \"credential_source\"")),
            (None, None) => None,
        };
        found.ok_or_else(|| lacks("no keys to take it on with"))
    }
}

/// What a profile may have that helps AWS's tools and not us.
const UNSUPPORTED: [&str; 3] = ["sso_session", "sso_start_url", "credential_process"];

fn unsupported(name: &str, setting: &str) -> Error {
    wrong(format!(
        "the AWS profile \"{name}\" has \"{setting}\", which is not supported; put temporary keys into the environment (aws configure export-credentials --format env)"
    ))
}

fn from_environment(environment: &Environment) -> Option<Credentials> {
    let access_key = environment.variable("AWS_ACCESS_KEY_ID")?;
    let secret_key = environment.variable("AWS_SECRET_ACCESS_KEY")?;
    let token = environment.variable("AWS_SESSION_TOKEN");
    Some(Credentials { access_key, secret_key, token, expires: None })
}
