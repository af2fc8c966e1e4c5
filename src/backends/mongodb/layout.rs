//! Which fields of a document are the connector's own.
//!
//! | | version | a list | in the escape form |
//! |---|---|---|---|
//! | `V2` | `ds_version` | `ds_list` | `ds_json`, the data as JSON text |
//! | `V1` | `__ds._v` | `__dsList` | the same |
//!
//! The classic interface has values beside records: `{"_d": data, …}` is stored as the data with all
//! the rest in `__ds`, any other as data that are `{"__dsValue": value}`.
//!
//! In both `ds_key` is the key, and an object's members stand beside these fields. What cannot be
//! stored so has the escape form: see `encode.rs`.

/// One of the layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// That of `deepstream.io-storage-mongodb`.
    V1,
    /// The same as classic hosts have it: what is beside the data, `__ds` has whole.
    Classic,
    /// That of `@deepstream/storage-mongodb`.
    V2,
}

pub(super) const KEY: &str = "ds_key";
pub(super) const VERSION: &str = "ds_version";
pub(super) const V1_ENVELOPE: &str = "__ds";
pub(super) const V1_VERSION: &str = "_v";
pub(super) const ESCAPED: &str = "ds_json";

/// Members of an object with these names are not stored beside our own fields.
pub(super) const RESERVED: &[&str] =
    &["_id", KEY, VERSION, V1_ENVELOPE, ESCAPED, Layout::V1.list(), Layout::V2.list()];

impl Layout {
    /// The field of a list.
    pub const fn list(self) -> &'static str {
        match self {
            Layout::V1 | Layout::Classic => "__dsList",
            Layout::V2 => "ds_list",
        }
    }

    /// The one that it is not.
    pub fn other(self) -> Layout {
        match self {
            Layout::V1 | Layout::Classic => Layout::V2,
            Layout::V2 => Layout::V1,
        }
    }
}
