/*
 * The promises of deepstream_connector.h about the completion queue, one scenario for each run:
 *
 *     queue <scenario>
 *
 * It exits with 0 if the promise held. tests/c_lifecycle.rs has the table.
 */

#define _GNU_SOURCE

#include <deepstream_connector.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 120000 /* milliseconds; a fault alone needs them */
#define MEMORY "{\"type\":\"memory\"}"
/* Nobody listens at a port that is reserved. */
#define NOBODY "{\"type\":\"redis\",\"host\":\"127.0.0.1\",\"port\":1,\"timeout\":60000}"
#define REQUIRE(condition)                                                                           \
    do {                                                                                             \
        if (!(condition)) {                                                                          \
            fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition,  \
                    connector_last_error_message(NULL));                                             \
            _exit(1);                                                                                \
        }                                                                                            \
    } while (0)
#define ACCEPTED(call) REQUIRE((call) == CONNECTOR_OK)
#define SAYS(words) REQUIRE(strstr(connector_last_error_message(NULL), words) != NULL)

static connector_t *shared;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static void rest(int milliseconds)
{
    struct timespec time = {0, milliseconds * 1000000};
    nanosleep(&time, NULL);
}

static connector_t *create(const char *config)
{
    connector_t *connector = NULL;
    ACCEPTED(connector_create_queued(config, strlen(config), &connector));
    REQUIRE(connector != NULL);
    return connector;
}

static connector_operation_t operation(int32_t kind, uint64_t number, const char *key, const char *data)
{
    connector_operation_t made = {0};
    made.size = sizeof made;
    made.kind = kind;
    made.number = number;
    made.key = key;
    made.key_length = key != NULL ? strlen(key) : 0;
    made.version = -7;
    made.data = data;
    made.data_length = data != NULL ? strlen(data) : 0;
    return made;
}

static int32_t submit(connector_t *connector, int32_t kind, uint64_t number, const char *key, const char *data)
{
    connector_operation_t one = operation(kind, number, key, data);
    return connector_submit(connector, &one, 1, NULL);
}

/* The next completion that is no line of the log. */
static connector_completion_t next(connector_t *connector)
{
    connector_completion_t completion;
    size_t count;
    do {
        memset(&completion, 0xff, sizeof completion);
        ACCEPTED(connector_next(connector, &completion, sizeof completion, 1, PATIENCE, &count));
        REQUIRE(count == 1 && completion.size == sizeof completion);
    } while (completion.kind == CONNECTOR_KIND_LOG);
    return completion;
}

/* The next completion of an operation. */
static connector_completion_t next_done(connector_t *connector)
{
    connector_completion_t done;
    do
        done = next(connector);
    while (done.kind >= CONNECTOR_KIND_READY);
    return done;
}

static void expect_ready(connector_t *connector)
{
    connector_completion_t ready = next(connector);
    REQUIRE(ready.kind == CONNECTOR_KIND_READY && ready.code == CONNECTOR_OK && ready.number == 0);
}

static int is_text(const char *given, size_t length, const char *expected)
{
    return length == strlen(expected) && memcmp(given, expected, length) == 0;
}

/* The completion of a read; NULL is a miss, and an empty text a version without data. */
static void expect_read(connector_completion_t done, int32_t kind, uint64_t number, const char *data)
{
    REQUIRE(done.kind == kind && done.number == number && done.code == CONNECTOR_OK && done.message == NULL);
    REQUIRE(done.found == (data != NULL));
    REQUIRE(!done.found || done.version == -7);
    if (data == NULL || *data == 0)
        REQUIRE(done.data == NULL && done.data_length == 0);
    else
        REQUIRE(is_text(done.data, done.data_length, data));
}

static void expect(connector_completion_t done, int32_t kind, uint64_t number, int32_t code)
{
    REQUIRE(done.kind == kind && done.number == number && done.code == code && !done.found);
    REQUIRE((code == CONNECTOR_OK) == (done.message_length == 0));
}

/* Nothing more comes. */
static void expect_end(connector_t *connector)
{
    connector_completion_t completion;
    size_t count = 9;
    REQUIRE(connector_next(connector, &completion, sizeof completion, 1, -1, &count) == CONNECTOR_ERR_CLOSED);
    REQUIRE(count == 0);
}

/* Fetches until the end, and counts operations: how many there were, and how many of them failed with CLOSED. */
static void fetch_all(connector_t *connector, int *all, int *closed, int32_t end)
{
    *all = *closed = 0;
    for (;;) {
        connector_completion_t done = next(connector);
        if (done.kind == CONNECTOR_KIND_CLOSED) {
            REQUIRE(done.code == end);
            break;
        }
        if (done.kind < CONNECTOR_KIND_READY) {
            REQUIRE(done.code == CONNECTOR_OK || done.code == CONNECTOR_ERR_CLOSED);
            *all += 1;
            *closed += done.code == CONNECTOR_ERR_CLOSED;
        }
    }
    expect_end(connector);
}

static int in_flight(connector_t *connector, int expected)
{
    char *json, wanted[32];
    int is_so;
    snprintf(wanted, sizeof wanted, "\"inFlight\":%d,", expected);
    ACCEPTED(connector_stats(connector, &json, NULL));
    is_so = strstr(json, wanted) != NULL;
    connector_string_free(json);
    return is_so;
}

static int is_readable(int32_t fd, int patience)
{
    struct pollfd watched = {fd, POLLIN, 0};
    return poll(&watched, 1, patience) == 1;
}

/* ---- Answers ---- */

static void answers_are_what_was_stored(void)
{
    char key[] = "key", data[] = "{\"a\":\"\\u0000\"}";
    connector_operation_t operations[] = {
        operation(CONNECTOR_KIND_GET, 1, "key", NULL),
        operation(CONNECTOR_KIND_SET, UINT64_MAX, key, data),
        operation(CONNECTOR_KIND_GET, 3, "key", NULL),
        operation(CONNECTOR_KIND_HEAD, 4, "key", NULL),
        operation(CONNECTOR_KIND_DELETE, 5, "key", NULL),
        operation(CONNECTOR_KIND_HEAD, 6, "key", NULL),
    };
    size_t accepted = 0;
    connector_t *connector = create(MEMORY);
    ACCEPTED(connector_submit(connector, operations, 6, &accepted));
    REQUIRE(accepted == 6);
    /* The library has copied what it was given. */
    memset(key, '!', 3);
    memset(data, '!', strlen(data));
    memset(operations, '!', sizeof operations);
    expect_ready(connector);
    expect_read(next(connector), CONNECTOR_KIND_GET, 1, NULL);
    expect(next(connector), CONNECTOR_KIND_SET, UINT64_MAX, CONNECTOR_OK);
    expect_read(next(connector), CONNECTOR_KIND_GET, 3, "{\"a\":\"\\u0000\"}");
    expect_read(next(connector), CONNECTOR_KIND_HEAD, 4, "");
    expect(next(connector), CONNECTOR_KIND_DELETE, 5, CONNECTOR_OK);
    expect_read(next(connector), CONNECTOR_KIND_HEAD, 6, NULL);
    connector_free(connector);
}

static void many_keys_have_one_completion(void)
{
    static char large[500];
    connector_key_t keys[] = {{sizeof *keys, "a", 1}, {sizeof *keys, "no", 2}, {sizeof *keys, "a", 1}};
    connector_entry_t entries[] = {{sizeof *entries, "a", 1, 5, "[1]", 3}, {sizeof *entries, "b", 1, 6, large, 500}};
    connector_operation_t operations[5];
    connector_t *connector = create("{\"type\":\"memory\",\"maxBytes\":600}");
    connector_completion_t done;
    int i, seen[5] = {0};
    memset(large, '1', sizeof large);
    for (i = 0; i < 5; i++) {
        operations[i] = operation(CONNECTOR_KIND_GET_MANY, (uint64_t)i, NULL, NULL);
        operations[i].count = 3;
        operations[i].keys = keys;
        operations[i].entries = entries;
    }
    operations[0].kind = CONNECTOR_KIND_SET_MANY;
    operations[0].count = 2;
    operations[2].kind = CONNECTOR_KIND_HEAD_MANY;
    operations[3].kind = CONNECTOR_KIND_DELETE_MANY;
    operations[4].count = 0;
    ACCEPTED(connector_submit(connector, operations, 5, NULL));
    /* In whatever order they were finished. */
    for (i = 0; i < 5; i++) {
        done = next_done(connector);
        REQUIRE(done.kind == operations[done.number].kind && done.count == operations[done.number].count);
        REQUIRE((done.code == CONNECTOR_OK) == (done.message_length == 0));
        REQUIRE((done.results == NULL) == (done.count == 0));
        REQUIRE(done.code == (done.number == 0 ? CONNECTOR_ERR_TOO_LARGE : CONNECTOR_OK));
        if (done.number == 0) {
            REQUIRE(done.results[0]->error == NULL && done.results[0]->record == NULL);
            REQUIRE(done.results[1]->error->code == CONNECTOR_ERR_TOO_LARGE);
        } else if (done.count > 0) {
            int is_read = done.kind != CONNECTOR_KIND_DELETE_MANY;
            REQUIRE(done.results[1]->record == NULL && done.results[1]->error == NULL);
            REQUIRE((done.results[0]->record != NULL) == is_read);
            REQUIRE(!is_read || (done.results[0]->record->version == 5 &&
                                 (done.results[2]->record->data != NULL) == (done.number == 1)));
        }
        seen[done.number]++;
    }
    for (i = 0; i < 5; i++)
        REQUIRE(seen[i] == 1);
    connector_free(connector);
}

static void pages_and_commands_answer(void)
{
    char folder[] = "/tmp/queue-XXXXXX", config[200], path[100];
    connector_operation_t scan = operation(CONNECTOR_KIND_SCAN, 3, NULL, NULL);
    connector_completion_t done;
    connector_t *connector;
    REQUIRE(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/db", folder);
    snprintf(config, sizeof config, "{\"type\":\"sqlite\",\"path\":\"%s\"}", path);
    connector = create(config);
    ACCEPTED(submit(connector, CONNECTOR_KIND_SET, 1, "a", "[1]"));
    ACCEPTED(submit(connector, CONNECTOR_KIND_SET, 2, "b", "[2]"));
    next_done(connector);
    next_done(connector);
    scan.count = 1;
    ACCEPTED(connector_submit(connector, &scan, 1, NULL));
    done = next_done(connector);
    REQUIRE(done.number == 3 && done.code == CONNECTOR_OK && done.page != NULL && done.page->count == 1);
    REQUIRE(done.page->cursor != NULL && is_text(done.page->records[0]->data, done.page->records[0]->data_length, "[1]"));
    /* The cursor is copied as every argument is. */
    scan.key = done.page->cursor;
    scan.key_length = done.page->cursor_length;
    scan.count = 100;
    ACCEPTED(connector_submit(connector, &scan, 1, NULL));
    done = next_done(connector);
    REQUIRE(done.page != NULL && done.page->count == 1 && done.page->cursor == NULL);
    ACCEPTED(submit(connector, CONNECTOR_KIND_COMMAND, 4, "none", "{}"));
    expect(next_done(connector), CONNECTOR_KIND_COMMAND, 4, CONNECTOR_ERR_UNSUPPORTED);
    connector_free(connector);
    connector = create(MEMORY);
    scan.key = NULL;
    scan.key_length = 0;
    ACCEPTED(connector_submit(connector, &scan, 1, NULL));
    done = next_done(connector);
    REQUIRE(done.code == CONNECTOR_ERR_UNSUPPORTED && done.page == NULL);
    connector_free(connector);
}

static void events_are_completions(void)
{
    connector_completion_t all[8];
    int lines = 0, ready = 0;
    size_t count, i;
    connector_t *connector = create(MEMORY);
    while (lines == 0 || ready == 0) {
        ACCEPTED(connector_next(connector, all, sizeof *all, 8, PATIENCE, &count));
        REQUIRE(count > 0);
        for (i = 0; i < count; i++) {
            if (all[i].kind == CONNECTOR_KIND_LOG) {
                REQUIRE(all[i].level == CONNECTOR_LOG_INFO);
                REQUIRE(memmem(all[i].message, all[i].message_length, "connected", 9) != NULL);
                lines++;
            } else {
                REQUIRE(all[i].kind == CONNECTOR_KIND_READY);
                ready++;
            }
        }
    }
    connector_free(connector);
    connector = create(NOBODY);
    all[0] = next(connector);
    REQUIRE(all[0].kind == CONNECTOR_KIND_ERROR && all[0].code == CONNECTOR_ERR_UNAVAILABLE);
    REQUIRE(all[0].message_length > 0 && !all[0].fatal && all[0].retryable);
    connector_free(connector);
}

static void a_deadline_is_the_operations_own(void)
{
    connector_operation_t set = operation(CONNECTOR_KIND_SET, 1, "k", "1");
    connector_t *connector = create(NOBODY);
    connector_completion_t done;
    set.timeout_ms = 50;
    ACCEPTED(connector_submit(connector, &set, 1, NULL));
    done = next_done(connector);
    expect(done, CONNECTOR_KIND_SET, 1, CONNECTOR_ERR_TIMEOUT);
    REQUIRE(done.retryable && done.applied == CONNECTOR_APPLIED_NO);
    connector_free(connector);
}

/* ---- Submission ---- */

static void refused_operations_have_no_completion(void)
{
    static char long_key[65538];
    struct {
        connector_operation_t bad;
        int32_t code;
        const char *says;
    } cases[] = {
        {operation(CONNECTOR_KIND_GET, 2, "", NULL), CONNECTOR_ERR_INVALID_ARGUMENT, "key is empty"},
        {operation(CONNECTOR_KIND_GET, 2, NULL, NULL), CONNECTOR_ERR_INVALID_ARGUMENT, "key is empty"},
        {operation(CONNECTOR_KIND_GET, 2, long_key, NULL), CONNECTOR_ERR_INVALID_ARGUMENT, "65537"},
        {operation(CONNECTOR_KIND_GET, 2, "\xff", NULL), CONNECTOR_ERR_INVALID_ARGUMENT, "UTF-8"},
        {operation(CONNECTOR_KIND_SET, 2, "k", "{"), CONNECTOR_ERR_INVALID_ARGUMENT, "JSON"},
        {operation(CONNECTOR_KIND_SET, 2, "k", NULL), CONNECTOR_ERR_INVALID_ARGUMENT, "JSON"},
        {operation(CONNECTOR_KIND_SCAN, 2, NULL, NULL), CONNECTOR_ERR_INVALID_ARGUMENT, "limit"},
        {operation(CONNECTOR_KIND_COMMAND, 2, "none", "{"), CONNECTOR_ERR_INVALID_ARGUMENT, "JSON"},
        {operation(0, 2, "k", NULL), CONNECTOR_ERR_INVALID_ARGUMENT, "CONNECTOR_KIND_"},
        {operation(CONNECTOR_KIND_READY, 2, "k", NULL), CONNECTOR_ERR_UNSUPPORTED, "CONNECTOR_KIND_"},
        {operation(CONNECTOR_KIND_GET, 2, "k", NULL), CONNECTOR_ERR_INVALID_ARGUMENT, "sizes"},
    };
    size_t i, count = sizeof cases / sizeof *cases, accepted;
    connector_t *connector;
    memset(long_key, 'k', sizeof long_key - 1);
    cases[2].bad.key_length = sizeof long_key - 1;
    cases[count - 1].bad.size++;
    connector = create(MEMORY);
    expect_ready(connector);
    for (i = 0; i < count; i++) {
        connector_operation_t operations[] = {operation(CONNECTOR_KIND_SET, 1, "k", "1"), cases[i].bad,
                                              operation(CONNECTOR_KIND_SET, 3, "k", "3")};
        accepted = 9;
        REQUIRE(connector_submit(connector, operations, 3, &accepted) == cases[i].code);
        REQUIRE(accepted == 1);
        SAYS(cases[i].says);
        /* The host goes on after it, as it likes. */
        ACCEPTED(connector_submit(connector, operations + 2, 1, &accepted));
        expect(next(connector), CONNECTOR_KIND_SET, 1, CONNECTOR_OK);
        expect(next(connector), CONNECTOR_KIND_SET, 3, CONNECTOR_OK);
    }
    REQUIRE(in_flight(connector, 0));
    connector_free(connector);
}

static void an_operation_is_in_flight_until_its_completion_is_fetched(void)
{
    connector_operation_t operations[5];
    connector_completion_t done[5];
    size_t accepted, count, i;
    int32_t fd;
    connector_t *connector = create("{\"type\":\"memory\",\"maxInFlight\":3,\"logLevel\":\"error\"}");
    expect_ready(connector);
    ACCEPTED(connector_fd(connector, &fd));
    for (i = 0; i < 5; i++)
        operations[i] = operation(CONNECTOR_KIND_SET, i, "k", "1");
    REQUIRE(connector_submit(connector, operations, 5, &accepted) == CONNECTOR_ERR_BUSY);
    SAYS("maxInFlight");
    REQUIRE(accepted == 3);
    /* They are finished, and still nothing more is accepted. */
    REQUIRE(is_readable(fd, PATIENCE));
    while (strstr(connector_last_error_message(NULL), "maxInFlight") != NULL) {
        char *json;
        int are_done;
        ACCEPTED(connector_stats(connector, &json, NULL));
        are_done = strstr(json, "\"set\":{\"count\":3,") != NULL;
        connector_string_free(json);
        if (are_done)
            break;
        rest(1);
    }
    REQUIRE(in_flight(connector, 3));
    REQUIRE(connector_submit(connector, operations + 3, 2, &accepted) == CONNECTOR_ERR_BUSY && accepted == 0);
    ACCEPTED(connector_next(connector, done, sizeof *done, 1, PATIENCE, &count));
    REQUIRE(count == 1 && done[0].number == 0 && in_flight(connector, 2));
    REQUIRE(connector_submit(connector, operations + 3, 2, &accepted) == CONNECTOR_ERR_BUSY && accepted == 1);
    for (i = 1; i < 4; i++)
        expect(next(connector), CONNECTOR_KIND_SET, i, CONNECTOR_OK);
    REQUIRE(in_flight(connector, 0));
    connector_free(connector);
}

/* Hosts and libraries of different versions have structs of different sizes. */
static void a_newer_host_is_served(void)
{
    struct {
        connector_operation_t known;
        size_t added;
    } operations[2] = {{operation(CONNECTOR_KIND_SET, 1, "k", "1"), 0}, {operation(CONNECTOR_KIND_GET, 2, "k", NULL), 0}};
    struct {
        connector_completion_t known;
        size_t added;
    } done[3];
    connector_t *connector = create("{\"type\":\"memory\",\"logLevel\":\"error\"}");
    size_t accepted, count;
    expect_ready(connector);
    operations[0].known.size = operations[1].known.size = sizeof *operations;
    ACCEPTED(connector_submit(connector, &operations[0].known, 2, &accepted));
    REQUIRE(accepted == 2);
    while (!in_flight(connector, 0)) {
        memset(done, 0xff, sizeof done);
        ACCEPTED(connector_next(connector, &done[0].known, sizeof *done, 3, PATIENCE, &count));
        REQUIRE(count > 0 && done[count - 1].added == 0);
        REQUIRE(done[count - 1].known.size == sizeof(connector_completion_t));
        REQUIRE(count == 3 || done[count].added == SIZE_MAX);
    }
    expect_read(done[count - 1].known, CONNECTOR_KIND_GET, 2, "1");
    operations[1].added = 1;
    REQUIRE(connector_submit(connector, &operations[0].known, 2, &accepted) == CONNECTOR_ERR_UNSUPPORTED);
    REQUIRE(accepted == 1);
    connector_free(connector);
}

#define THREADS 4
#define EACH 5000
static atomic_int refused;

static void *submit_many(void *argument)
{
    uint64_t first = (uint64_t)(uintptr_t)argument * EACH, done = 0;
    while (done < EACH) {
        connector_operation_t operations[50];
        size_t count = 0, accepted;
        int32_t code;
        char keys[50][16];
        for (; count < 50 && done + count < EACH; count++) {
            snprintf(keys[count], sizeof keys[count], "k%d", (int)((first + done + count) % 97));
            operations[count] = operation((done + count) % 3 ? CONNECTOR_KIND_SET : CONNECTOR_KIND_GET,
                                          first + done + count, keys[count], "[1]");
        }
        code = connector_submit(shared, operations, count, &accepted);
        done += accepted;
        REQUIRE(code == CONNECTOR_OK || code == CONNECTOR_ERR_BUSY);
        if (code == CONNECTOR_ERR_BUSY) {
            refused++;
            rest(1);
        }
    }
    return NULL;
}

static void each_operation_has_exactly_one_completion(void)
{
    static char seen[THREADS * EACH];
    connector_completion_t done[100];
    pthread_t threads[THREADS];
    size_t i, count, left = THREADS * EACH;
    shared = create("{\"type\":\"memory\",\"maxInFlight\":500}");
    for (i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, submit_many, (void *)(uintptr_t)i) == 0);
    while (left > 0) {
        ACCEPTED(connector_next(shared, done, sizeof *done, 100, PATIENCE, &count));
        REQUIRE(count > 0);
        for (i = 0; i < count; i++) {
            if (done[i].kind >= CONNECTOR_KIND_READY)
                continue;
            REQUIRE(done[i].code == CONNECTOR_OK && done[i].number < THREADS * EACH && !seen[done[i].number]++);
            left--;
        }
    }
    for (i = 0; i < THREADS; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    ACCEPTED(connector_next(shared, done, sizeof *done, 100, 0, &count));
    REQUIRE(count == 0 && in_flight(shared, 0));
    connector_free(shared);
}

/* ---- Fetching ---- */

static void *submit_later(void *argument)
{
    rest(30);
    ACCEPTED(submit(argument, CONNECTOR_KIND_SET, 1, "k", "1"));
    return NULL;
}

static void a_fetch_waits_as_long_as_it_is_told(void)
{
    connector_completion_t done;
    size_t count = 9;
    double began;
    pthread_t thread;
    connector_t *connector = create("{\"type\":\"memory\",\"logLevel\":\"error\"}");
    expect_ready(connector);
    ACCEPTED(connector_next(connector, &done, sizeof done, 1, 0, &count));
    REQUIRE(count == 0);
    began = now();
    ACCEPTED(connector_next(connector, &done, sizeof done, 1, 50, &count));
    REQUIRE(count == 0 && now() - began >= 49);
    REQUIRE(pthread_create(&thread, NULL, submit_later, connector) == 0);
    ACCEPTED(connector_next(connector, &done, sizeof done, 1, -1, &count));
    REQUIRE(count == 1);
    expect(done, CONNECTOR_KIND_SET, 1, CONNECTOR_OK);
    REQUIRE(pthread_join(thread, NULL) == 0);
    REQUIRE(connector_next(connector, &done, sizeof done, 1, -2, &count) == CONNECTOR_ERR_INVALID_ARGUMENT);
    SAYS("-2 ms");
    connector_free(connector);
}

static void the_descriptor_is_readable_as_long_as_some_wait(void)
{
    connector_completion_t done;
    size_t count;
    int32_t fd = -1, again = -1;
    int round, i;
    connector_t *connector = create("{\"type\":\"memory\",\"logLevel\":\"error\"}");
    ACCEPTED(connector_fd(connector, &fd));
    ACCEPTED(connector_fd(connector, &again));
    REQUIRE(fd >= 0 && again == fd);
    expect_ready(connector);
    REQUIRE(!is_readable(fd, 0));
    for (round = 0; round < 500; round++) {
        for (i = 0; i < 3; i++)
            ACCEPTED(submit(connector, CONNECTOR_KIND_SET, (uint64_t)i, "k", "1"));
        for (i = 0; i < 3; i++) {
            REQUIRE(is_readable(fd, PATIENCE));
            ACCEPTED(connector_next(connector, &done, sizeof done, 1, 0, &count));
            REQUIRE(count == 1 && done.number == (uint64_t)i);
        }
        REQUIRE(!is_readable(fd, 0));
    }
    /* One that is first asked for while some wait is readable at once; and the end is something to fetch. */
    connector_free(connector);
    connector = create(MEMORY);
    ACCEPTED(connector_close(connector, NULL, NULL));
    do
        ACCEPTED(connector_next(connector, &done, sizeof done, 1, PATIENCE, &count));
    while (count == 1 && done.kind == CONNECTOR_KIND_LOG);
    ACCEPTED(connector_fd(connector, &fd));
    while (done.kind != CONNECTOR_KIND_CLOSED) {
        REQUIRE(is_readable(fd, PATIENCE));
        ACCEPTED(connector_next(connector, &done, sizeof done, 1, 0, &count));
        REQUIRE(count == 1);
    }
    REQUIRE(!is_readable(fd, 0));
    connector_free(connector);
}

static void what_completions_point_to_stays_until_the_next_fetch(void)
{
    connector_completion_t done[3];
    size_t count, i, left = 3;
    connector_t *connector = create("{\"type\":\"memory\",\"logLevel\":\"error\"}");
    expect_ready(connector);
    ACCEPTED(submit(connector, CONNECTOR_KIND_SET, 0, "k", "\"some data of some length\""));
    ACCEPTED(submit(connector, CONNECTOR_KIND_GET, 1, "k", NULL));
    ACCEPTED(submit(connector, CONNECTOR_KIND_COMMAND, 2, "none", NULL));
    while (!is_readable((connector_fd(connector, (int32_t *)&count), (int32_t)count), PATIENCE)) {}
    while (left > 0) {
        ACCEPTED(connector_next(connector, done, sizeof *done, 3, PATIENCE, &count));
        /* Other operations come, and the end. */
        submit(connector, CONNECTOR_KIND_SET, 3, "k", "2");
        if (left == count)
            ACCEPTED(connector_close(connector, NULL, NULL));
        for (i = 0; i < count; i++) {
            if (done[i].number == 1 && done[i].kind == CONNECTOR_KIND_GET)
                REQUIRE(is_text(done[i].data, done[i].data_length, "\"some data of some length\""));
            if (done[i].number == 2)
                REQUIRE(memchr(done[i].message, 'c', done[i].message_length) != NULL);
            left -= done[i].number < 3 && done[i].kind < CONNECTOR_KIND_READY;
        }
    }
    connector_free(connector);
}

static void *wait_for_the_end(void *argument)
{
    int all, closed;
    fetch_all(argument, &all, &closed, CONNECTOR_ERR_CLOSED);
    return (void *)(uintptr_t)all;
}

/* As long as it is not refused for the other one's sake. */
static void *fetch_beside_another(void *argument)
{
    connector_completion_t done;
    size_t count;
    int32_t code;
    do
        code = connector_next(argument, &done, sizeof done, 1, -1, &count);
    while (code == CONNECTOR_OK || code == CONNECTOR_ERR_BUSY);
    REQUIRE(code == CONNECTOR_ERR_CLOSED);
    return NULL;
}

static void one_thread_fetches_at_a_time(void)
{
    connector_completion_t done;
    size_t count;
    int32_t code;
    double limit = now() + PATIENCE;
    pthread_t thread;
    shared = create(NOBODY);
    REQUIRE(pthread_create(&thread, NULL, fetch_beside_another, shared) == 0);
    do {
        code = connector_next(shared, &done, sizeof done, 1, 0, &count);
        REQUIRE(now() < limit && count <= 1);
    } while (code == CONNECTOR_OK);
    REQUIRE(code == CONNECTOR_ERR_BUSY);
    SAYS("one thread");
    ACCEPTED(connector_stop(shared));
    REQUIRE(pthread_join(thread, NULL) == 0);
    connector_free(shared);
}

/* ---- Ends ---- */

static void submit_all_kinds(connector_t *connector)
{
    connector_key_t key = {sizeof key, "a", 1};
    connector_entry_t entry = {sizeof entry, "a", 1, 7, "[]", 2};
    int32_t kind;
    for (kind = CONNECTOR_KIND_GET; kind <= CONNECTOR_KIND_DELETE_MANY; kind++) {
        connector_operation_t one = operation(kind, (uint64_t)kind, "a", "{}");
        one.count = 1;
        one.keys = &key;
        one.entries = &entry;
        ACCEPTED(connector_submit(connector, &one, 1, NULL));
    }
}

#define KINDS 8

static void close_finishes_accepted_work(void)
{
    connector_completion_t done;
    int i;
    connector_t *connector = create(MEMORY);
    submit_all_kinds(connector);
    ACCEPTED(connector_close(connector, NULL, (void *)(uintptr_t)77));
    REQUIRE(connector_close(connector, NULL, NULL) == CONNECTOR_ERR_CLOSED);
    REQUIRE(submit(connector, CONNECTOR_KIND_GET, 1, "k", NULL) == CONNECTOR_ERR_CLOSED);
    expect_ready(connector);
    for (i = 0; i < KINDS; i++) {
        done = next(connector);
        REQUIRE(done.code == CONNECTOR_OK && done.number == (uint64_t)done.kind);
    }
    expect(next(connector), CONNECTOR_KIND_CLOSED, 77, CONNECTOR_OK);
    expect_end(connector);
    expect_end(connector);
    REQUIRE(connector_close(connector, NULL, NULL) == CONNECTOR_ERR_CLOSED);
    ACCEPTED(connector_stop(connector));
    connector_free(connector);
}

static void stop_answers_everything(void)
{
    int round, i, all, closed;
    for (round = 0; round < 20; round++) {
        connector_t *connector = create(round % 2 ? NOBODY : MEMORY);
        for (i = 0; i < 50; i++)
            submit_all_kinds(connector);
        if (round % 4 == 1)
            ACCEPTED(connector_close(connector, NULL, NULL));
        ACCEPTED(connector_stop(connector));
        ACCEPTED(connector_stop(connector));
        REQUIRE(submit(connector, CONNECTOR_KIND_GET, 1, "k", NULL) == CONNECTOR_ERR_CLOSED);
        fetch_all(connector, &all, &closed, CONNECTOR_ERR_CLOSED);
        REQUIRE(all == 50 * KINDS && (round % 2 == 0 || closed == all));
        connector_free(connector);
    }
}

static void stop_wakes_who_waits(void)
{
    pthread_t thread;
    void *all;
    shared = create(NOBODY);
    ACCEPTED(submit(shared, CONNECTOR_KIND_SET, 1, "k", "1"));
    REQUIRE(pthread_create(&thread, NULL, wait_for_the_end, shared) == 0);
    rest(20);
    ACCEPTED(connector_stop(shared));
    REQUIRE(pthread_join(thread, &all) == 0 && all == (void *)1);
    connector_free(shared);
}

static void free_releases_what_was_not_fetched(void)
{
    connector_completion_t done[10];
    size_t count;
    int round;
    for (round = 0; round < 20; round++) {
        connector_t *connector = create(round % 2 ? NOBODY : MEMORY);
        submit_all_kinds(connector);
        ACCEPTED(submit(connector, CONNECTOR_KIND_COMMAND, 1, "none", NULL));
        if (round % 4 < 2)
            ACCEPTED(connector_next(connector, done, sizeof *done, 10, 20, &count));
        connector_free(connector);
    }
}

static void exit_with_work_pending(void)
{
    int i;
    shared = create(MEMORY);
    for (i = 0; i < 100; i++)
        submit_all_kinds(shared);
    next(shared);
}

static void exit_while_a_thread_waits(void)
{
    pthread_t thread;
    shared = create(NOBODY);
    REQUIRE(pthread_create(&thread, NULL, wait_for_the_end, shared) == 0);
    pthread_detach(thread);
    rest(20);
}

/* ---- Errors ---- */

static void on_record(void *userdata, const connector_error_t *error, const connector_record_t *record)
{
    (void)userdata;
    (void)error;
    (void)record;
    REQUIRE(!"called back");
}

static void on_done(void *userdata, const connector_error_t *error)
{
    (void)userdata;
    REQUIRE(error == NULL);
}

static void modes_are_told_apart(void)
{
    connector_key_t key = {sizeof key, "k", 1};
    connector_entry_t entry = {sizeof entry, "k", 1, 1, "1", 1};
    connector_completion_t done;
    size_t count = 9;
    int polled;
    connector_t *other, *connector = create(MEMORY);
    REQUIRE(connector_get(connector, "k", 1, 0, on_record, NULL) == CONNECTOR_ERR_UNSUPPORTED);
    SAYS("connector_submit");
    REQUIRE(connector_head(connector, "k", 1, 0, NULL, NULL) == CONNECTOR_ERR_UNSUPPORTED);
    REQUIRE(connector_set(connector, "k", 1, 1, "1", 1, 0, NULL, NULL) == CONNECTOR_ERR_UNSUPPORTED);
    REQUIRE(connector_delete(connector, "k", 1, 0, NULL, NULL) == CONNECTOR_ERR_UNSUPPORTED);
    REQUIRE(connector_get_many(connector, &key, 1, 0, NULL, NULL) == CONNECTOR_ERR_UNSUPPORTED);
    REQUIRE(connector_head_many(connector, &key, 1, 0, NULL, NULL) == CONNECTOR_ERR_UNSUPPORTED);
    REQUIRE(connector_set_many(connector, &entry, 1, 0, NULL, NULL) == CONNECTOR_ERR_UNSUPPORTED);
    REQUIRE(connector_delete_many(connector, &key, 1, 0, NULL, NULL) == CONNECTOR_ERR_UNSUPPORTED);
    REQUIRE(connector_scan(connector, NULL, 0, 1, 0, NULL, NULL) == CONNECTOR_ERR_UNSUPPORTED);
    REQUIRE(connector_command(connector, "c", 1, NULL, 0, 0, NULL, NULL) == CONNECTOR_ERR_UNSUPPORTED);
    REQUIRE(connector_close(connector, on_done, NULL) == CONNECTOR_ERR_UNSUPPORTED);
    REQUIRE(connector_dispatch(connector) == CONNECTOR_ERR_UNSUPPORTED);
    SAYS("connector_next");
    connector_free(connector);
    for (polled = 0; polled < 2; polled++) {
        ACCEPTED((polled ? connector_create_polled : connector_create)(MEMORY, strlen(MEMORY), NULL, &other));
        REQUIRE(submit(other, CONNECTOR_KIND_GET, 1, "k", NULL) == CONNECTOR_ERR_UNSUPPORTED);
        SAYS("connector_create_queued");
        REQUIRE(connector_next(other, &done, sizeof done, 1, 0, &count) == CONNECTOR_ERR_UNSUPPORTED && count == 0);
        REQUIRE(connector_stop(other) == CONNECTOR_ERR_UNSUPPORTED);
        connector_free(other);
    }
}

static void all_calls_fail(connector_t *connector, int32_t code)
{
    connector_completion_t done;
    size_t count = 9, accepted = 9;
    connector_operation_t one = operation(CONNECTOR_KIND_GET, 1, "k", NULL);
    int32_t fd;
    REQUIRE(connector_submit(connector, &one, 1, &accepted) == code && accepted == 0);
    REQUIRE(connector_next(connector, &done, sizeof done, 1, -1, &count) == code && count == 0);
    REQUIRE(connector_stop(connector) == code);
    REQUIRE(connector_fd(connector, &fd) == code);
    REQUIRE(connector_close(connector, NULL, NULL) == code);
    connector_free(connector);
}

static void null_is_an_error(void)
{
    connector_operation_t one = operation(CONNECTOR_KIND_GET_MANY, 1, NULL, NULL);
    connector_completion_t done;
    connector_t *made;
    size_t count = 9;
    all_calls_fail(NULL, CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_create_queued(MEMORY, strlen(MEMORY), NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_create_queued(NULL, 5, &made) == CONNECTOR_ERR_INVALID_ARGUMENT && made == NULL);
    REQUIRE(connector_create_queued("{}", 2, &made) == CONNECTOR_ERR_CONFIGURATION && made == NULL);
    made = create("{\"type\":\"memory\",\"logLevel\":\"error\"}");
    expect_ready(made);
    ACCEPTED(connector_submit(made, NULL, 0, NULL));
    REQUIRE(connector_submit(made, NULL, 1, &count) == CONNECTOR_ERR_INVALID_ARGUMENT && count == 0);
    REQUIRE(connector_submit(made, &one, SIZE_MAX / 8, &count) == CONNECTOR_ERR_INVALID_ARGUMENT && count == 0);
    one.count = 1;
    REQUIRE(connector_submit(made, &one, 1, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    one.kind = CONNECTOR_KIND_SET_MANY;
    REQUIRE(connector_submit(made, &one, 1, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    one.count = SIZE_MAX;
    REQUIRE(connector_submit(made, &one, 1, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    one.size = 0;
    REQUIRE(connector_submit(made, &one, 1, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    SAYS("sizeof(connector_operation_t)");
    REQUIRE(connector_next(made, NULL, sizeof done, 1, 0, &count) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_next(made, &done, sizeof done, 1, 0, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_next(made, &done, sizeof done, 0, 0, &count) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_next(made, &done, sizeof done, SIZE_MAX / 8, 0, &count) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_next(made, &done, 8, 1, 0, &count) == CONNECTOR_ERR_INVALID_ARGUMENT);
    SAYS("sizeof(connector_completion_t)");
    ACCEPTED(connector_next(made, &done, sizeof done, 1, 0, &count));
    REQUIRE(count == 0);
    connector_free(made);
}

static void fork_child_is_told(void)
{
    int status = -1, all, closed;
    pthread_t thread;
    pid_t child;
    shared = create(NOBODY);
    submit_all_kinds(shared);
    REQUIRE(pthread_create(&thread, NULL, wait_for_the_end, shared) == 0);
    rest(20);
    child = fork();
    if (child == 0) {
        all_calls_fail(shared, CONNECTOR_ERR_FORKED);
        shared = create(MEMORY);
        submit_all_kinds(shared);
        ACCEPTED(connector_close(shared, NULL, NULL));
        fetch_all(shared, &all, &closed, CONNECTOR_OK);
        REQUIRE(all == KINDS && closed == 0);
        connector_free(shared);
        exit(0);
    }
    REQUIRE(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ACCEPTED(connector_stop(shared));
    REQUIRE(pthread_join(thread, NULL) == 0);
    connector_free(shared);
}

#define SCENARIO(name) {#name, name}

static const struct {
    const char *name;
    void (*run)(void);
} scenarios[] = {
    SCENARIO(answers_are_what_was_stored),
    SCENARIO(many_keys_have_one_completion),
    SCENARIO(pages_and_commands_answer),
    SCENARIO(events_are_completions),
    SCENARIO(a_deadline_is_the_operations_own),
    SCENARIO(refused_operations_have_no_completion),
    SCENARIO(an_operation_is_in_flight_until_its_completion_is_fetched),
    SCENARIO(a_newer_host_is_served),
    SCENARIO(each_operation_has_exactly_one_completion),
    SCENARIO(a_fetch_waits_as_long_as_it_is_told),
    SCENARIO(the_descriptor_is_readable_as_long_as_some_wait),
    SCENARIO(what_completions_point_to_stays_until_the_next_fetch),
    SCENARIO(one_thread_fetches_at_a_time),
    SCENARIO(close_finishes_accepted_work),
    SCENARIO(stop_answers_everything),
    SCENARIO(stop_wakes_who_waits),
    SCENARIO(free_releases_what_was_not_fetched),
    SCENARIO(exit_with_work_pending),
    SCENARIO(exit_while_a_thread_waits),
    SCENARIO(modes_are_told_apart),
    SCENARIO(null_is_an_error),
    SCENARIO(fork_child_is_told),
};

int main(int count, char **arguments)
{
    size_t i;
    if (count == 2 && strcmp(arguments[1], "list") == 0) {
        for (i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
            puts(scenarios[i].name);
        return 0;
    }
    for (i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (count > 1 && strcmp(arguments[1], scenarios[i].name) == 0) {
            scenarios[i].run();
            return 0;
        }
    }
    fprintf(stderr, "no such scenario\n");
    return 2;
}
