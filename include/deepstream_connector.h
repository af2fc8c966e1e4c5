/*
 * deepstream-connector: connects any host to any cache or database.
 *
 * Generated from src/capi by `UPDATE_HEADER=1 cargo test --release -p deepstream-connector-tests header`; do not edit.
 *
 * Link with -ldeepstream_connector. A program that links the static library and may itself be
 * unloaded by dlclose has to be linked with -Wl,-z,nodelete; the shared library is.
 *
 *     connector_t *cache;
 *     const char *config = "{\"type\": \"memory\"}";
 *     if (connector_create(config, strlen(config), NULL, &cache) != CONNECTOR_OK) {
 *         puts(connector_last_error_message(NULL));
 *     }
 *     connector_set(cache, "user/1", 6, 1, "{\"name\":\"Ada\"}", 14, 0, on_set, NULL);
 *     connector_free(cache);
 *
 * Requests. A function that returns CONNECTOR_OK has accepted the request and copied all that it
 * was given; its callback then runs exactly once, and never from inside of the submitting call. A
 * function that returns another number has not accepted it, and the callback will not run;
 * connector_last_error_message tells why. A callback may be NULL where nobody wants the answer. With a
 * completion queue (connector_create_queued) operations are handed in by connector_submit, and instead of a
 * callback each has a completion, which connector_next fetches.
 *
 * Order. Operations on one key are carried out in the order in which they were submitted: a
 * connector_get sees every earlier connector_set and connector_delete. Operations on different
 * keys may overtake each other.
 *
 * Threads. Any thread may call any function at any time while the connector lives, also from
 * inside a callback; connector_free demands a little more, see there. Callbacks of one connector
 * run one at a time, in the order in which the operations were finished: on a dispatch thread of
 * the connector (connector_create), where a slow one delays other callbacks but no I/O, or on the
 * thread that calls connector_dispatch (connector_create_polled). A completion queue calls nothing back; its
 * completions have the same order.
 *
 * Memory. What a function is given it has copied when it returns. What a callback is given is
 * borrowed: it is valid until the callback returns; what a completion points to is so until the next call of
 * connector_next. `userdata` is handed through; what it points
 * to must bear being used on the thread that runs the callbacks. A callback must not throw a C++
 * exception, nor leave by longjmp.
 *
 * Text. Keys, documents, configurations and messages are UTF-8, given as a pointer and a length
 * in bytes; a NUL at the end is neither needed nor counted.
 *
 * Structs start with their size, so that later versions can add fields. Set it in those that you
 * fill in, and clear the rest.
 *
 * Outages. The connection is made, and made again after an outage, in the background. Requests
 * wait for that up to their deadline and then fail with CONNECTOR_ERR_TIMEOUT.
 *
 * Processes. In a child of fork() the parent's connectors are of no use: each function returns
 * CONNECTOR_ERR_FORKED, connector_free does nothing, and no callback runs; a connector of its own
 * works. A process may exit at any moment. From then on no callback starts, so that none finds
 * objects that are destroyed already, unless an exit handler calls a function of that connector.
 */


#ifndef DEEPSTREAM_CONNECTOR_H
#define DEEPSTREAM_CONNECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The version of the library that this header came with.
 */
#define CONNECTOR_VERSION "0.1.0"

/**
 * It went well, or: the request was accepted.
 */
#define CONNECTOR_OK 0

/**
 * An argument is unusable: a NULL pointer, an empty or overlong key, bytes that are not UTF-8,
 * data that is not JSON.
 */
#define CONNECTOR_ERR_INVALID_ARGUMENT 1

/**
 * The configuration is wrong; the message names the option and the remedy.
 */
#define CONNECTOR_ERR_CONFIGURATION 2

/**
 * `maxInFlight` operations are waiting already.
 */
#define CONNECTOR_ERR_BUSY 3

/**
 * The connector was closed or freed before the operation finished.
 */
#define CONNECTOR_ERR_CLOSED 4

/**
 * The operation's deadline passed; `applied` says whether a write may have been carried out.
 */
#define CONNECTOR_ERR_TIMEOUT 5

/**
 * The server cannot be reached, or answered what it must not; or the system gives no thread or
 * file descriptor.
 */
#define CONNECTOR_ERR_UNAVAILABLE 6

/**
 * The server refused the credentials.
 */
#define CONNECTOR_ERR_AUTHENTICATION 7

/**
 * The server, or the storage below it, refused the operation.
 */
#define CONNECTOR_ERR_BACKEND 8

/**
 * The record or key is larger than the backend can hold.
 */
#define CONNECTOR_ERR_TOO_LARGE 9

/**
 * What is stored under the key is not a record.
 */
#define CONNECTOR_ERR_CORRUPT 10

/**
 * A bug in this library: a panic was caught.
 */
#define CONNECTOR_ERR_PANIC 11

/**
 * The calling process is a fork of the one that made the connector.
 */
#define CONNECTOR_ERR_FORKED 12

/**
 * The backend, this system, or a connector of this mode cannot do what was asked.
 */
#define CONNECTOR_ERR_UNSUPPORTED 13

/**
 * The operation that failed was not carried out, and will not be; so for whatever changes nothing.
 */
#define CONNECTOR_APPLIED_NO 0

/**
 * The operation that failed was given to the server, and nobody knows what became of it: it may
 * have been carried out, or may still be.
 */
#define CONNECTOR_APPLIED_UNKNOWN 1

/**
 * A log line for whoever hunts a fault.
 */
#define CONNECTOR_LOG_DEBUG 0

/**
 * A log line about the normal course of things.
 */
#define CONNECTOR_LOG_INFO 1

/**
 * A log line worth a look.
 */
#define CONNECTOR_LOG_WARN 2

/**
 * A log line about a failure.
 */
#define CONNECTOR_LOG_ERROR 3

/**
 * The version of the binary interface that this header describes, which is also the number in
 * the shared library's name. `connector_abi_version` tells that of the library at hand: with
 * the same number, every program that was built against an older header still runs.
 */
#define CONNECTOR_ABI_VERSION 0

/**
 * An operation that reads the record of `key`, as `connector_get` does.
 */
#define CONNECTOR_KIND_GET 1

/**
 * An operation that reads the version of `key`, as `connector_head` does.
 */
#define CONNECTOR_KIND_HEAD 2

/**
 * An operation that stores `data` with `version` under `key`, as `connector_set` does.
 */
#define CONNECTOR_KIND_SET 3

/**
 * An operation that removes the record of `key`, as `connector_delete` does.
 */
#define CONNECTOR_KIND_DELETE 4

/**
 * An operation that reads the records of `count` `keys`, with one completion, as `connector_get_many` does.
 */
#define CONNECTOR_KIND_GET_MANY 5

/**
 * An operation that reads the versions of `count` `keys`, as `connector_head_many` does.
 */
#define CONNECTOR_KIND_HEAD_MANY 6

/**
 * An operation that stores `count` `entries`, as `connector_set_many` does.
 */
#define CONNECTOR_KIND_SET_MANY 7

/**
 * An operation that removes the records of `count` `keys`, as `connector_delete_many` does.
 */
#define CONNECTOR_KIND_DELETE_MANY 8

/**
 * An operation that reads a page of at most `count` records, as `connector_scan_prefix` does; `key` is
 * the cursor, or NULL for the first page, and `data` the prefix, or NULL for all records.
 */
#define CONNECTOR_KIND_SCAN 9

/**
 * An operation that carries out the command that is called `key`, with `data` as its arguments, as
 * `connector_command` does.
 */
#define CONNECTOR_KIND_COMMAND 10

/**
 * No operation's: the connection stands, for the first time, or again after an outage.
 */
#define CONNECTOR_KIND_READY 64

/**
 * No operation's: something went wrong that belongs to none, such as a lost connection; once for each
 * outage. `fatal` means that waiting will not help.
 */
#define CONNECTOR_KIND_ERROR 65

/**
 * No operation's: a line for the log, in `message`, and its `level`.
 */
#define CONNECTOR_KIND_LOG 66

/**
 * No operation's: a message of the database that a command asked for; `channel` says what it is about, and
 * `data` what it says.
 */
#define CONNECTOR_KIND_NOTIFICATION 67

/**
 * No operation's, and the last completion of all: the connector was closed, by `connector_close`, whose
 * `userdata` is its `number`, or by `connector_stop`; the code is then `CONNECTOR_ERR_CLOSED`.
 */
#define CONNECTOR_KIND_CLOSED 68

/**
 * A connector: one connection to a cache or database. Made by `connector_create`,
 * `connector_create_polled` or `connector_create_queued`, released by `connector_free`. Any thread may use it at any time
 * between the two.
 */
typedef struct connector_t connector_t;

/**
 * The connection stands: for the first time, or again after an outage.
 */
typedef void (*connector_ready_callback_t)(void *userdata);

/**
 * What went wrong. Borrowed: it is valid until the callback that got it returns.
 */
typedef struct connector_error_t {
    /**
     * The size of this struct in the library, in bytes.
     */
    size_t size;
    /**
     * A `CONNECTOR_ERR_*` number. Later versions may have numbers that you do not know: treat
     * them as a failure and show the message.
     */
    int32_t code;
    /**
     * Whether the same call may succeed later without a change by the caller.
     */
    bool retryable;
    /**
     * One sentence for a person, in UTF-8, without a NUL at its end. It never holds a
     * password, a token or a record's data.
     */
    const char *message;
    /**
     * The message's length in bytes.
     */
    size_t message_length;
    /**
     * Whether the operation may have been carried out although it failed: a `CONNECTOR_APPLIED_*`
     * number. Treat one that you do not know as `CONNECTOR_APPLIED_UNKNOWN`, and so a library
     * whose `size` shows that it has no such field.
     */
    int32_t applied;
} connector_error_t;

/**
 * Something went wrong that belongs to no operation, such as a lost connection; once for each
 * outage. `fatal` means that waiting will not help.
 */
typedef void (*connector_error_callback_t)(void *userdata,
                                           const struct connector_error_t *error,
                                           bool fatal);

/**
 * A line for the log: `level` is a `CONNECTOR_LOG_*` number, `text` has `length` bytes of UTF-8
 * and no NUL at its end; it is valid until the callback returns.
 */
typedef void (*connector_log_callback_t)(void *userdata,
                                         int32_t level,
                                         const char *text,
                                         size_t length);

/**
 * A message of the database that a `connector_command` asked for: what it is about, and what it
 * says, in UTF-8 without a NUL at the end. Both are valid until the callback returns.
 */
typedef void (*connector_notification_callback_t)(void *userdata,
                                                  const char *channel,
                                                  size_t channel_length,
                                                  const char *payload,
                                                  size_t payload_length);

/**
 * What a host wants to hear besides the answers to its requests. It is read during
 * `connector_create` alone. Clear it (`= {0}`) before filling it in.
 */
typedef struct connector_events_t {
    /**
     * `sizeof(connector_events_t)`.
     */
    size_t size;
    /**
     * Handed to each of the callbacks below.
     */
    void *userdata;
    /**
     * May be NULL.
     */
    connector_ready_callback_t ready;
    /**
     * May be NULL.
     */
    connector_error_callback_t error;
    /**
     * May be NULL.
     */
    connector_log_callback_t log;
    /**
     * May be NULL.
     */
    connector_notification_callback_t notification;
} connector_events_t;

/**
 * A record that was read. Borrowed: it is valid until the callback that got it returns.
 */
typedef struct connector_record_t {
    /**
     * The size of this struct in the library, in bytes.
     */
    size_t size;
    /**
     * The version that it was stored with.
     */
    int64_t version;
    /**
     * One JSON document in UTF-8, without a NUL at its end; NULL for `connector_head`.
     */
    const char *data;
    /**
     * The document's length in bytes.
     */
    size_t data_length;
} connector_record_t;

/**
 * The callback of `connector_get` and `connector_head`. `error` is NULL on success; then
 * `record` is NULL for a miss, which is no error.
 */
typedef void (*connector_record_callback_t)(void *userdata,
                                            const struct connector_error_t *error,
                                            const struct connector_record_t *record);

/**
 * The callback of `connector_set`, `connector_delete` and `connector_close`. `error` is NULL on
 * success.
 */
typedef void (*connector_done_callback_t)(void *userdata, const struct connector_error_t *error);

/**
 * One key of many. It is read during the call alone.
 */
typedef struct connector_key_t {
    /**
     * `sizeof(connector_key_t)`; the same in all elements of an array.
     */
    size_t size;
    /**
     * 1 to 65536 bytes of UTF-8; no NUL is needed at its end.
     */
    const char *key;
    /**
     * The key's length in bytes.
     */
    size_t key_length;
} connector_key_t;

/**
 * The answer for one key of many. Borrowed: it is valid until the callback that got it returns.
 */
typedef struct connector_result_t {
    /**
     * The size of this struct in the library, in bytes.
     */
    size_t size;
    /**
     * What went wrong with this key; NULL if nothing did.
     */
    const struct connector_error_t *error;
    /**
     * The record of `connector_get_many`, or its version alone for `connector_head_many`; NULL
     * for a miss, and for `connector_set_many` and `connector_delete_many`.
     */
    const struct connector_record_t *record;
} connector_result_t;

/**
 * The callback of the functions for many keys. `results` has `count` pointers, one for each key
 * in the order in which they were given. `error` is NULL if every key succeeded; otherwise it is
 * the error of the first key that did not, and `results` tell which did.
 */
typedef void (*connector_many_callback_t)(void *userdata,
                                          const struct connector_error_t *error,
                                          const struct connector_result_t *const *results,
                                          size_t count);

/**
 * One record of many. It is read during the call alone.
 */
typedef struct connector_entry_t {
    /**
     * `sizeof(connector_entry_t)`; the same in all elements of an array.
     */
    size_t size;
    /**
     * 1 to 65536 bytes of UTF-8; no NUL is needed at its end.
     */
    const char *key;
    /**
     * The key's length in bytes.
     */
    size_t key_length;
    /**
     * Any number; it is stored as it is.
     */
    int64_t version;
    /**
     * One JSON document in UTF-8; no NUL is needed at its end.
     */
    const char *data;
    /**
     * The document's length in bytes.
     */
    size_t data_length;
} connector_entry_t;

/**
 * A record of a page. Borrowed: it is valid until the callback that got it returns.
 */
typedef struct connector_named_record_t {
    /**
     * The size of this struct in the library, in bytes.
     */
    size_t size;
    /**
     * Its key in UTF-8, without a NUL at its end.
     */
    const char *key;
    /**
     * The key's length in bytes.
     */
    size_t key_length;
    /**
     * The version that it was stored with.
     */
    int64_t version;
    /**
     * One JSON document in UTF-8, without a NUL at its end.
     */
    const char *data;
    /**
     * The document's length in bytes.
     */
    size_t data_length;
} connector_named_record_t;

/**
 * Some of all records. Borrowed: it is valid until the callback that got it returns.
 */
typedef struct connector_page_t {
    /**
     * The size of this struct in the library, in bytes.
     */
    size_t size;
    /**
     * Pointers to the records; NULL where there is none.
     */
    const struct connector_named_record_t *const *records;
    /**
     * How many there are; there may be none though other pages follow.
     */
    size_t count;
    /**
     * What to give to `connector_scan` for the next page, without a NUL at its end; NULL on the
     * last page.
     */
    const char *cursor;
    /**
     * The cursor's length in bytes.
     */
    size_t cursor_length;
} connector_page_t;

/**
 * The callback of `connector_scan`. `error` is NULL on success, and `page` is NULL otherwise.
 */
typedef void (*connector_page_callback_t)(void *userdata,
                                          const struct connector_error_t *error,
                                          const struct connector_page_t *page);

/**
 * The callback of `connector_command`. `error` is NULL on success; then `json` is the answer,
 * `length` bytes of JSON in UTF-8 without a NUL at its end. Both are borrowed.
 */
typedef void (*connector_answer_callback_t)(void *userdata,
                                            const struct connector_error_t *error,
                                            const char *json,
                                            size_t length);

/**
 * An operation for `connector_submit`. It and what it points to are read during the call alone. Clear it
 * (`= {0}`) before filling it in; what its kind does not name is not looked at.
 */
typedef struct connector_operation_t {
    /**
     * `sizeof(connector_operation_t)`; the same in all elements of an array.
     */
    size_t size;
    /**
     * A `CONNECTOR_KIND_*` number from `CONNECTOR_KIND_GET` to `CONNECTOR_KIND_COMMAND`.
     */
    int32_t kind;
    /**
     * The deadline from now in milliseconds, time in the queue included; 0 means the connector's option
     * `timeout`.
     */
    uint32_t timeout_ms;
    /**
     * Any number of yours; it comes back with the completion.
     */
    uint64_t number;
    /**
     * 1 to 65536 bytes of UTF-8; no NUL is needed at its end.
     */
    const char *key;
    /**
     * The key's length in bytes.
     */
    size_t key_length;
    /**
     * Any number; it is stored as it is.
     */
    int64_t version;
    /**
     * One JSON document in UTF-8; no NUL is needed at its end.
     */
    const char *data;
    /**
     * The document's length in bytes.
     */
    size_t data_length;
    /**
     * How many keys or entries there are; of a scan, the most records that the page may have.
     */
    size_t count;
    /**
     * The keys of an operation on many.
     */
    const struct connector_key_t *keys;
    /**
     * The entries of `CONNECTOR_KIND_SET_MANY`.
     */
    const struct connector_entry_t *entries;
} connector_operation_t;

/**
 * What became of an operation, or an event, from `connector_next`. What it points to is borrowed: it is
 * valid until the next call of `connector_next` for this connector, or until `connector_free`.
 */
typedef struct connector_completion_t {
    /**
     * How many bytes of it the library has filled in.
     */
    size_t size;
    /**
     * A `CONNECTOR_KIND_*` number: the operation's, or an event's from `CONNECTOR_KIND_READY` on. Pass
     * over those of events that you do not know.
     */
    int32_t kind;
    /**
     * `CONNECTOR_OK`, or what went wrong: a `CONNECTOR_ERR_*` number. Of an operation on many keys it is
     * that of the first key that failed.
     */
    int32_t code;
    /**
     * The operation's number; 0 of an event.
     */
    uint64_t number;
    /**
     * Whether an operation that failed may have been carried out all the same: a `CONNECTOR_APPLIED_*`
     * number. Treat one that you do not know as `CONNECTOR_APPLIED_UNKNOWN`.
     */
    int32_t applied;
    /**
     * The level of a line for the log, a `CONNECTOR_LOG_*` number.
     */
    int32_t level;
    /**
     * Whether an operation that failed may succeed later without a change by the caller.
     */
    bool retryable;
    /**
     * Of `CONNECTOR_KIND_ERROR`: waiting will not help.
     */
    bool fatal;
    /**
     * Whether there is a record, for a get or a head. A miss is no error.
     */
    bool found;
    /**
     * The version that the record was stored with.
     */
    int64_t version;
    /**
     * The record's document, a command's answer as JSON, or what a notification says: UTF-8 without a NUL
     * at its end; NULL where there is none.
     */
    const char *data;
    /**
     * Its length in bytes.
     */
    size_t data_length;
    /**
     * One sentence for a person about what went wrong, or a line for the log: UTF-8 without a NUL at its
     * end; NULL where there is none. It never holds a password, a token or a record's data.
     */
    const char *message;
    /**
     * Its length in bytes.
     */
    size_t message_length;
    /**
     * What a notification is about: UTF-8 without a NUL at its end.
     */
    const char *channel;
    /**
     * Its length in bytes.
     */
    size_t channel_length;
    /**
     * Pointers to the results of an operation on many keys, one for each in the order in which they were
     * given; NULL where there is none.
     */
    const struct connector_result_t *const *results;
    /**
     * How many there are.
     */
    size_t count;
    /**
     * The page of a scan; NULL if it failed.
     */
    const struct connector_page_t *page;
} connector_completion_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Makes a connector whose callbacks run on a dispatch thread of its own.
 *
 * It returns at once; the connection is made in the background, and requests are accepted
 * already. `config` is one JSON object in UTF-8 of `config_length` bytes, with the option
 * `type` and those of that type; see docs/options.md. `events` may be NULL. `*out` is set before the
 * first callback starts, and to NULL on failure.
 *
 * Errors: `CONNECTOR_ERR_CONFIGURATION` for everything that can be known to be wrong without a
 * server (`connector_last_error_message` names the option and the remedy),
 * `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_UNSUPPORTED` for events that this version
 * does not have, `CONNECTOR_ERR_UNAVAILABLE` if the system gives no thread.
 *
 * The caller owns the connector and has to release it with `connector_free`.
 */
int32_t connector_create(const char *config,
                         size_t config_length,
                         const struct connector_events_t *events,
                         struct connector_t **out);

/**
 * Makes a connector whose callbacks run on the host's own thread, inside `connector_dispatch`.
 *
 * This is for hosts with an event loop (epoll, libuv, GLib, asyncio): watch `connector_fd`, and
 * call `connector_dispatch` when it is readable. Nothing else is needed. Where the backend
 * allows it there is no thread at all, and the host's thread does the I/O.
 *
 * Otherwise it is like `connector_create`. Errors besides its: `CONNECTOR_ERR_UNSUPPORTED` on
 * systems other than Linux.
 */
int32_t connector_create_polled(const char *config,
                                size_t config_length,
                                const struct connector_events_t *events,
                                struct connector_t **out);

/**
 * Tells whether the connection stands at this moment: `*ready` is set to that. Requests may be
 * submitted in either case; while there is no connection they wait for it, up to their
 * deadline. In callbacks that run inside of `connector_free` it does not stand any more.
 *
 * Any thread may call it. Errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED`.
 */
int32_t connector_is_ready(struct connector_t *connector, bool *ready);

/**
 * Reads a record. It sees every earlier `connector_set` and `connector_delete` of this
 * connector, answered or not.
 *
 * `timeout_ms` is the deadline from now in milliseconds, time in the queue included; 0 means the
 * connector's option `timeout`. The key is copied. Any thread may call it.
 *
 * Errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_BUSY`, `CONNECTOR_ERR_CLOSED`,
 * `CONNECTOR_ERR_FORKED`; then the callback will not be called.
 */
int32_t connector_get(struct connector_t *connector,
                      const char *key,
                      size_t key_length,
                      uint32_t timeout_ms,
                      connector_record_callback_t callback,
                      void *userdata);

/**
 * Reads a version without the data: the record in the callback has a `data` of NULL. Otherwise
 * like `connector_get`.
 */
int32_t connector_head(struct connector_t *connector,
                       const char *key,
                       size_t key_length,
                       uint32_t timeout_ms,
                       connector_record_callback_t callback,
                       void *userdata);

/**
 * Stores a record, replacing what was there, whatever its version. `data` is one JSON document
 * in UTF-8; it and the key are copied. Success means that the database has acknowledged it.
 * `timeout_ms` is as for `connector_get`. Any thread may call it.
 *
 * Sets of one key that wait together become one, the last; each callback runs when that is
 * stored.
 *
 * Errors: as for `connector_get`; `CONNECTOR_ERR_INVALID_ARGUMENT` also for data that is not
 * JSON.
 */
int32_t connector_set(struct connector_t *connector,
                      const char *key,
                      size_t key_length,
                      int64_t version,
                      const char *data,
                      size_t data_length,
                      uint32_t timeout_ms,
                      connector_done_callback_t callback,
                      void *userdata);

/**
 * Removes a record; one that is not there is no error. Otherwise like `connector_set`.
 */
int32_t connector_delete(struct connector_t *connector,
                         const char *key,
                         size_t key_length,
                         uint32_t timeout_ms,
                         connector_done_callback_t callback,
                         void *userdata);

/**
 * Reads many records: one callback with a result for each key, when all are there. A key may be
 * given more than once. A `count` of 0 is answered with no results. Otherwise like
 * `connector_get`; if the call fails, nothing of it is carried out.
 */
int32_t connector_get_many(struct connector_t *connector,
                           const struct connector_key_t *keys,
                           size_t count,
                           uint32_t timeout_ms,
                           connector_many_callback_t callback,
                           void *userdata);

/**
 * Reads many versions without the data. Otherwise like `connector_get_many`.
 */
int32_t connector_head_many(struct connector_t *connector,
                            const struct connector_key_t *keys,
                            size_t count,
                            uint32_t timeout_ms,
                            connector_many_callback_t callback,
                            void *userdata);

/**
 * Stores many records, in their order where a key is given more than once. It is not a
 * transaction: some may fail. Otherwise like `connector_get_many` and `connector_set`.
 */
int32_t connector_set_many(struct connector_t *connector,
                           const struct connector_entry_t *entries,
                           size_t count,
                           uint32_t timeout_ms,
                           connector_many_callback_t callback,
                           void *userdata);

/**
 * Removes many records. It is not a transaction: some may fail. Otherwise like
 * `connector_get_many`.
 */
int32_t connector_delete_many(struct connector_t *connector,
                              const struct connector_key_t *keys,
                              size_t count,
                              uint32_t timeout_ms,
                              connector_many_callback_t callback,
                              void *userdata);

/**
 * Reads a page of at most `limit` of all records, in an order of the database's own, for
 * listing and for moving them elsewhere. `cursor` is NULL for the first page, and the cursor of
 * a page for the one after it; it is copied. A record that is there all the while is on one
 * page; one that comes or goes meanwhile may be on one or on none. Operations that are under way
 * on this connector may or may not be seen. `timeout_ms` is as for `connector_get`.
 *
 * Any thread may call it. Errors: as for `connector_get`; `CONNECTOR_ERR_INVALID_ARGUMENT` also
 * for a limit of 0. The callback gets `CONNECTOR_ERR_UNSUPPORTED` from a cache, which cannot list
 * its records, and `CONNECTOR_ERR_INVALID_ARGUMENT` for a cursor that is none.
 */
int32_t connector_scan(struct connector_t *connector,
                       const char *cursor,
                       size_t cursor_length,
                       size_t limit,
                       uint32_t timeout_ms,
                       connector_page_callback_t callback,
                       void *userdata);

/**
 * Reads a page of the records alone whose keys begin with `prefix`, which is copied; NULL or
 * empty for all records. Where the database can tell, it sends no others: see
 * docs/listing-and-commands.md. A page may have fewer records than `limit`, and even none, although
 * there is a next one. Otherwise like `connector_scan`.
 *
 * Errors: as for `connector_scan`; `CONNECTOR_ERR_INVALID_ARGUMENT` also for a prefix that is not
 * UTF-8.
 */
int32_t connector_scan_prefix(struct connector_t *connector,
                              const char *prefix,
                              size_t prefix_length,
                              const char *cursor,
                              size_t cursor_length,
                              size_t limit,
                              uint32_t timeout_ms,
                              connector_page_callback_t callback,
                              void *userdata);

/**
 * Carries out a command that only this type of database has; see docs/listing-and-commands.md.
 * `arguments` is JSON in UTF-8, and may be empty; it and the name are copied. A command whose
 * answer is lost with the connection is not sent again: its callback gets
 * `CONNECTOR_ERR_UNAVAILABLE` and a message that says so. `timeout_ms` is as for
 * `connector_get`.
 *
 * Any thread may call it. Errors: as for `connector_get`; `CONNECTOR_ERR_INVALID_ARGUMENT` also
 * for arguments that are not JSON. The callback gets `CONNECTOR_ERR_UNSUPPORTED` where there is no
 * such command.
 */
int32_t connector_command(struct connector_t *connector,
                          const char *name,
                          size_t name_length,
                          const char *arguments,
                          size_t arguments_length,
                          uint32_t timeout_ms,
                          connector_answer_callback_t callback,
                          void *userdata);

/**
 * Closes a connector in an orderly way: accepts nothing more, lets what was accepted finish
 * within the option `closeTimeout`, fails the rest with `CONNECTOR_ERR_CLOSED`, says goodbye to
 * the server, and calls back. That callback is the connector's last one. It gets an error,
 * `CONNECTOR_ERR_CLOSED`, only if `connector_free` came first. A connector with a completion queue is given
 * NULL for it, and tells the end by a completion of the kind `CONNECTOR_KIND_CLOSED`.
 *
 * The connector still has to be released by `connector_free`, which the callback may do. Any
 * thread may call it. Errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED`;
 * `CONNECTOR_ERR_CLOSED` if it was called before.
 */
int32_t connector_close(struct connector_t *connector,
                        connector_done_callback_t callback,
                        void *userdata);

/**
 * Releases a connector, at any time. NULL is ignored.
 *
 * Every callback that has not run yet runs before this function returns, on the dispatch thread
 * or, for a polled connector and inside of a callback, on this one: with its result if there is
 * one already, else with `CONNECTOR_ERR_CLOSED`. After it has returned no callback starts. It
 * waits for a callback that is running on another thread, but never for the server.
 *
 * A connector with a completion queue has no callbacks: completions that were not fetched are released
 * unseen, see `connector_stop`.
 *
 * It may be called from inside any callback of the connector; what that callback was given
 * stays valid until the callback returns. No other thread may use the connector during the call,
 * and nobody after it, but callbacks that run during the call may still do so. In a forked child
 * it does nothing.
 */
void connector_free(struct connector_t *connector);

/**
 * Counters and latencies as one JSON object: `*json` is set to a text with a NUL at its end,
 * which the caller has to release with `connector_string_free`, and `*length`, which may be
 * NULL, to its length in bytes. Later versions may have more in it.
 *
 * It has `ready`, `inFlight`, `operations` with `get`, `head`, `set` and `delete` (each with
 * `count`, `errors`, and `latencyMicroseconds` with `p50`, `p90`, `p99` and `max`), `batches`
 * with `count`, `p50` and `max`, `coalesced`, `retries`, `connects` and `outages`.
 *
 * Any thread may call it. Errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED`.
 */
int32_t connector_stats(struct connector_t *connector, char **json, size_t *length);

/**
 * Releases a text that `connector_stats` gave. NULL is ignored.
 */
void connector_string_free(char *text);

/**
 * The file descriptor of a polled connector, or of one with a completion queue: `*fd` is set to it. It is
 * readable when `connector_dispatch` has something to do, or as long as there are completions for
 * `connector_next` to fetch. Watch it for reading, level-triggered; do not read, write or close it. It
 * stays the same until `connector_free`; stop watching it before that.
 *
 * Any thread may call it. Errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED`;
 * `CONNECTOR_ERR_UNSUPPORTED` for a connector of `connector_create`; for one with a completion queue
 * `CONNECTOR_ERR_UNAVAILABLE` if the system gives no descriptor.
 */
int32_t connector_fd(struct connector_t *connector,
                     int32_t *fd);

/**
 * Does what there is to do for a polled connector, and runs callbacks on this thread; at most
 * 1024 of them, after which the descriptor is readable again if there are more. Never blocks.
 *
 * Call it when `connector_fd` is readable. A call at any other time does no harm; nor does one
 * from inside a callback, or while another thread dispatches: it returns at once. What callbacks
 * submit is sent when those that are due have run, so they should not take long.
 *
 * Errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED` (also if a callback forked
 * and this is the child); `CONNECTOR_ERR_UNSUPPORTED` for a connector that is not polled.
 */
int32_t connector_dispatch(struct connector_t *connector);

/**
 * The library's version, such as `"1.2.3"`; a static text with a NUL at its end.
 */
const char *connector_version(void);

/**
 * The version of the library's binary interface. A program runs with it if this is the
 * `CONNECTOR_ABI_VERSION` that the program was compiled with.
 */
uint32_t connector_abi_version(void);

/**
 * The name of an error code: `"BUSY"` for `CONNECTOR_ERR_BUSY`, `"OK"` for `CONNECTOR_OK`,
 * `"UNKNOWN"` for numbers that this version does not have; a static text with a NUL at its end.
 */
const char *connector_error_name(int32_t code);

/**
 * What went wrong in this thread's last call of a `connector_` function that did not return
 * `CONNECTOR_OK`: one sentence in UTF-8 with a NUL at its end, empty if nothing did. `*length`,
 * which may be NULL, is set to its length in bytes. Borrowed: it is valid until the next call
 * on this thread that fails, or the thread's end.
 */
const char *connector_last_error_message(size_t *length);

/**
 * Makes a connector with a completion queue: nothing is called back.
 *
 * This is for hosts to which a callback is dear, above all on a foreign thread (Go, Java, .NET, Python,
 * Ruby): operations are handed in by `connector_submit`, and what became of them is fetched by
 * `connector_next`, many at a time. What `connector_events_t` tells others comes as completions, too. A
 * thread of the connector's own does the I/O, so that work goes on whether anything is fetched or not.
 *
 * Otherwise it is like `connector_create`. The functions that take a callback, `connector_close` with
 * NULL for it apart, are refused by such a connector with `CONNECTOR_ERR_UNSUPPORTED`, and so is
 * `connector_dispatch`.
 */
int32_t connector_create_queued(const char *config,
                                size_t config_length,
                                struct connector_t **out);

/**
 * Hands in `count` operations, in their order. Each that is accepted has exactly one completion, with its
 * `number`; all that it was given is copied. A `count` of 0 does nothing.
 *
 * The first one that is refused ends the call, with its error: `*accepted`, which may be NULL, is set to
 * how many were accepted before it. That one and those after it have no completion. With
 * `CONNECTOR_ERR_BUSY`, fetch some completions and hand in the rest. An operation is in flight until its
 * completion is fetched, and each on its own counts for the options `maxInFlight` and `maxBytesInFlight`.
 *
 * Any thread may call it. Errors: those of the functions that do the same with a callback;
 * `CONNECTOR_ERR_UNSUPPORTED` for a kind or a field that this version does not have, and for a connector
 * that was not made by `connector_create_queued`.
 */
int32_t connector_submit(struct connector_t *connector,
                         const struct connector_operation_t *operations,
                         size_t count,
                         size_t *accepted);

/**
 * Fetches at most `capacity` completions into the array `completions`, in the order in which the
 * operations were finished; `*count` is set to how many. `size` is `sizeof(connector_completion_t)`.
 *
 * If there is none it waits so many milliseconds for the first one: not at all for 0, without an end for
 * -1. None within that time is no error, and `*count` is 0. What completions point to is valid until the
 * next call for this connector, whatever that returns, or until `connector_free`.
 *
 * `CONNECTOR_ERR_CLOSED` means that the last completion of all, of the kind `CONNECTOR_KIND_CLOSED`, was
 * fetched before.
 *
 * Any thread may call it, one at a time: while another one is in it, it is `CONNECTOR_ERR_BUSY`. Other
 * errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED`; `CONNECTOR_ERR_UNSUPPORTED` for a
 * connector that was not made by `connector_create_queued`.
 */
int32_t connector_next(struct connector_t *connector,
                       struct connector_completion_t *completions,
                       size_t size,
                       size_t capacity,
                       int32_t wait_ms,
                       size_t *count);

/**
 * Ends a connector of `connector_create_queued` at once: accepts nothing more, and everything that is
 * unanswered fails with `CONNECTOR_ERR_CLOSED`. The completions are still to be fetched; that of the kind
 * `CONNECTOR_KIND_CLOSED` is the last one. Never waits for the server. A second call does nothing.
 *
 * `connector_free` releases what was not fetched, unseen. Whoever wants an answer to everything calls this,
 * or `connector_close`, and fetches until `CONNECTOR_KIND_CLOSED`, before it.
 *
 * Any thread may call it, also while another one waits in `connector_next`. Errors:
 * `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED`; `CONNECTOR_ERR_UNSUPPORTED` for a connector that
 * was not made by `connector_create_queued`, for which `connector_free` does the same.
 */
int32_t connector_stop(struct connector_t *connector);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* DEEPSTREAM_CONNECTOR_H */
