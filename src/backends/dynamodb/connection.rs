//! The engine's batches, and pages of all records.

use std::collections::BTreeSet;
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use super::batches::Write;
use super::calls::{read, Kind, Refusal, Service};
use super::item::{self, Expiry, Members, KEY, VERSION};
use super::names::{Names, Slot};
use super::tables::{body, State, Tables};
use crate::core::{BatchResult, Connection, Error, ErrorCode, Key, Listing, Notice, Page, Record};
use crate::records::omissions::Omissions;
use crate::records::paging::{refused, Cursor};

/// See the module.
pub(super) struct DynamoConnection {
    pub names: Names,
    pub service: Service,
    pub tables: Tables,
    pub expiry: Option<Expiry>,
    pub omissions: Omissions,
}

impl DynamoConnection {
    /// Of each of several tables whether it can be used; of one alone that is known.
    async fn tables_of<'a>(
        &self,
        slots: impl Iterator<Item = &'a Slot<'a>>,
        to_write: bool,
    ) -> Vec<(&'a str, Result<State, Error>)> {
        if !self.names.has_many_tables() {
            return Vec::new();
        }
        let tables: BTreeSet<&str> = slots.map(|slot| &*slot.table).collect();
        let mut states = Vec::new();
        for table in tables {
            let state = if to_write { self.provide(table).await } else { self.tables.state(table).await };
            states.push((table, state));
        }
        states
    }

    async fn provide(&self, table: &str) -> Result<State, Error> {
        let was_missing = self.tables.state(table).await? == State::Missing;
        let state = self.tables.provide(table).await?;
        if was_missing && state == State::Ready {
            self.tables.switch_expiry_on(table).await?;
        }
        Ok(state)
    }

    /// What a refusal of a batch means to each key in it.
    fn error_of(&self, refusal: Refusal, tables: impl Iterator<Item = impl AsRef<str>>) -> Error {
        match refusal.kind {
            Kind::NoTable => {
                tables.for_each(|table| self.tables.forget(table.as_ref()));
                if self.names.has_many_tables() {
                    Error::transient(ErrorCode::Backend, "the table is not there")
                } else {
                    Error::connection("the table is not there any more")
                }
            }
            _ => refusal.error,
        }
    }

    async fn write(&self, writes: Vec<Result<Write<'_>, Error>>) -> Vec<Result<(), Error>> {
        let slots = writes.iter().filter_map(|write| Some(write.as_ref().ok()?.slot));
        let is_delete = writes.iter().all(|write| write.as_ref().is_ok_and(|write| write.item.is_none()));
        let states = self.tables_of(slots, !is_delete).await;
        let mut results = Vec::with_capacity(writes.len());
        let (mut places, mut good) = (Vec::new(), Vec::new());
        for write in writes {
            let write = match write {
                Ok(write) => write,
                Err(error) => {
                    results.push(Err(error));
                    continue;
                }
            };
            match states.iter().find(|(table, _)| *table == write.slot.table).map(|(_, state)| state) {
                None | Some(Ok(State::Ready)) => {
                    places.push(results.len());
                    good.push(write);
                    results.push(Ok(()));
                }
                Some(Ok(State::InTheMaking)) => results.push(Err(in_the_making(&write.slot.table))),
                // There is nothing to delete.
                Some(Ok(State::Missing)) => results.push(Ok(())),
                Some(Err(error)) => results.push(Err(error.clone())),
            }
        }
        let tables: Vec<String> = good.iter().map(|write| write.slot.table.to_string()).collect();
        for (index, result) in self.service.write(good).await.into_iter().enumerate() {
            let result = result.map_err(|refusal| self.error_of(refusal, std::iter::once(&tables[index])));
            results[places[index]] = result;
        }
        results
    }

    async fn read<R>(
        &self,
        keys: &[Key],
        options: &str,
        take: fn(&Members<'_>) -> Result<R, Error>,
    ) -> BatchResult<Option<R>> {
        let slots: Vec<Slot<'_>> = keys.iter().map(|key| self.names.slot(key)).collect();
        let states = self.tables_of(slots.iter(), false).await;
        let mut results = Vec::with_capacity(slots.len());
        let (mut places, mut good) = (Vec::new(), Vec::new());
        for slot in &slots {
            match states.iter().find(|(table, _)| *table == slot.table).map(|(_, state)| state) {
                None | Some(Ok(State::Ready)) => {
                    places.push(results.len());
                    good.push(slot);
                    results.push(Ok(None));
                }
                // What is not there yet holds nothing.
                Some(Ok(_)) => results.push(Ok(None)),
                Some(Err(error)) => results.push(Err(error.clone())),
            }
        }
        if good.is_empty() {
            return Ok(results);
        }
        let expiry = self.expiry.as_ref();
        let take = |item: &Members<'_>| match item.has_expired(expiry) {
            true => Ok(None),
            false => take(item).map(Some),
        };
        let answers = self.service.read(&good, options, take).await;
        let answers =
            answers.map_err(|refusal| self.error_of(refusal, good.iter().map(|slot| slot.table.as_ref())))?;
        for (place, answer) in places.into_iter().zip(answers) {
            results[place] = answer;
        }
        Ok(results)
    }

    /// What a request has to say so that items come without their documents.
    fn versions_alone(&self) -> String {
        match &self.expiry {
            None => format!(r#""ProjectionExpression":"{KEY},{VERSION}""#),
            Some(expiry) => {
                let names = json!({"#expires": expiry.attribute});
                format!(
                    r#""ProjectionExpression":"{KEY},{VERSION},#expires","ExpressionAttributeNames":{names}"#
                )
            }
        }
    }
}

fn in_the_making(table: &str) -> Error {
    Error::transient(ErrorCode::Backend, format!("the table \"{table}\" is being made"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Scanned<'a> {
    #[serde(borrow)]
    items: Vec<Members<'a>>,
    #[serde(borrow)]
    last_evaluated_key: Option<Members<'a>>,
}

#[async_trait]
impl Connection for DynamoConnection {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        self.read(keys, "", |item| item.record()).await
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        self.read(keys, &self.versions_alone(), |item| item.version()).await
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let slots: Vec<Slot<'_>> = entries.iter().map(|(key, _)| self.names.slot(key)).collect();
        let writes = slots.iter().zip(entries).map(|(slot, (_, record))| {
            let item = item::write(slot, record, self.expiry.as_ref())?;
            Ok(Write { slot, item: Some(item) })
        });
        Ok(self.write(writes.collect()).await)
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        let slots: Vec<Slot<'_>> = keys.iter().map(|key| self.names.slot(key)).collect();
        Ok(self.write(slots.iter().map(|slot| Ok(Write { slot, item: None })).collect()).await)
    }

    async fn scan(&self, Listing { prefix, cursor, limit }: &Listing) -> Result<Page, Error> {
        let owns = |name: &str| self.names.may_hold(name, prefix);
        let cursor = match cursor.as_deref() {
            Some(text) => Cursor::read(text)?,
            None if self.names.has_many_tables() => match self.tables.next(None, owns).await? {
                Some(first) => Cursor::at(first),
                None => return Ok(Page::default()),
            },
            None => Cursor::at(self.names.main_table().to_owned()),
        };
        let table = cursor.table;
        if !self.names.owns(&table) {
            return Err(refused());
        }
        let mut question = json!({
            "TableName": table,
            "Limit": (*limit).max(1),
            "ConsistentRead": self.service.consistent,
        });
        if let Some([own, hashed]) = self.names.beginnings_of(&table, prefix) {
            question["FilterExpression"] =
                json!(format!("begins_with({KEY}, :own) OR begins_with({KEY}, :hashed)"));
            question["ExpressionAttributeValues"] = json!({":own": {"S": own}, ":hashed": {"S": hashed}});
        }
        if let Some(after) = cursor.after {
            question["ExclusiveStartKey"] = json!({KEY: {"S": after}});
        }
        let answer = match self.service.call("Scan", body(&question)).await {
            Ok(answer) => answer,
            Err(refusal) => return Err(self.error_of(refusal, std::iter::once(&table))),
        };
        let scanned: Scanned<'_> = read("Scan", &answer)?;
        let mut records = Vec::with_capacity(scanned.items.len());
        for item in scanned.items.iter().filter(|item| !item.has_expired(self.expiry.as_ref())) {
            let Some(key) = item.key(&self.names) else { continue };
            match item.record() {
                Ok(record) => records.push((Key::from(key), record)),
                Err(error) => self.omissions.add(&key, &error),
            }
        }
        let last = scanned.last_evaluated_key.and_then(|last| last.text(KEY).map(|id| id.into_owned()));
        let next = match last {
            Some(last) => Some(Cursor { table, after: Some(last) }),
            None if self.names.has_many_tables() => {
                self.tables.next(Some(&table), owns).await?.map(Cursor::at)
            }
            None => None,
        };
        let next = next.and_then(|cursor| cursor.write());
        Ok(Page { records, next })
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        match self.service.identity.provider.poll_notice() {
            Poll::Pending => self.omissions.poll(cx),
            notice => notice,
        }
    }

    fn waits_for_timer(&self) -> bool {
        self.service.client.waits_for_timer() || self.service.identity.provider.waits_for_timer()
    }

    fn wake_at(&self) -> Option<Instant> {
        self.service.identity.provider.wake_at()
    }

    fn moved(&self, _: usize) -> Option<u64> {
        Some(self.service.client.moved())
    }
}
