//! What the sentinels say, all of them asked and listened to at once.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, select, Either, FutureExt};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::super::address::Address;
use super::super::decode::Reply;
use super::super::replies::unexpected;
use super::super::wire::{all_well, Wire};
use crate::config::wrong;
use crate::core::{Backoff, EngineOptions, Error, ErrorCode};
use crate::net::pipeline::while_alive;

/// How long the first sentinel that answers waits for the others, which may know more.
const GRACE: Duration = Duration::from_millis(200);

/// What a sentinel says when it begins to replace a primary, when it gives that up, and when
/// there is another one; see <https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#pubsub-messages>.
const CHANNELS: [&str; 5] = [
    "+try-failover",
    "-failover-abort-not-elected",
    "-failover-abort-no-good-slave",
    "-failover-abort-slave-timeout",
    "+switch-master",
];

/// Who is to be asked for what.
pub(super) struct Sentinels {
    pub addresses: Vec<Address>,
    /// The primary's name.
    pub name: String,
    pub options: EngineOptions,
}

/// Where a sentinel sees the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    /// The configuration's number; each failover makes a higher one.
    pub epoch: i64,
    pub host: String,
    pub port: u16,
    /// This sentinel is about to make another server the primary. What is written meanwhile
    /// may be lost, whatever the other replicas say.
    pub is_leaving: bool,
}

/// The sentinels' words.
pub(in super::super) struct Lookout {
    /// For each sentinel what it said last, or why it says nothing.
    reports: Mutex<Vec<Option<Result<Sighting, Error>>>>,
    news: Notify,
}

impl Lookout {
    /// Begins to watch. The future does the work.
    pub(super) fn start(sentinels: &Sentinels) -> (Arc<Lookout>, impl Future<Output = Infallible> + Send) {
        let reports = Mutex::new(vec![None; sentinels.addresses.len()]);
        let lookout = Arc::new(Lookout { reports, news: Notify::new() });
        let posts: Vec<_> = sentinels
            .addresses
            .iter()
            .enumerate()
            .map(|(index, address)| {
                let post = Post {
                    lookout: Arc::clone(&lookout),
                    index,
                    address: address.clone(),
                    name: sentinels.name.clone(),
                    patience: sentinels.options.connect_timeout.mul_f64(0.5),
                };
                let pauses =
                    Backoff::new(sentinels.options.reconnect_delay, sentinels.options.reconnect_max_delay);
                Box::pin(post.hold(pauses))
            })
            .collect();
        let all = join_all(posts).then(|_| std::future::pending());
        (lookout, all)
    }

    /// Where the primary is, by the newest configuration. One that is older than `seen` counts
    /// only when all sentinels agree: it is that of a sentinel that was cut off. While it is
    /// being replaced there is none.
    ///
    /// # Errors
    /// Nobody knows.
    pub(super) async fn primary(&self, seen: i64) -> Result<Sighting, Error> {
        let stays = |reports: &Reports| !sightings(reports).any(|sighting| sighting.is_leaving);
        self.wait_for(|reports| sightings(reports).next().is_some() || reports.iter().all(Option::is_some))
            .await;
        let all = Box::pin(self.wait_for(|reports| reports.iter().all(Option::is_some)));
        select(all, Box::pin(sleep(GRACE))).await;
        self.wait_for(stays).await;
        let reports = self.reports();
        let newest = sightings(&reports).max_by_key(|sighting| sighting.epoch);
        match newest {
            Some(sighting) if sighting.epoch >= seen || reports.iter().all(is_ok) => Ok(sighting.clone()),
            Some(_) => Err(Error::connection("the sentinels that answer know an older primary alone")),
            None => Err(reason(&reports)),
        }
    }

    /// Waits until the primary is to be replaced, or a newer configuration names another one.
    pub(super) async fn left(&self, primary: &Sighting) {
        self.wait_for(|reports| {
            sightings(reports).any(|sighting| sighting.is_leaving || is_newer(sighting, primary))
        })
        .await;
    }

    /// Whether a timer runs until some sentinel is tried again.
    pub fn waits_for_timer(&self) -> bool {
        !self.reports().iter().all(is_ok)
    }

    async fn wait_for(&self, enough: impl Fn(&Reports) -> bool) {
        while !enough(&self.reports()) {
            self.news.notified().await;
        }
    }

    fn report(&self, index: usize, report: Result<Sighting, Error>) {
        if let Some(place) = self.reports().get_mut(index) {
            *place = Some(report);
        }
        self.news.notify_one();
    }

    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Reports = Vec<Option<Result<Sighting, Error>>>;

fn is_ok(report: &Option<Result<Sighting, Error>>) -> bool {
    matches!(report, Some(Ok(_)))
}

fn sightings(reports: &Reports) -> impl Iterator<Item = &Sighting> {
    reports.iter().flatten().filter_map(|report| report.as_ref().ok())
}

fn is_newer(sighting: &Sighting, than: &Sighting) -> bool {
    sighting.epoch > than.epoch && (&sighting.host, sighting.port) != (&than.host, than.port)
}

/// The error that says the most: what waiting does not mend.
fn reason(reports: &Reports) -> Error {
    let errors = || reports.iter().flatten().filter_map(|report| report.as_ref().err());
    errors()
        .find(|error| error.code() != ErrorCode::Unavailable)
        .or_else(|| errors().next())
        .cloned()
        .unwrap_or_else(|| Error::connection("no sentinel answers"))
}

/// One sentinel that is asked and listened to, again and again.
struct Post {
    lookout: Arc<Lookout>,
    index: usize,
    address: Address,
    name: String,
    patience: Duration,
}

impl Post {
    async fn hold(self, mut pauses: Backoff) -> Infallible {
        loop {
            match self.listen().await {
                Ok(()) => pauses.reset(),
                Err(error) => {
                    self.lookout.report(self.index, Err(self.in_context(&error)));
                    sleep(pauses.next()).await;
                }
            }
        }
    }

    fn in_context(&self, error: &Error) -> Error {
        let (place, message) = (self.address.in_words(), error.message());
        match error.code() {
            ErrorCode::Authentication => Error::new(
                ErrorCode::Authentication,
                format!("the sentinel {place} refused the login; see the options \"sentinelUsername\" and \"sentinelPassword\""),
            ),
            ErrorCode::Configuration => wrong(format!("the sentinel {place}: {message}")),
            _ => Error::connection(format!("the sentinel {place}: {message}")),
        }
    }

    /// Asks once, and returns when there is something new to ask for.
    async fn listen(&self) -> Result<(), Error> {
        let (wire, mut lifeline) = self.in_time(self.address.connect()).await?;
        while_alive(&mut lifeline, self.converse(&wire)).await
    }

    /// Both questions go together, so that no switch is between them.
    async fn converse(&self, wire: &Wire) -> Result<(), Error> {
        let mut questions = redis::cmd("SENTINEL").arg("MASTER").arg(&self.name).get_packed_command();
        questions.extend(redis::cmd("SUBSCRIBE").arg(&CHANNELS).get_packed_command());
        let answers = Box::pin(self.in_time(wire.ask_each(questions, 1 + CHANNELS.len())));
        // What nobody asks for is an answer too many, so that there is always a question.
        let message = Box::pin(wire.ask_each(Vec::new(), 1));
        let (answers, mut message) = match select(answers, message).await {
            Either::Left((answers, message)) => (answers?, message),
            Either::Right((result, _)) => return result.and(Err(unexpected())),
        };
        let mut answers = answers.into_iter();
        let master = answers.next().ok_or_else(unexpected)?.into_result().map_err(unknown)?;
        all_well(answers.collect())?;
        self.lookout.report(self.index, Ok(read_master(&master).ok_or_else(unexpected)?));
        loop {
            let said = all_well(message.await?)?;
            if names(&said, &self.name) {
                return Ok(());
            }
            message = Box::pin(wire.ask_each(Vec::new(), 1));
        }
    }

    async fn in_time<R>(&self, work: impl Future<Output = Result<R, Error>>) -> Result<R, Error> {
        let late = || Error::connection(format!("no answer within {} ms", self.patience.as_millis()));
        timeout(self.patience, work).await.unwrap_or_else(|_| Err(late()))
    }
}

fn unknown(error: Error) -> Error {
    match error.message().contains("No such master") {
        true => wrong("there is no primary of that name; see the option \"name\""),
        false => error,
    }
}

/// Reads the answer to `SENTINEL MASTER`, names and values in turn.
fn read_master(reply: &Reply) -> Option<Sighting> {
    let Reply::Strings(parts) = reply else { return None };
    let find = |name: &str| {
        let mut pairs = parts.chunks_exact(2);
        let value = pairs.find_map(|pair| match pair {
            [Some(key), Some(value)] if key == name => Some(value),
            _ => None,
        })?;
        std::str::from_utf8(value).ok()
    };
    Some(Sighting {
        epoch: find("config-epoch")?.parse().ok()?,
        host: find("ip")?.to_owned(),
        port: find("port")?.parse().ok()?,
        is_leaving: find("flags")?.split(',').any(|flag| flag == "failover_in_progress"),
    })
}

/// Whether a message is about that primary: `message`, the channel, and `name …` of a switch or
/// `master name …` of what comes before.
fn names(message: &Reply, name: &str) -> bool {
    let Reply::Strings(parts) = message else { return false };
    let [Some(_), Some(_), Some(words)] = &parts[..] else { return false };
    let mut words = Bytes::as_ref(words).split(|byte| *byte == b' ');
    let first = words.next();
    let about = if first == Some(b"master") { words.next() } else { first };
    about == Some(name.as_bytes()) || first == Some(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use futures_util::future::join;

    use super::super::super::decode::Decoder;
    use super::*;

    fn reply(words: &[&str]) -> Reply {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text += &format!("${}\r\n{word}\r\n", word.len());
        }
        Decoder::default().next(&mut BytesMut::from(text.as_str())).unwrap().unwrap()
    }

    #[test]
    fn a_primary_is_read() {
        let master =
            ["name", "m", "ip", "10.0.0.1", "port", "6379", "flags", "s_down,master", "config-epoch", "7"];
        let expected = Sighting { epoch: 7, host: "10.0.0.1".into(), port: 6379, is_leaving: false };
        assert_eq!(read_master(&reply(&master)), Some(expected.clone()));
        let leaving =
            master.map(|word| if word == "s_down,master" { "master,failover_in_progress" } else { word });
        assert_eq!(read_master(&reply(&leaving)), Some(Sighting { is_leaving: true, ..expected }));
        assert_eq!(read_master(&reply(&master[..6])), None);
        assert_eq!(read_master(&reply(&["ip", "x", "port", "99999", "config-epoch", "1"])), None);
    }

    #[test]
    fn a_message_names_its_primary() {
        let message = |text| reply(&["message", "+channel", text]);
        assert!(names(&message("m 1.1.1.1 1 2.2.2.2 2"), "m"));
        assert!(names(&message("master m 1.1.1.1 1"), "m"));
        assert!(names(&message("master 1.1.1.1 1 2.2.2.2 2"), "master"));
        assert!(!names(&message("m2 1.1.1.1 1 2.2.2.2 2"), "m"));
        assert!(!names(&reply(&["m"]), "m"));
    }

    fn lookout(reports: Reports) -> Lookout {
        Lookout { reports: Mutex::new(reports), news: Notify::new() }
    }

    fn sighting(epoch: i64) -> Sighting {
        Sighting { epoch, host: format!("h{epoch}"), port: 1, is_leaving: false }
    }

    fn block_on<R>(work: impl Future<Output = R>) -> R {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn the_newest_configuration_counts() {
        let known = lookout(vec![Some(Ok(sighting(1))), Some(Ok(sighting(3))), Some(Err(unexpected()))]);
        assert_eq!(block_on(known.primary(2)).unwrap(), sighting(3));
        assert!(block_on(known.primary(4)).unwrap_err().message().contains("older"));
        assert!(known.left(&sighting(2)).now_or_never().is_some());
        let same = Sighting { epoch: 2, ..sighting(3) };
        assert!(known.left(&same).now_or_never().is_none(), "the place is the same");
        let new = lookout(vec![Some(Ok(sighting(1)))]);
        assert_eq!(block_on(new.primary(4)).unwrap(), sighting(1), "all agree");
    }

    #[test]
    fn a_primary_that_is_being_replaced_is_none() {
        let leaving = Sighting { is_leaving: true, ..sighting(1) };
        let known = lookout(vec![Some(Ok(sighting(1))), Some(Ok(leaving))]);
        assert!(known.left(&sighting(1)).now_or_never().is_some());
        block_on(async {
            let next = async {
                sleep(Duration::from_millis(20)).await;
                known.report(1, Ok(sighting(2)));
            };
            assert_eq!(join(known.primary(1), next).await.0.unwrap(), sighting(2));
        });
    }

    #[test]
    fn what_waiting_does_not_mend_is_the_reason() {
        let error = || Some(Err(Error::connection("away")));
        let dead = lookout(vec![error(), Some(Err(wrong("no such name"))), error()]);
        assert_eq!(block_on(dead.primary(0)).unwrap_err().code(), ErrorCode::Configuration);
        assert_eq!(block_on(lookout(vec![error()]).primary(0)).unwrap_err().message(), "away");
    }
}
