//! Operations as requests, one for each record.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use hyper::Request;

use super::requests::{self, Requests};
use crate::core::{BatchResult, Connection, Error, ErrorCode, Key, Record, Remedy};
use crate::net::http::{Answer, Client, Doubt};

/// The service, which did answer.
pub(super) struct IronCacheConnection {
    client: Client,
    requests: Arc<Requests>,
    doubt: Arc<Doubt>,
}

impl IronCacheConnection {
    pub fn new(client: Client, requests: Arc<Requests>, doubt: Arc<Doubt>) -> IronCacheConnection {
        IronCacheConnection { client, requests, doubt }
    }

    /// Sees that the service answers, and takes the token.
    pub async fn greet(&self) -> Result<(), Error> {
        match self.ask(self.requests.about()).await {
            Ok(_) => Ok(()),
            // The engine tries again, with pauses of its own.
            Err(error) if error.remedy() == Remedy::TryAgain => {
                Err(Error::connection(error.message().to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, request: Request<Bytes>) -> Result<Option<Answer>, Error> {
        let sent = request.body().len();
        requests::success(self.client.send(request).await?, sent)
    }

    /// The same, once there is a connection: a token that is not taken any more ends it, so that
    /// the host hears of it, and what waits fails at once until the token is taken again.
    async fn operate(&self, request: Request<Bytes>) -> Result<Option<Answer>, Error> {
        self.ask(request).await.map_err(|error| match error.code() {
            ErrorCode::Authentication => Error::connection(error.message().to_owned()),
            _ => error,
        })
    }

    /// The same for a write, which is in doubt while nobody knows what became of it.
    async fn change(&self, request: Request<Bytes>) -> Result<Option<Answer>, Error> {
        let underway = self.doubt.sent();
        let result = self.operate(request).await;
        if !result.as_ref().is_err_and(|error| error.remedy() == Remedy::Reconnect) {
            underway.answered();
        }
        result
    }

    async fn get(&self, key: &Key) -> Result<Option<Record>, Error> {
        self.operate(self.requests.get(key)).await?.as_ref().map(requests::record).transpose()
    }

    async fn set(&self, key: &Key, record: &Record) -> Result<(), Error> {
        match self.change(self.requests.set(key, record)?).await? {
            Some(_) => Ok(()),
            None => Err(Error::new(
                ErrorCode::Backend,
                "IronCache has no such project; see the option \"project_id\"",
            )),
        }
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        self.change(self.requests.delete(key)).await.map(drop)
    }
}

#[async_trait]
impl Connection for IronCacheConnection {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        Ok(join_all(keys.iter().map(|key| self.get(key))).await)
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        let records = self.get_many(keys).await?;
        Ok(records.into_iter().map(|record| Ok(record?.map(|record| record.version))).collect())
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        Ok(join_all(entries.iter().map(|(key, record)| self.set(key, record))).await)
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        Ok(join_all(keys.iter().map(|key| self.delete(key))).await)
    }

    fn waits_for_timer(&self) -> bool {
        self.client.waits_for_timer()
    }

    fn moved(&self, _: usize) -> Option<u64> {
        Some(self.client.moved())
    }
}
