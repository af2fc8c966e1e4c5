//! Redis Sentinel: one primary at a time, and sentinels that say which
//! (<https://redis.io/docs/latest/develop/reference/sentinel-clients/>).
//!
//! The primary is the one that the sentinels' newest configuration names, and that says of
//! itself that it is one. When they name another, the connection ends at once, so that a
//! primary that hangs, or comes back, is not written to any more; what was unanswered is sent
//! again to the new one. It ends too when they begin to replace the primary: what that one
//! takes while a replica is promoted would be lost, `WAIT` or not.

mod lookout;

use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::{select, BoxFuture, Either, FutureExt};
use redis::Value;

pub(super) use self::lookout::Lookout;
use self::lookout::{Sentinels, Sighting};
use super::address::Address;
use super::decode::Reply;
use super::layout::Layout;
use super::readers::{Marks, ROLE};
use super::replicas::Replicas;
use super::single::{description, Session};
use super::wire::Wire;
use super::{options, Plan};
use crate::config::{wrong, Settings};
use crate::core::{Backend, Description, Error, ErrorCode, Link};
use crate::net::fleet::Timing;
use crate::net::pipeline::while_alive;
use crate::net::stream;

const DEFAULT_PORT: u16 = 26_379;

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    options::only_sentinels(settings)?;
    let name = settings.text("name").ok_or_else(|| {
        wrong("the option \"sentinels\" needs \"name\" beside it, the name under which the sentinels know the primary")
    })?;
    let sentinel = Address::from_settings(&options::of_sentinels(settings))
        .map_err(|error| wrong(format!("for the sentinels: {}", error.message())))?;
    let addresses = settings
        .servers("sentinels")
        .into_iter()
        .map(|server| match server.weight {
            Some(_) => Err(wrong("sentinels have no weights; give \"sentinels\" as a list")),
            None => sentinel.at(&server.host, server.port.unwrap_or(DEFAULT_PORT)),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(Sentinel {
        sentinels: Sentinels { addresses, name: name.to_owned(), options: settings.engine() },
        login: Address::from_settings(settings)?,
        plan: Plan::from_settings(settings, Layout::plain(settings)),
        reading: options::from_replicas(settings)
            .then(|| (Timing::from_options(&settings.engine()), Marks::default())),
        seen: AtomicI64::new(0),
    }))
}

struct Sentinel {
    sentinels: Sentinels,
    /// The login at the primary, wherever it is.
    login: Address,
    plan: Plan,
    /// How reads go to replicas, if they do.
    reading: Option<(Timing, Marks)>,
    /// The newest configuration that any connection followed.
    seen: AtomicI64,
}

#[async_trait]
impl Backend for Sentinel {
    fn describe(&self) -> Description {
        description(format!("the Redis primary \"{}\"", self.sentinels.name))
    }

    async fn connect(&self) -> Result<Link, Error> {
        let (lookout, watching) = Lookout::start(&self.sentinels);
        let mut watching: BoxFuture<'static, Error> = Box::pin(watching.map(|never| match never {}));
        let (found, primary) = while_alive(&mut watching, self.find_primary(&lookout)).await?;
        self.seen.fetch_max(primary.epoch, Ordering::Relaxed);
        let Found { wire, mut lifeline, role } = found;
        let mut session = Session::new(wire, self.plan.clone()).watched_by(Arc::clone(&lookout));
        if let Some((timing, marks)) = &self.reading {
            let (replicas, run) = Replicas::followers(&self.login, &role, *timing, marks);
            session = session.reading_from(replicas);
            lifeline = Box::pin(select(lifeline, Box::pin(run)).map(|end| end.factor_first().0));
        }
        let switch = async move {
            lookout.left(&primary).await;
            let place = stream::in_words(&primary.host, primary.port);
            Error::connection(format!("the sentinels replace the primary {place}"))
        };
        let lifeline = async move {
            let held = select(lifeline, watching).map(|end| end.factor_first().0);
            select(Box::pin(switch), Box::pin(held)).await.factor_first().0
        };
        Ok(Link { connection: Arc::new(session), lifeline: Box::pin(lifeline) })
    }
}

/// A connection to a primary.
struct Found {
    wire: Wire,
    lifeline: BoxFuture<'static, Error>,
    /// What it says of itself and of its replicas, if we may ask.
    role: Reply,
}

impl Sentinel {
    /// Connects to the primary, and to another one if the sentinels change their minds while
    /// it does not answer.
    async fn find_primary(&self, lookout: &Lookout) -> Result<(Found, Sighting), Error> {
        let mut primary = lookout.primary(self.seen.load(Ordering::Relaxed)).await?;
        loop {
            let first = {
                let attempt = self.connect_to(&primary).map(Either::Left);
                let switch = lookout.left(&primary).map(Either::Right);
                select(pin!(attempt), pin!(switch)).await.factor_first().0
            };
            match first {
                Either::Left(result) => return result.map(|found| (found, primary)),
                Either::Right(()) => primary = lookout.primary(self.seen.load(Ordering::Relaxed)).await?,
            }
        }
    }

    async fn connect_to(&self, primary: &Sighting) -> Result<Found, Error> {
        let (wire, mut lifeline) = self.login.at(&primary.host, primary.port)?.connect().await?;
        match while_alive(&mut lifeline, ask_role(&wire)).await? {
            Some(role) => Ok(Found { wire, lifeline, role }),
            None => {
                let place = stream::in_words(&primary.host, primary.port);
                Err(Error::connection(format!("{place} is no primary yet, or no more")))
            }
        }
    }
}

/// A primary's word; `None` where it is none.
async fn ask_role(wire: &Wire) -> Result<Option<Reply>, Error> {
    let reply = match wire.ask(ROLE.to_vec(), 0).await {
        Ok(reply) => reply,
        // A user who may not ask; a replica would refuse the first write.
        Err(error) if error.code() == ErrorCode::Backend && error.message().contains("NOPERM") => {
            return Ok(Some(Reply::Value(Value::Nil)));
        }
        Err(error) => return Err(error),
    };
    let is_primary = matches!(&reply, Reply::Value(Value::Array(parts))
        if matches!(parts.first(), Some(Value::BulkString(role)) if role == b"master"));
    Ok(is_primary.then_some(reply))
}
