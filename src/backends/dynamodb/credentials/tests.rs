//! The chain, with files and small services in the places of AWS's.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::core::ErrorCode;

const GIVEN: &str =
    r#"{"AccessKeyId":"A","SecretAccessKey":"S","Token":"T","Expiration":"2999-01-01T00:00:00Z"}"#;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A service that answers each request, head and body together, with a status and a body.
async fn service(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let request = read_request(&mut stream).await;
                let (status, body) = answer(&request);
                let head = format!(
                    "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all((head + &body).as_bytes()).await;
            });
        }
    });
    url
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        seen.push(byte);
        let text = String::from_utf8_lossy(&seen).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break;
        }
    }
    String::from_utf8(seen).unwrap()
}

async fn search(variables: &[(&str, &str)], profile: Option<&str>) -> Result<Credentials, Error> {
    let mut all = vec![("HOME", "/nowhere"), ("AWS_EC2_METADATA_DISABLED", "true")];
    all.extend(variables);
    chain::search(&Environment::of(&all), profile, "eu-central-1").await
}

fn in_words(found: &Credentials) -> String {
    format!("{} {} {:?}", found.access_key, found.secret_key, found.token)
}

#[test]
fn the_environment_comes_first() {
    let variables = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "S"), ("AWS_SESSION_TOKEN", "T")];
    let found = runtime().block_on(search(&variables, None)).map_err(|error| error.to_string()).unwrap();
    assert_eq!(in_words(&found), "A S Some(\"T\")");
}

#[test]
fn profiles_are_found_in_both_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let credentials = file(
        "credentials",
        "[default]\naws_access_key_id = A\naws_secret_access_key = S\n[half]\naws_access_key_id = B\n",
    );
    let config = file(
        "config",
        "[default]\nregion = us-west-2\n[profile half]\naws_secret_access_key = H\nregion = eu-west-3\n[profile role]\nrole_arn = arn\nsource_profile = default\n",
    );
    let files = [("AWS_SHARED_CREDENTIALS_FILE", credentials.as_str()), ("AWS_CONFIG_FILE", config.as_str())];
    let find = |profile: Option<&str>, more: &[(&str, &str)]| {
        let found = runtime().block_on(search(&[&files[..], more].concat(), profile));
        found.map(|found| in_words(&found)).map_err(|error| error.message().to_owned())
    };
    assert_eq!(find(None, &[]).unwrap(), "A S None");
    assert_eq!(find(Some("half"), &[]).unwrap(), "B H None");
    assert_eq!(find(None, &[("AWS_PROFILE", "half")]).unwrap(), "B H None");
    // A profile that is asked for wins over the environment.
    let keys = [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "E")];
    assert_eq!(find(Some("half"), &keys).unwrap(), "B H None");
    assert_eq!(find(None, &keys).unwrap(), "E E None");
    assert!(find(Some("nobody"), &[]).unwrap_err().contains("\"nobody\""));
    assert!(find(Some("role"), &[]).unwrap_err().contains("\"role_arn\", which is not supported"));
    let region = |profile: Option<&str>, more: &[(&str, &str)]| {
        region(&Environment::of(&[&files[..], more].concat()), profile)
    };
    assert_eq!(region(None, &[]).as_deref(), Some("us-west-2"));
    assert_eq!(region(Some("half"), &[("AWS_REGION", "x")]).as_deref(), Some("eu-west-3"));
    assert_eq!(region(None, &[("AWS_DEFAULT_REGION", "x")]).as_deref(), Some("x"));
}

#[test]
fn a_container_gives_credentials_to_its_token_alone() {
    runtime().block_on(async {
        let url = service(|request| match request.contains("authorization: secret token\r\n") {
            true => (200, GIVEN.to_owned()),
            false => (403, String::new()),
        })
        .await;
        let url = format!("{url}/credentials?id=7");
        let container = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str());
        let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "secret token");
        let found = search(&[container, token], None).await.map_err(|error| error.to_string()).unwrap();
        assert_eq!(in_words(&found), "A S Some(\"T\")");
        assert!(!found.is_stale());
        let error = search(&[container], None).await.err().expect("the token is missing");
        assert!(error.message().contains("status 403"), "{error}");
        // The token goes nowhere unprotected but within the machine.
        let far = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/x");
        let error = search(&[far, token], None).await.err().expect("it is far");
        assert_eq!(error.code(), ErrorCode::Configuration);
        assert!(!error.message().contains("secret token"), "{error}");
    });
}

#[test]
fn an_instance_gives_credentials_by_the_second_version_of_its_service() {
    runtime().block_on(async {
        let url = service(|request| {
            let has_token = request.contains("x-aws-ec2-metadata-token: IMDS\r\n");
            match request.split(' ').nth(1) {
                Some("/latest/api/token") if request.starts_with("PUT ") => (200, "IMDS".into()),
                Some("/latest/meta-data/iam/security-credentials/") if has_token => (200, "role\n".into()),
                Some("/latest/meta-data/iam/security-credentials/role") if has_token => (200, GIVEN.into()),
                _ => (401, String::new()),
            }
        })
        .await;
        let instance = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str());
        let on = ("AWS_EC2_METADATA_DISABLED", "false");
        let found = search(&[instance, on], None).await.map_err(|error| error.to_string()).unwrap();
        assert_eq!(in_words(&found), "A S Some(\"T\")");
        let none = service(|_| (404, String::new())).await;
        let error = search(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &none), on], None)
            .await
            .err()
            .expect("there is no role");
        assert_eq!(error.code(), ErrorCode::Authentication);
        assert!(error.message().contains("accessKeyId"), "{error}");
    });
}

#[test]
fn a_web_identity_takes_on_a_role() {
    runtime().block_on(async {
        let url = service(|request| match request.contains("WebIdentityToken=good%2Btoken") {
            true => (
                200,
                "<R><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>S/+=</SecretAccessKey>\
                 <SessionToken>T</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></R>"
                    .into(),
            ),
            false => (403, "<E><Error><Code>InvalidIdentityToken</Code></Error></E>".into()),
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let find = |token: &'static str| {
            let file = folder.path().join(token.replace('+', "-"));
            fs::write(&file, format!("{token}\n")).unwrap();
            let (file, url) = (file.to_str().unwrap().to_owned(), url.clone());
            async move {
                let role = ("AWS_ROLE_ARN", "arn:aws:iam::1:role/x");
                let variables =
                    [("AWS_WEB_IDENTITY_TOKEN_FILE", file.as_str()), role, ("AWS_ENDPOINT_URL_STS", &url)];
                search(&variables, None).await
            }
        };
        let found = find("good+token").await.map_err(|error| error.to_string()).unwrap();
        assert_eq!(in_words(&found), "A S/+= Some(\"T\")");
        let error = find("hunter2").await.err().expect("it is refused");
        assert_eq!(error.code(), ErrorCode::Authentication);
        assert!(error.message().contains("InvalidIdentityToken") && !error.message().contains("hunter2"), "{error}");
    });
}

#[test]
fn credentials_are_fetched_again_before_they_expire_and_when_they_are_refused() {
    runtime().block_on(async {
        let fetched = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&fetched);
        let url = service(move |_| {
            let number = counter.fetch_add(1, Ordering::SeqCst);
            let expires = if number == 0 { "2000-01-01T00:00:00Z" } else { "2999-01-01T00:00:00Z" };
            (200, GIVEN.replace("2999-01-01T00:00:00Z", expires))
        })
        .await;
        let environment =
            Environment::of(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url), ("HOME", "/nowhere")]);
        let provider =
            Provider::new(Source::Chain { environment, profile: None, region: "eu-central-1".into() });
        for expected in [1, 2, 2, 2] {
            assert!(provider.current().await.is_ok());
            assert_eq!(fetched.load(Ordering::SeqCst), expected);
        }
        provider.forget().await;
        assert!(provider.current().await.is_ok());
        assert_eq!(fetched.load(Ordering::SeqCst), 3);
    });
}
