//! Operations with the answers that they must have if each key's are carried out in order.

use std::collections::{BTreeSet, HashMap};

use crate::conformance::chance::Chance;
use crate::conformance::stage::{Request, Stage};

pub struct Sequence {
    records: HashMap<String, (i64, String)>,
    expected: Vec<(String, Request, Expected)>,
    version: i64,
}

enum Expected {
    Success,
    Record(Option<(i64, String)>),
    Version(Option<i64>),
}

impl Sequence {
    pub fn new() -> Sequence {
        Sequence { records: HashMap::new(), expected: Vec::new(), version: 0 }
    }

    pub fn set(&mut self, stage: &mut Stage, key: &str) -> Request {
        self.version += 1;
        let document = format!("{{\"version\":{}}}", self.version);
        let request = stage.set(key, self.version, &document);
        self.records.insert(key.to_owned(), (self.version, document));
        self.expect(key, request, Expected::Success)
    }

    pub fn get(&mut self, stage: &mut Stage, key: &str) -> Request {
        let request = stage.get(key);
        self.expect(key, request, Expected::Record(self.records.get(key).cloned()))
    }

    pub fn head(&mut self, stage: &mut Stage, key: &str) -> Request {
        let request = stage.head(key);
        self.expect(key, request, Expected::Version(self.records.get(key).map(|(version, _)| *version)))
    }

    pub fn delete(&mut self, stage: &mut Stage, key: &str) -> Request {
        let request = stage.delete(key);
        self.records.remove(key);
        self.expect(key, request, Expected::Success)
    }

    fn expect(&mut self, key: &str, request: Request, expected: Expected) -> Request {
        self.expected.push((key.to_owned(), request, expected));
        request
    }

    /// One operation of any kind: mostly sets and gets.
    pub fn any_operation(&mut self, stage: &mut Stage, chance: &mut Chance, key: &str) {
        match chance.below(10) {
            0..=4 => self.set(stage, key),
            5..=7 => self.get(stage, key),
            8 if stage.features.head => self.head(stage, key),
            _ => self.delete(stage, key),
        };
    }

    /// The version under a key after all of this.
    pub fn version(&self, key: &str) -> Option<i64> {
        self.records.get(key).map(|(version, _)| *version)
    }

    /// Checks every answer, then what is there in the end.
    pub fn check(self, stage: &mut Stage) {
        let records = self.records.clone();
        let keys: BTreeSet<String> = self.expected.iter().map(|(key, ..)| key.clone()).collect();
        self.check_answers(stage);
        for key in keys {
            match records.get(&key) {
                Some((version, document)) => stage.assert_holds(&key, *version, document),
                None => assert_eq!(stage.load(&key), None, "{key:?} in the end"),
            }
        }
    }

    /// Checks every answer.
    pub fn check_answers(self, stage: &mut Stage) {
        for (key, request, expected) in self.expected {
            let answer = stage.succeeds(request);
            match expected {
                Expected::Success => {}
                Expected::Version(version) => {
                    let seen = answer.found.then_some(answer.version);
                    assert_eq!(seen, version, "head of {key:?}, {request:?}");
                }
                Expected::Record(None) => assert!(!answer.found, "{key:?}, {request:?}: {answer}"),
                Expected::Record(Some((version, document))) => {
                    assert!(answer.found, "{key:?} is not there, {request:?} should have found {version}");
                    assert_eq!(answer.version, version, "the version of {key:?}, {request:?}");
                    stage.assert_same(document.as_bytes(), &answer.data, &key);
                }
            }
        }
    }
}
