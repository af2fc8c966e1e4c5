//! One connection: logging in, prepared statements, and what may be left of it in the server.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{join, join3, BoxFuture};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::NoTls;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Connection, Error as Failure, Row};

use super::news::News;
use super::noise::noise;
use super::options::{Options, Server};
use super::prepared::{Parameter, Prepared, Query, Use};
use super::renamed::Renamed;
use super::tls::Connector;
use super::{failure, statements};
use crate::config::wrong;
use crate::core::Error;
use crate::net::pipeline::while_alive;
use crate::net::stream::{self, Stream};
use crate::net::traffic::Traffic;

/// The first version with `ON CONFLICT`.
const OLDEST_SERVER: i32 = 90_500;

/// Between two looks at a session that was told to end.
const FENCE_PAUSE: Duration = Duration::from_millis(20);

/// A connection's own work; it ends when the connection does.
pub(super) type Driver = BoxFuture<'static, Error>;

/// What outlives connections: sessions that broke while they wrote, who listens to what, and how
/// many bytes moved.
#[derive(Default)]
pub(super) struct Estate {
    orphans: Mutex<Vec<Identity>>,
    pub news: Arc<News>,
    /// What moves on all connections.
    pub traffic: Traffic,
}

impl Estate {
    fn orphans(&self) -> MutexGuard<'_, Vec<Identity>> {
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which session of the server it is. The name is no other's: nobody else has its number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    process: i32,
    name: String,
}

/// A session.
pub(super) struct Session {
    pub client: Client,
    prepared: Mutex<Prepared>,
    /// As far as it can be told.
    identity: Option<Identity>,
    /// Whether it is the same session of the server all the time, and nobody else's.
    pub is_ours: bool,
    is_writing: AtomicBool,
    estate: Arc<Estate>,
}

impl Session {
    /// Connects to the first server that takes writes.
    pub async fn open(options: &Arc<Options>, estate: &Arc<Estate>) -> Result<(Session, Driver), Error> {
        let mut failures = Vec::new();
        let mut servers: Vec<&Server> = options.servers.iter().collect();
        if options.is_shuffled {
            servers = shuffled(servers)?;
        }
        for server in servers {
            for way in &server.ways {
                let opening = Session::open_by(server, way.as_ref(), options, estate);
                match tokio::time::timeout(options.attempt_timeout, opening).await {
                    Ok(Ok(opened)) => return Ok(opened),
                    Ok(Err(error)) => failures.push(error),
                    Err(_) => {
                        failures.push(Error::connection(format!("{} does not answer", server.in_words())))
                    }
                }
            }
        }
        // That a server does no TLS is no news where it may be without.
        let told = failures.iter().position(|error| !failure::is_lack_of_tls(error)).unwrap_or(0);
        Err(failures.swap_remove(told))
    }

    async fn open_by(
        server: &Server,
        way: Option<&Connector>,
        options: &Arc<Options>,
        estate: &Arc<Estate>,
    ) -> Result<(Session, Driver), Error> {
        let stream = match server.socket() {
            Some(path) => stream::dial_unix(&path, &estate.traffic).await?,
            None => stream::dial(&server.host, server.port, None, &estate.traffic).await?,
        };
        let name = options.session_name()?;
        let (client, mut driver) = log_in(stream, way, &name, options, &estate.news).await?;
        let identity = while_alive(&mut driver, set_up(&client, name, options)).await?;
        let session = Session {
            client,
            prepared: Mutex::default(),
            identity,
            is_ours: options.prepared_statements,
            is_writing: AtomicBool::new(false),
            estate: Arc::clone(estate),
        };
        Ok((session, driver))
    }

    /// Ends what is left in the server of sessions that broke while they wrote: what they still
    /// write would come after what is sent again now. Where the server does not let us, there is no more to be done.
    pub async fn fence(&self) -> Result<(), Error> {
        let orphans = self.estate.orphans().clone();
        for orphan in orphans {
            loop {
                match self
                    .as_login(statements::FENCE, &orphan)
                    .await
                    .and_then(|row| row.try_get::<_, bool>(0))
                {
                    Ok(true) => tokio::time::sleep(FENCE_PAUSE).await,
                    Ok(false) => break,
                    Err(error) if error.as_db_error().is_some() => return Ok(()),
                    Err(error) => return Err(failure::of_connection(&error)),
                }
            }
            self.estate.orphans().retain(|other| *other != orphan);
        }
        Ok(())
    }

    /// Asks for nothing.
    pub async fn ping(&self) -> Result<(), Error> {
        self.client.batch_execute("").await.map_err(|error| failure::of_connection(&error))
    }

    /// Does something about a session of ours, with the rights of the role that logged in.
    async fn as_login(&self, sql: &str, about: &Identity) -> Result<Row, Failure> {
        let parameters: [Parameter<'_>; 2] = [(&about.process, Type::INT4), (&about.name, Type::TEXT)];
        // Sent at once, and answered in this order; after a failure all of it is rolled back.
        let (begun, row, ended) = join3(
            self.client.batch_execute(statements::BEGIN_AS_LOGIN),
            self.client.query_typed_one(sql, &parameters),
            self.client.batch_execute(statements::COMMIT),
        )
        .await;
        begun?;
        let row = row?;
        ended.map(|()| row)
    }

    /// Listens to channels.
    pub async fn listen(&self, channels: &[String], options: &Options) -> Result<(), Error> {
        if self.is_ours {
            let idle = self.client.batch_execute(statements::MAY_BE_IDLE).await;
            idle.map_err(|error| failure::of_connect(&error, options))?;
        }
        for channel in channels {
            let listening = self.client.batch_execute(&statements::listen(channel)).await;
            listening.map_err(|error| failure::of_connect(&error, options))?;
        }
        Ok(())
    }

    /// From now until `wrote` the server may be writing.
    pub fn writes(&self) {
        self.is_writing.store(true, Ordering::Relaxed);
    }

    /// Everything that was sent is answered.
    pub fn wrote(&self) {
        self.is_writing.store(false, Ordering::Relaxed);
    }

    /// A statement that is prepared once, unless it is sent whole each time.
    pub async fn prepare(&self, purpose: Use, sql: impl FnOnce() -> String) -> Result<Query, Failure> {
        if !self.is_ours {
            return Ok(Query::Whole(sql()));
        }
        if let Some(known) = self.prepared().find(&purpose) {
            return Ok(Query::Prepared(known));
        }
        let statement = self.client.prepare(&sql()).await?;
        self.prepared().keep(purpose, statement.clone());
        Ok(Query::Prepared(statement))
    }

    /// The rows that a statement gives.
    pub async fn query(&self, query: &Query, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Failure> {
        match query {
            Query::Prepared(statement) => self.client.query(statement, &values(parameters)).await,
            Query::Whole(sql) => self.client.query_typed(sql, parameters).await,
        }
    }

    /// Carries a statement out.
    pub async fn execute(&self, query: &Query, parameters: &[Parameter<'_>]) -> Result<(), Failure> {
        match query {
            Query::Prepared(statement) => self.client.execute(statement, &values(parameters)).await.map(drop),
            Query::Whole(sql) => self.client.execute_typed(sql, parameters).await.map(drop),
        }
    }

    /// Prepares everything again.
    pub fn forget(&self) {
        self.prepared().forget();
    }

    /// Cancels what another session is doing.
    pub async fn cancel(&self, other: &Session) -> Result<(), Failure> {
        match &other.identity {
            Some(identity) => self.as_login(statements::CANCEL, identity).await.map(drop),
            None => Ok(()),
        }
    }

    fn prepared(&self) -> MutexGuard<'_, Prepared> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shuffled(servers: Vec<&Server>) -> Result<Vec<&Server>, Error> {
    let numbered: Result<Vec<_>, Error> = servers.into_iter().map(|server| Ok((noise()?, server))).collect();
    let mut numbered = numbered?;
    numbered.sort_unstable_by_key(|(number, _)| *number);
    Ok(numbered.into_iter().map(|(_, server)| server).collect())
}

fn values<'a>(parameters: &[Parameter<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    parameters.iter().map(|(value, _)| *value).collect()
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.is_writing.load(Ordering::Relaxed) {
            self.estate.orphans().extend(self.identity.take());
        }
    }
}

async fn log_in(
    stream: Stream,
    way: Option<&Connector>,
    name: &str,
    options: &Arc<Options>,
    news: &Arc<News>,
) -> Result<(Client, Driver), Error> {
    let failed = |error| failure::of_connect(&error, options);
    let mut session = options.session.clone();
    session.application_name(name);
    if let Some(password) = &options.password {
        session.password(password.current().await?.as_bytes());
    }
    match way {
        None => {
            let (client, connection) = session
                .connect_raw(Renamed::new(stream, options.allowed.as_ref())?, NoTls)
                .await
                .map_err(failed)?;
            Ok((client, drive(connection, options, news)))
        }
        Some(connector) => {
            session.ssl_mode(SslMode::Require);
            let (client, connection) =
                session.connect_raw(stream, connector.clone()).await.map_err(failed)?;
            Ok((client, drive(connection, options, news)))
        }
    }
}

fn drive<S, T>(mut connection: Connection<S, T>, options: &Arc<Options>, news: &Arc<News>) -> Driver
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (options, news) = (Arc::clone(options), Arc::clone(news));
    Box::pin(poll_fn(move |cx| loop {
        match connection.poll_message(cx) {
            Poll::Ready(Some(Ok(AsyncMessage::Notification(notification)))) => {
                news.tell(notification.channel(), notification.payload());
            }
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => return Poll::Ready(failure::of_operation(&error, &options)),
            Poll::Ready(None) => {
                return Poll::Ready(Error::connection("the connection is not used any more"))
            }
            Poll::Pending => return Poll::Pending,
        }
    }))
}

/// Sees that the server is one to work with, and that there is a schema. Returns who the session is,
/// where its name says so.
async fn set_up(client: &Client, name: String, options: &Options) -> Result<Option<Identity>, Error> {
    let failed = |error| failure::of_connect(&error, options);
    // Both are sent at once: a connection is made in as few round trips as there can be.
    let sql = statements::set_up(options);
    let (done, row) = join(
        client.batch_execute(&sql),
        client.query_typed_one(statements::INTRODUCTION, &[(&options.schema, Type::TEXT)]),
    )
    .await;
    done.map_err(failed)?;
    let row = row.map_err(failed)?;
    // A pooler may keep the name to itself.
    let has_name = row.try_get::<_, &str>(1).map_err(failed)? == name;
    let process: i32 = row.try_get(0).map_err(failed)?;
    let version: i32 = row.try_get(3).map_err(failed)?;
    if version < OLDEST_SERVER {
        return Err(wrong(format!(
            "the server is PostgreSQL {}; 9.5 is the oldest that will do",
            version / 10_000
        )));
    }
    if row.try_get(2).map_err(failed)? {
        return Err(Error::connection("the server is a standby, which takes no writes"));
    }
    if !row.try_get::<_, bool>(4).map_err(failed)? {
        make_schema(client, options).await.map_err(failed)?;
    } else if statements::trigger_events(options.notifications).is_some() {
        make_trigger_function(client, options).await.map_err(failed)?;
    }
    // The process is as good as unknown where each transaction may have another one.
    let process = if options.prepared_statements { process } else { 0 };
    Ok((options.ends_sessions && has_name).then_some(Identity { process, name }))
}

/// Makes the schema and what is in it besides tables.
pub(super) async fn make_schema(client: &Client, options: &Options) -> Result<(), Failure> {
    match client.batch_execute(&statements::create_schema(&options.schema)).await {
        Err(error) if !failure::is_there_already(&error) => return Err(error),
        _ => {}
    }
    if statements::trigger_events(options.notifications).is_some() {
        make_trigger_function(client, options).await?;
    }
    Ok(())
}

async fn make_trigger_function(client: &Client, options: &Options) -> Result<(), Failure> {
    let schema: Parameter<'_> = (&options.schema, Type::TEXT);
    let there = client.query_typed_one(statements::TRIGGER_FUNCTION_EXISTS, &[schema]).await?;
    if there.try_get(0)? {
        return Ok(());
    }
    match client.batch_execute(&statements::trigger_function(&options.schema)).await {
        Err(error) if !failure::is_there_already(&error) => Err(error),
        _ => Ok(()),
    }
}
