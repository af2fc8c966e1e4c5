//! The numbers in the cells that both sides see, for both ways. They stand here alone: JavaScript
//! gets them when it loads the addon, each table as an object (`native.deliveries`,
//! `native.failures`, `native.submissions`).

/// Makes constants, and `ALL` with the name and the number of each.
macro_rules! table {
    ($(#[$about:meta])* $table:ident { $($(#[$meaning:meta])* $name:ident: $type:ty = $number:expr;)+ }) => {
        $(#[$about])*
        pub mod $table {
            $($(#[$meaning])* pub const $name: $type = $number;)+

            /// All of them, for JavaScript.
            pub const ALL: &[(&str, f64)] = &[$((stringify!($name), $name as f64)),+];
        }
    };
}

table! {
    /// The way out, of `outlet.rs` and `deliveries.js`: for each delivery the operation's number,
    /// what the delivery is, and a value; some have an extra beside the cells. What it is, from 0
    /// on: a record, whose document has so many characters of the batch's common string, with its
    /// version as value.
    deliveries {
        /// The most deliveries in a batch.
        MAX: usize = 1000;
        /// Numbers for each delivery.
        CELLS: usize = 3;
        /// In the place of the operation's number: the next result of the answer to a request for
        /// many names.
        PART: f64 = -1.0;

        /// The operation is done. Value: none.
        DONE: f64 = -1.0;
        /// A `get` found no record. Value: none.
        MISS: f64 = -2.0;
        /// A record. Value: its version. Extra: its document.
        RECORD: f64 = -3.0;
        /// Value: a version, or NaN without a record.
        VERSION: f64 = -4.0;
        /// The answer to a request for many names has all its parts. Value: none.
        MANY: f64 = -5.0;
        /// The operation failed. Value: see `failures`. Extra: the message.
        FAILED: f64 = -6.0;
        /// Extra: the answer to a command, as JSON.
        ANSWER: f64 = -7.0;
        /// A page. Value: how many extras it has, lists of its records and in the last what else
        /// there is of it.
        PAGE: f64 = -8.0;

        /// The connection stands. From here on: what belongs to no operation.
        READY: f64 = -9.0;
        /// The connector has a problem; value and extra as for `FAILED`. Waiting may help.
        PROBLEM: f64 = -10.0;
        /// The same; waiting will not help.
        FATAL: f64 = -11.0;
        /// Value: the level. Extra: the line.
        LOG: f64 = -12.0;
        /// The connector has ended.
        CLOSED: f64 = -13.0;
        /// A message of the database. Extra: a list of its channel and what it says, as JSON.
        NOTIFICATION: f64 = -14.0;
    }
}

table! {
    /// What the value of a failure is made of: a sum of these.
    failures {
        /// A later try may succeed.
        RETRYABLE: i32 = 1;
        /// The operation may have been carried out all the same.
        APPLIED_UNKNOWN: i32 = 2;
        /// The error's code, so many times.
        CODE: i32 = 4;
    }
}

table! {
    /// The way in, of `intake.rs` and `submissions.js`: for each request its number, the version,
    /// and the lengths of its name and its document in UTF-16.
    submissions {
        /// The most requests that gather.
        MAX: usize = 256;
        /// The cell that says whether somebody comes for what gathers.
        COMES: usize = 0;
        /// The cell that says how many requests have gathered.
        COUNT: usize = 1;
        /// The first cell of the first request.
        FIRST: usize = 2;
        /// Numbers for each request.
        CELLS: usize = 4;

        /// In the place of a document's length: what is asked for of a name alone.
        GET: f64 = -1.0;
        /// As above.
        HEAD: f64 = -2.0;
        /// As above.
        DELETE: f64 = -3.0;
    }
}
