//! The chain, with files and small services in the places of AWS's.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::backends::dynamodb::moment::Moment;
use crate::core::{Error, ErrorCode, Notice, Remedy};

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

fn chain_of(variables: &[(&str, &str)], profile: Option<&str>) -> Chain {
    Chain {
        environment: Environment::of(variables),
        profile: profile.map(str::to_owned),
        region: "eu-central-1".into(),
    }
}

async fn search(variables: &[(&str, &str)], profile: Option<&str>) -> Result<Credentials, Error> {
    let mut all = vec![("HOME", "/nowhere"), ("AWS_EC2_METADATA_DISABLED", "true")];
    all.extend(variables);
    chain_of(&all, profile).search(false).await
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
        "[default]\nregion = us-west-2\n[profile half]\naws_secret_access_key = H\nregion = eu-west-3\n[profile login]\nsso_session = x\n",
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
    assert!(find(Some("login"), &[]).unwrap_err().contains("\"sso_session\", which is not supported"));
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
        assert!(!found.have_expired());
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

/// What a service gives with credentials that are good for so many seconds, with this token.
fn good_for(seconds: u64, token: &str) -> String {
    let until = Moment(Moment::now().0 + seconds).compact();
    let part = |from: usize, to: usize| &until[from..to];
    let until = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(9, 11),
        part(11, 13),
        part(13, 15)
    );
    GIVEN.replace("2999-01-01T00:00:00Z", &until).replace("\"T\"", &format!("\"{token}\""))
}

/// A provider with the service of a container, which answers as the next of these says, and as the
/// last one from then on; and how often it was asked.
async fn provider(answers: Vec<(u16, String)>) -> (Arc<Provider>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let url = service(move |_| {
        let number = counter.fetch_add(1, Ordering::SeqCst);
        answers[number.min(answers.len() - 1)].clone()
    })
    .await;
    let chain = chain_of(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()), ("HOME", "/nowhere")], None);
    (Arc::new(Provider::new(Source::Chain(Arc::new(chain)))), asked)
}

async fn token(provider: &Provider) -> Result<String, Error> {
    Ok(provider.current().await?.token.clone().unwrap())
}

#[test]
fn one_renewal_serves_many_operations() {
    runtime().block_on(async {
        // They are about to expire, and there are no others yet.
        let (provider, asked) = provider(vec![(200, good_for(240, "A"))]).await;
        let all = futures_util::future::join_all((0..50).map(|_| token(&provider))).await;
        assert!(all.iter().all(|token| token.as_ref().is_ok_and(|token| token == "A")));
        for _ in 0..50 {
            assert_eq!(token(&provider).await.unwrap(), "A");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        // The next one comes by itself, ahead of time.
        let until = provider.wake_at().unwrap();
        let pause = until.saturating_duration_since(Instant::now());
        assert!(pause > Duration::from_secs(50) && pause < Duration::from_secs(120), "{pause:?}");
    });
}

#[test]
fn credentials_are_renewed_in_the_background_ahead_of_time() {
    runtime().block_on(async {
        let (provider, _) =
            provider(vec![(200, good_for(3, "A")), (503, String::new()), (200, good_for(900, "B"))]).await;
        assert_eq!(token(&provider).await.unwrap(), "A");
        // The host is told of the one that failed.
        let told = async {
            let mut told = Vec::new();
            let mut fresh = std::pin::pin!(provider.keep_fresh());
            while token(&provider).await.unwrap() == "A" {
                assert!(futures_util::future::poll_immediate(fresh.as_mut()).await.is_none());
                if let Poll::Ready(Notice::Warning(line)) = provider.poll_notice() {
                    told.push(line);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            told
        };
        let told = tokio::time::timeout(Duration::from_secs(20), told).await.expect("it is renewed");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("could not be renewed") && told[0].contains("503"), "{told:?}");
        assert_eq!(token(&provider).await.unwrap(), "B");
        let pause = provider.wake_at().unwrap().saturating_duration_since(Instant::now());
        assert!(pause > Duration::from_secs(580) && pause <= Duration::from_secs(600), "{pause:?}");
    });
}

#[test]
fn a_service_that_fails_takes_no_credentials_that_are_good() {
    runtime().block_on(async {
        let (provider, asked) = provider(vec![(200, good_for(240, "A")), (503, String::new())]).await;
        for _ in 0..50 {
            assert_eq!(token(&provider).await.unwrap(), "A");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        // Once they are refused, operations wait for others.
        assert!(provider.refuse(&provider.current().await.unwrap()));
        let error = token(&provider).await.unwrap_err();
        assert_eq!((error.code(), error.remedy()), (ErrorCode::Unavailable, Remedy::TryAgain), "{error}");
        assert!(error.is_of_server() && error.message().contains("503"), "{error}");
    });
}

#[test]
fn what_has_expired_is_used_where_nothing_else_is_to_be_had() {
    runtime().block_on(async {
        let (provider, asked) = provider(vec![(200, good_for(0, "A")), (503, String::new())]).await;
        for _ in 0..50 {
            assert_eq!(token(&provider).await.unwrap(), "A");
        }
        assert!(asked.load(Ordering::SeqCst) <= 2);
    });
}

#[test]
fn credentials_that_are_refused_are_searched_for_anew() {
    runtime().block_on(async {
        let (provider, asked) = provider(vec![(200, good_for(900, "A")), (200, good_for(900, "B"))]).await;
        let first = provider.current().await.unwrap();
        assert!(provider.refuse(&first));
        assert_eq!(token(&provider).await.unwrap(), "B");
        // Somebody else noticed that before.
        assert!(provider.refuse(&first));
        assert_eq!(token(&provider).await.unwrap(), "B");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        let options = Provider::new(Source::Options(Arc::clone(&first)));
        assert!(!options.refuse(&first));
    });
}

#[test]
fn an_instance_whose_service_fails_is_an_instance_still() {
    runtime().block_on(async {
        let ill = service(|_| (503, String::new())).await;
        let find = |url: &str, had_any: bool| {
            let chain = chain_of(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", url), ("HOME", "/nowhere")], None);
            async move { chain.search(had_any).await.err().expect("there are none") }
        };
        assert_eq!(find(&ill, false).await.remedy(), Remedy::Reconnect);
        // Where nobody listens there is no instance, unless it was one.
        let nobody = "http://127.0.0.1:1";
        assert_eq!(find(nobody, false).await.code(), ErrorCode::Authentication);
        assert_eq!(find(nobody, true).await.remedy(), Remedy::Reconnect);
    });
}

#[test]
fn a_profile_takes_on_its_role_with_the_keys_of_another() {
    runtime().block_on(async {
        let url = service(|request| {
            let good = ["Action=AssumeRole&", "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx&", "ExternalId=e&"];
            let signed = request.contains("Credential=A/") && request.contains("/eu-central-1/sts/");
            match good.iter().all(|part| format!("{request}&").contains(part)) && signed {
                true => (
                    200,
                    "<R><Credentials><AccessKeyId>R</AccessKeyId><SecretAccessKey>S</SecretAccessKey>\
                     <SessionToken>T</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></R>"
                        .into(),
                ),
                false => (403, "<E><Error><Code>AccessDenied</Code></Error></E>".into()),
            }
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let text = "[profile role]\nrole_arn = arn:aws:iam::1:role/x\nexternal_id = e\nsource_profile = keys\n\
                    [profile keys]\naws_access_key_id = A\naws_secret_access_key = S\n\
                    [profile itself]\nrole_arn = arn:aws:iam::1:role/x\nexternal_id = e\nsource_profile = itself\naws_access_key_id = A\naws_secret_access_key = S\n\
                    [profile other]\nrole_arn = y\nsource_profile = keys\n\
                    [profile a]\nrole_arn = y\nsource_profile = b\n[profile b]\nrole_arn = y\nsource_profile = a\n\
                    [profile none]\nrole_arn = y\n[profile lost]\nrole_arn = y\nsource_profile = nobody\n\
                    [profile code]\nrole_arn = y\nmfa_serial = z\nsource_profile = keys\n";
        fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let find = |profile: &'static str| {
            let variables = [("AWS_CONFIG_FILE", file), ("AWS_ENDPOINT_URL_STS", url.as_str())];
            async move { search(&variables, Some(profile)).await }
        };
        for profile in ["role", "itself"] {
            let found = find(profile).await.map_err(|error| error.to_string()).unwrap();
            assert_eq!(in_words(&found), "R S Some(\"T\")", "{profile}");
        }
        for (profile, code, words) in [
            ("other", ErrorCode::Authentication, "AccessDenied"),
            ("a", ErrorCode::Configuration, "needs itself"),
            ("none", ErrorCode::Configuration, "\"source_profile\""),
            ("lost", ErrorCode::Configuration, "\"nobody\""),
            ("code", ErrorCode::Configuration, "\"mfa_serial\""),
        ] {
            let error = find(profile).await.err().expect(profile);
            assert_eq!(error.code(), code, "{error}");
            assert!(error.message().contains(words), "{error}");
        }
    });
}
