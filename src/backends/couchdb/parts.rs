//! Requests for several documents, of which one may be the reason why all of them fail.

use std::future::Future;
use std::ops::Range;

use futures_util::future::join_all;

use crate::core::{Error, ErrorCode, Remedy};

/// Whether one document alone may be the reason.
pub(super) fn may_be_of_one(error: &Error) -> bool {
    match error.remedy() {
        // It is refused for what is in it.
        Remedy::Report => error.code() != ErrorCode::Authentication,
        // The server trips over it.
        Remedy::TryAgain => !error.is_of_server(),
        Remedy::Reconnect => false,
    }
}

/// Asks for less than all `count` at once, which failed with `error`, so that only those fail that are
/// the reason. A server that trips over the first and the last one alone as well is in trouble itself.
pub(super) async fn apart<T, F>(
    error: Error,
    count: usize,
    ask: impl Fn(Range<usize>) -> F,
) -> Vec<Result<T, Error>>
where
    F: Future<Output = Result<Vec<Result<T, Error>>, Error>>,
{
    let alone = |index: usize| {
        let answer = ask(index..index + 1);
        async move { answer.await.and_then(|mut list| list.pop().unwrap_or_else(|| Err(lost()))) }
    };
    if count < 2 {
        return (0..count).map(|_| Err(error.clone())).collect();
    }
    if error.remedy() == Remedy::Report {
        return join_all((0..count).map(alone)).await;
    }
    let first = alone(0).await;
    let last = alone(count - 1).await;
    if first.is_err() && last.is_err() {
        return (0..count).map(|_| Err(error.clone())).collect();
    }
    let mut results: Vec<Option<Result<T, Error>>> = (0..count).map(|_| None).collect();
    results[0] = Some(first);
    results[count - 1] = Some(last);
    let mut open = Vec::new();
    open.push(1..count - 1);
    while let Some(part) = open.pop() {
        if part.is_empty() {
            continue;
        }
        match ask(part.clone()).await {
            Ok(list) => {
                for (place, result) in results[part].iter_mut().zip(list) {
                    *place = Some(result);
                }
            }
            Err(error) if part.len() > 1 && may_be_of_one(&error) => {
                let middle = part.start + part.len() / 2;
                open.extend([middle..part.end, part.start..middle]);
            }
            Err(error) => results[part].iter_mut().for_each(|place| *place = Some(Err(error.clone()))),
        }
    }
    results.into_iter().map(|result| result.unwrap_or_else(|| Err(lost()))).collect()
}

fn lost() -> Error {
    Error::connection("the server is no CouchDB: its answer lacks a document")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn passing() -> Error {
        Error::transient(ErrorCode::Backend, "status 500")
    }

    /// Which of 100 fail where the server trips over these, and how many requests it takes.
    fn failed(bad: &[usize], error: &Error) -> (Vec<usize>, usize) {
        let asked = RefCell::new(0);
        let ask = |part: Range<usize>| {
            *asked.borrow_mut() += 1;
            let trips = bad.iter().any(|index| part.contains(index));
            let answer = if trips { Err(error.clone()) } else { Ok(part.map(Ok).collect()) };
            std::future::ready(answer)
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let results = runtime.block_on(apart(error.clone(), 100, ask));
        let mut failed = Vec::new();
        for (index, result) in results.into_iter().enumerate() {
            match result {
                Ok(place) => assert_eq!(place, index),
                Err(_) => failed.push(index),
            }
        }
        (failed, asked.into_inner())
    }

    #[test]
    fn those_that_are_the_reason_fail_alone() {
        for bad in [&[0][..], &[99], &[50], &[1, 98], &[0, 7, 8, 60]] {
            let (failed, asked) = failed(bad, &passing());
            assert_eq!(failed, bad);
            assert!(asked <= 2 + bad.len() * 16, "{asked} requests for {bad:?}");
        }
        assert_eq!(failed(&[0, 99], &Error::new(ErrorCode::TooLarge, "")).0, [0, 99]);
    }

    #[test]
    fn a_server_in_trouble_is_not_asked_for_each() {
        let all: Vec<usize> = (0..100).collect();
        assert_eq!(failed(&all, &passing()), (all, 2));
        assert!(!may_be_of_one(&passing().of_server()) && !may_be_of_one(&Error::connection("")));
        assert!(!may_be_of_one(&Error::new(ErrorCode::Authentication, "")));
    }
}
