//! Credentials that somebody near hands out: the container's or the instance's own service, or
//! AWS's Security Token Service for a web identity.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use serde::Deserialize;
use url::form_urlencoded::Serializer;
use url::{Host, Url};

use super::environment::Environment;
use super::keys::Credentials;
use crate::backends::dynamodb::moment::Moment;
use crate::config::{wrong, Settings};
use crate::core::{Error, ErrorCode};
use crate::net::http::{Answer, Client, Origin};

/// Services within the machine answer within milliseconds, and where there is none nobody does.
const PATIENCE_NEAR: Duration = Duration::from_secs(1);
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer with credentials, in bytes.
const LONGEST: usize = 64 * 1024;

const CONTAINER: &str = "http://169.254.170.2";
const INSTANCE: &str = "http://169.254.169.254";
const INSTANCES: &str = "the instance's metadata service";

/// Where tokens for containers may go unprotected besides this machine itself: the addresses of
/// ECS and EKS.
const CONTAINER_ADDRESSES: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// As containers and instances hand them out.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

impl Given {
    fn read(answer: &Answer, whose: &str) -> Result<Credentials, Error> {
        let given: Given = serde_json::from_slice(&answer.body).map_err(|_| unusable(whose, answer))?;
        Ok(Credentials {
            access_key: given.access_key_id,
            secret_key: given.secret_access_key,
            token: given.token,
            expires: given.expiration.as_deref().and_then(Moment::parse),
        })
    }
}

fn unusable(whose: &str, answer: &Answer) -> Error {
    Error::connection(format!("{whose} gave no AWS credentials (HTTP status {})", answer.status.as_u16()))
}

pub(super) async fn ask(url: &Url, request: Request<Bytes>, patience: Duration) -> Result<Answer, Error> {
    let origin = Origin::from_url("credentials", url, &Settings::default())?;
    let client = Client::new(origin, 1, LONGEST)?;
    match tokio::time::timeout(patience, client.send(request)).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::connection(format!(
            "the service with AWS credentials did not answer within {} ms",
            patience.as_millis()
        ))),
    }
}

fn target(url: &Url) -> String {
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

pub(super) fn request(
    method: &str,
    url: &Url,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Request<Bytes>, Error> {
    let mut request = Request::builder().method(method).uri(target(url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    // Tokens come from files and variables of others.
    request.body(body).map_err(|_| wrong("the token for AWS credentials holds characters that no header can"))
}

fn parse(text: &str, variable: &str) -> Result<Url, Error> {
    Url::parse(text).map_err(|_| wrong(format!("the environment variable {variable} makes no URL")))
}

/// The credentials of an ECS or EKS container; `None` outside of one.
pub(super) async fn container(environment: &Environment) -> Result<Option<Credentials>, Error> {
    let (relative, full) = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let url = match (environment.variable(relative), environment.variable(full)) {
        (Some(path), _) => parse(&format!("{CONTAINER}{path}"), relative)?,
        (None, Some(url)) => parse(&url, full)?,
        (None, None) => return Ok(None),
    };
    if url.scheme() != "https" && !is_near(&url) {
        return Err(wrong(format!("{full} must be https, or be on this machine, since a token goes there")));
    }
    let token = match environment.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => Some(read_token("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file)?),
        None => environment.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    };
    let headers: Vec<(&str, &str)> = token.iter().map(|token| ("authorization", token.as_str())).collect();
    let answer = ask(&url, request("GET", &url, &headers, Bytes::new())?, PATIENCE).await?;
    Given::read(&answer, "the container's service").map(Some)
}

fn is_near(url: &Url) -> bool {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(name)) => return name == "localhost",
        None => return false,
    };
    address.is_loopback() || CONTAINER_ADDRESSES.contains(&address.to_string().as_str())
}

/// The credentials of an EC2 instance, by the second version of its metadata service; `None`
/// where there is no such service, or no role. `is_there` where it is known to be one.
pub(super) async fn instance(
    environment: &Environment,
    is_there: bool,
) -> Result<Option<Credentials>, Error> {
    let is_off = environment.variable("AWS_EC2_METADATA_DISABLED");
    if is_off.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    let base = environment.variable(variable).unwrap_or_else(|| INSTANCE.to_owned());
    let url = |path: &str| parse(&format!("{}{path}", base.trim_end_matches('/')), variable);
    let fetch = |method: &'static str, path: String, headers: Vec<(&'static str, String)>| async move {
        let url = url(&path)?;
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        ask(&url, request(method, &url, &headers, Bytes::new())?, PATIENCE_NEAR).await
    };
    let lifetime = vec![("x-aws-ec2-metadata-token-ttl-seconds", "21600".to_owned())];
    let token = match fetch("PUT", "/latest/api/token".to_owned(), lifetime).await {
        Ok(token) if token.is_passing() => return Err(unusable(INSTANCES, &token)),
        Ok(token) if !token.status.is_success() => return Ok(None),
        Ok(token) => token,
        // Elsewhere than on an instance nobody is there.
        Err(_) if !is_there => return Ok(None),
        Err(error) => return Err(error),
    };
    let token = String::from_utf8_lossy(&token.body).trim().to_owned();
    let headers = || vec![("x-aws-ec2-metadata-token", token.clone())];
    let roles = "/latest/meta-data/iam/security-credentials/";
    let role = fetch("GET", roles.to_owned(), headers()).await?;
    if role.is_passing() {
        return Err(unusable(INSTANCES, &role));
    }
    let name = String::from_utf8_lossy(&role.body).lines().next().unwrap_or_default().trim().to_owned();
    if !role.status.is_success() || name.is_empty() {
        return Ok(None);
    }
    let answer = fetch("GET", format!("{roles}{name}"), headers()).await?;
    Given::read(&answer, INSTANCES).map(Some)
}

/// What a role is taken on with.
pub(super) struct WebIdentity {
    pub token_file: String,
    pub role: String,
    pub session: Option<String>,
}

/// Takes on a role by `AssumeRoleWithWebIdentity`.
pub(super) async fn web_identity(
    environment: &Environment,
    region: &str,
    identity: WebIdentity,
) -> Result<Credentials, Error> {
    let token = read_token("AWS_WEB_IDENTITY_TOKEN_FILE", &identity.token_file)?;
    let url = security_tokens(environment, region)?;
    let body = Serializer::new(String::new())
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", &identity.role)
        .append_pair("RoleSessionName", identity.session.as_deref().unwrap_or(SESSION))
        .append_pair("WebIdentityToken", &token)
        .finish();
    let headers = [("content-type", FORM)];
    let answer = ask(&url, request("POST", &url, &headers, body.into())?, PATIENCE).await?;
    assumed(&answer, "this web identity take on the role of AWS_ROLE_ARN")
}

/// The session that a role is taken on for, unless another one is given.
pub(super) const SESSION: &str = "deepstream-connector";

/// The kind of body that the Security Token Service takes.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// Where the Security Token Service is.
pub(super) fn security_tokens(environment: &Environment, region: &str) -> Result<Url, Error> {
    let variable = "AWS_ENDPOINT_URL_STS";
    let base =
        environment.variable(variable).unwrap_or_else(|| format!("https://sts.{region}.{}", domain(region)));
    parse(&base, variable)
}

/// What the Security Token Service says to whoever wants to take on a role; `what` that was.
pub(super) fn assumed(answer: &Answer, what: &str) -> Result<Credentials, Error> {
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status.is_client_error() {
        let code = element(&text, "Code").unwrap_or("no reason");
        if PASSING.contains(&code) {
            return Err(Error::connection(format!("the Security Token Service is in trouble ({code})")));
        }
        return Err(Error::new(ErrorCode::Authentication, format!("AWS does not let {what} ({code})")));
    }
    let part = |name: &str| element(&text, name).map(str::to_owned);
    let keys = (part("AccessKeyId"), part("SecretAccessKey"), part("SessionToken"));
    let (Some(access_key), Some(secret_key), token) = keys else {
        return Err(unusable("the Security Token Service", answer));
    };
    let expires = element(&text, "Expiration").and_then(Moment::parse);
    Ok(Credentials { access_key, secret_key, token, expires })
}

/// What it refuses for a while, with a status of 400.
const PASSING: [&str; 4] =
    ["Throttling", "ThrottlingException", "RequestLimitExceeded", "IDPCommunicationError"];

/// The domain of AWS's services in a region.
pub(in crate::backends::dynamodb) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

/// What stands in an XML element of which there is one and that has no markup inside.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.trim())
}

fn read_token(variable: &str, file: &str) -> Result<String, Error> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(wrong(format!("the file of {variable} cannot be read ({})", error.kind()))),
    }
}
