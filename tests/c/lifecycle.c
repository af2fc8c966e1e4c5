/*
 * The promises of deepstream_connector.h about life and death, one scenario for each run:
 *
 *     lifecycle <scenario> <callback|poll>
 *
 * It exits with 0 if the promise held. tests/c_lifecycle.rs has the table.
 */

#define _GNU_SOURCE

#include <deepstream_connector.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 120 /* seconds; a fault alone needs them */
#define MEMORY "{\"type\":\"memory\"}"
#define REQUIRE(condition)                                                                           \
    do {                                                                                             \
        if (!(condition)) {                                                                          \
            fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition,  \
                    connector_last_error_message(NULL));                                             \
            _exit(1);                                                                                \
        }                                                                                            \
    } while (0)
#define ACCEPTED(call) REQUIRE((call) == CONNECTOR_OK)

static int polled;
static connector_t *shared; /* what most scenarios use */
static atomic_int called;   /* callbacks that ran */
static atomic_int closed;   /* of these, with CONNECTOR_ERR_CLOSED */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void rest(int milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static connector_t *create_with(const char *config, const connector_events_t *events)
{
    connector_t *connector = NULL;
    ACCEPTED((polled ? connector_create_polled : connector_create)(config, strlen(config), events, &connector));
    REQUIRE(connector != NULL);
    return connector;
}

static connector_t *create(void)
{
    return create_with(MEMORY, NULL);
}

/* Waits for a number of callbacks. A polled connector is only ever dispatched when it says so. */
static void wait_for(connector_t *connector, atomic_int *count, int goal)
{
    double limit = now() + PATIENCE;
    int32_t fd = -1;
    if (polled)
        ACCEPTED(connector_fd(connector, &fd));
    while (atomic_load(count) < goal) {
        REQUIRE(now() < limit);
        if (polled) {
            struct pollfd watched = {fd, POLLIN, 0};
            if (poll(&watched, 1, 1000) > 0)
                ACCEPTED(connector_dispatch(connector));
        } else {
            rest(1);
        }
    }
}

static void count_error(const connector_error_t *error)
{
    if (error != NULL) {
        REQUIRE(error->size >= sizeof *error && error->message_length > 0);
        if (error->code != CONNECTOR_ERR_CLOSED)
            fprintf(stderr, "error %d: %s\n", (int)error->code, error->message);
        REQUIRE(error->code == CONNECTOR_ERR_CLOSED && !error->retryable);
        REQUIRE(error->applied == CONNECTOR_APPLIED_NO || error->applied == CONNECTOR_APPLIED_UNKNOWN);
        atomic_fetch_add(&closed, 1);
    }
    atomic_fetch_add(&called, 1);
}

static void on_done(void *userdata, const connector_error_t *error)
{
    (void)userdata;
    count_error(error);
}

static void on_record(void *userdata, const connector_error_t *error, const connector_record_t *record)
{
    (void)userdata;
    (void)record;
    /* What reads is never applied. */
    REQUIRE(error == NULL || error->applied == CONNECTOR_APPLIED_NO);
    count_error(error);
}

static void on_many(void *userdata, const connector_error_t *error, const connector_result_t *const *results,
                    size_t count)
{
    (void)userdata;
    (void)results;
    (void)count;
    count_error(error);
}

/* The memory cache has neither pages nor commands, which is an answer like any other here. */
static void count_unsupported(const connector_error_t *error)
{
    if (error != NULL && error->code == CONNECTOR_ERR_UNSUPPORTED)
        atomic_fetch_add(&called, 1);
    else
        count_error(error);
}

static void on_page(void *userdata, const connector_error_t *error, const connector_page_t *page)
{
    (void)userdata;
    REQUIRE((error == NULL) == (page != NULL));
    count_unsupported(error);
}

static void on_answer(void *userdata, const connector_error_t *error, const char *json, size_t length)
{
    (void)userdata;
    (void)length;
    REQUIRE((error == NULL) == (json != NULL));
    count_unsupported(error);
}

static int32_t set(connector_t *connector, const char *key, const char *data)
{
    return connector_set(connector, key, strlen(key), 1, data, strlen(data), 0, on_done, NULL);
}

static int32_t get(connector_t *connector, const char *key)
{
    return connector_get(connector, key, strlen(key), 0, on_record, NULL);
}

/* Submits one request of each kind: ten callbacks. */
static void submit_all_kinds(connector_t *connector)
{
    connector_key_t keys[] = {{sizeof *keys, "a", 1}, {sizeof *keys, "b", 1}};
    connector_entry_t entries[] = {{sizeof *entries, "a", 1, 7, "[]", 2}, {sizeof *entries, "b", 1, 8, "{}", 2}};
    ACCEPTED(set(connector, "a", "1"));
    ACCEPTED(get(connector, "a"));
    ACCEPTED(connector_head(connector, "a", 1, 0, on_record, NULL));
    ACCEPTED(connector_delete(connector, "a", 1, 0, on_done, NULL));
    ACCEPTED(connector_set_many(connector, entries, 2, 0, on_many, NULL));
    ACCEPTED(connector_get_many(connector, keys, 2, 0, on_many, NULL));
    ACCEPTED(connector_head_many(connector, keys, 2, 0, on_many, NULL));
    ACCEPTED(connector_delete_many(connector, keys, 2, 0, on_many, NULL));
    ACCEPTED(connector_scan(connector, NULL, 0, 10, 0, on_page, NULL));
    ACCEPTED(connector_command(connector, "none", 4, "{}", 2, 0, on_answer, NULL));
}

#define KINDS 10

/* ---- Exits ---- */

static void exit_without_a_call(void)
{
}

static void exit_after_create(void)
{
    shared = create();
}

static void create_and_free(void)
{
    int i;
    for (i = 0; i < 20; i++) {
        connector_t *connector = create();
        if (i % 2 == 0)
            submit_all_kinds(connector);
        connector_free(connector);
    }
    REQUIRE(called == 10 * KINDS);
}

static void resubmit(void *userdata, const connector_error_t *error)
{
    (void)userdata;
    if (error == NULL)
        connector_set(shared, "k", 1, 1, "1", 1, 0, resubmit, NULL);
    atomic_fetch_add(&called, 1);
}

static void exit_with_work_pending(void)
{
    int i;
    shared = create();
    for (i = 0; i < 100; i++)
        ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, resubmit, NULL));
    wait_for(shared, &called, 10);
}

static void exit_here(void *userdata, const connector_error_t *error)
{
    (void)userdata;
    (void)error;
    exit(0);
}

static void exit_in_callback(void)
{
    shared = create();
    ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, exit_here, NULL));
    submit_all_kinds(shared);
    wait_for(shared, &called, KINDS + 1);
    REQUIRE(!"the process goes on after exit");
}

static atomic_int destroyed;

static void must_live(void *userdata, const connector_error_t *error)
{
    REQUIRE(!destroyed);
    connector_set(shared, "k", 1, 1, "1", 1, 0, must_live, userdata);
    atomic_fetch_add(&called, 1);
    (void)error;
}

static void destroy(void)
{
    destroyed = 1;
    rest(50);
}

/* As the destructors of static objects run: after the library's own handler. */
static void no_callback_starts_once_the_process_exits(void)
{
    atexit(destroy);
    shared = create();
    ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, must_live, NULL));
    wait_for(shared, &called, 100);
}

static void free_shared(void)
{
    int before = called;
    connector_free(shared);
    if (called - before < KINDS && called < KINDS)
        _exit(1);
}

static void free_in_exit_handler(void)
{
    atexit(free_shared);
    shared = create();
    submit_all_kinds(shared);
}

static void use_shared(void)
{
    int before = called;
    submit_all_kinds(shared);
    wait_for(shared, &called, before + KINDS);
    connector_free(shared);
}

static void use_in_exit_handler(void)
{
    atexit(use_shared);
    shared = create();
    submit_all_kinds(shared);
    wait_for(shared, &called, KINDS);
}

/* ---- Free ---- */

static atomic_int freed_in;

static void free_shared_here(void)
{
    int before = called;
    submit_all_kinds(shared);
    connector_free(shared);
    /* Each of the pending callbacks has run, all of them nested in this one. */
    REQUIRE(called == before + KINDS);
    freed_in++;
}

static void free_in_done(void *userdata, const connector_error_t *error)
{
    (void)userdata;
    (void)error;
    free_shared_here();
    atomic_fetch_add(&called, 1);
}

static void free_in_record(void *userdata, const connector_error_t *error, const connector_record_t *record)
{
    (void)userdata;
    REQUIRE(error == NULL && record != NULL);
    free_shared_here();
    /* What was borrowed is valid until the callback returns. */
    REQUIRE(record->version == 5 && record->data_length == 4 && memcmp(record->data, "\"ab\"", 4) == 0);
    atomic_fetch_add(&called, 1);
}

static void free_in_many(void *userdata, const connector_error_t *error,
                         const connector_result_t *const *results, size_t count)
{
    (void)userdata;
    REQUIRE(error == NULL && count == 1);
    free_shared_here();
    REQUIRE(results[0]->record->version == 5);
    atomic_fetch_add(&called, 1);
}

static void free_in_ready(void *userdata)
{
    (void)userdata;
    free_shared_here();
    atomic_fetch_add(&called, 1);
}

static void free_in_log(void *userdata, int32_t level, const char *text, size_t length)
{
    (void)userdata;
    (void)level;
    REQUIRE(length > 0);
    free_shared_here();
    REQUIRE(memchr(text, 'c', length) != NULL);
    atomic_fetch_add(&called, 1);
}

static void free_in_close(void *userdata, const connector_error_t *error)
{
    (void)userdata;
    REQUIRE(error == NULL);
    REQUIRE(set(shared, "k", "1") == CONNECTOR_ERR_CLOSED);
    connector_free(shared);
    freed_in++;
    atomic_fetch_add(&called, 1);
}

/* The connector is gone when this returns, and with it its descriptor. */
static void wait_until_freed(int callbacks)
{
    double limit = now() + PATIENCE;
    int32_t fd = -1;
    if (polled)
        ACCEPTED(connector_fd(shared, &fd));
    while (polled ? freed_in == 0 : called < callbacks) {
        REQUIRE(now() < limit);
        if (polled) {
            struct pollfd watched = {fd, POLLIN, 0};
            if (poll(&watched, 1, 1000) > 0)
                ACCEPTED(connector_dispatch(shared));
        } else {
            rest(1);
        }
    }
    REQUIRE(called == callbacks && freed_in == 1);
    called = closed = freed_in = 0;
}

static void free_in_callback(void)
{
    connector_key_t key = {sizeof key, "k", 1};
    connector_events_t events = {0};
    int round;
    for (round = 0; round < 4; round++) {
        shared = create();
        ACCEPTED(connector_set(shared, "k", 1, 5, "\"ab\"", 4, 0, NULL, NULL));
        if (round == 0)
            ACCEPTED(connector_get(shared, "k", 1, 0, free_in_record, NULL));
        else if (round == 1)
            ACCEPTED(connector_get_many(shared, &key, 1, 0, free_in_many, NULL));
        else if (round == 2)
            ACCEPTED(connector_delete(shared, "k", 1, 0, free_in_done, NULL));
        else
            ACCEPTED(connector_close(shared, free_in_close, NULL));
        wait_until_freed(round == 3 ? 1 : KINDS + 1);
    }
    events.size = sizeof events;
    events.ready = free_in_ready;
    ACCEPTED((polled ? connector_create_polled : connector_create)(MEMORY, strlen(MEMORY), &events, &shared));
    wait_until_freed(KINDS + 1);
    events.ready = NULL;
    events.log = free_in_log;
    ACCEPTED((polled ? connector_create_polled : connector_create)(MEMORY, strlen(MEMORY), &events, &shared));
    wait_until_freed(KINDS + 1);
}

static void free_in_nested(void *userdata, const connector_error_t *error)
{
    /* A callback that runs inside of connector_free frees once more, and goes on using it. */
    bool ready = true;
    (void)userdata;
    connector_free(shared);
    ACCEPTED(connector_is_ready(shared, &ready));
    REQUIRE(!ready);
    REQUIRE(get(shared, "k") == CONNECTOR_ERR_CLOSED);
    REQUIRE(connector_close(shared, on_done, NULL) != CONNECTOR_OK || closed == 0);
    count_error(error);
}

static void free_with_nested_frees(void *userdata, const connector_error_t *error)
{
    (void)userdata;
    (void)error;
    ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, free_in_nested, NULL));
    ACCEPTED(connector_set(shared, "l", 1, 1, "1", 1, 0, free_in_nested, NULL));
    connector_free(shared);
    freed_in++;
    atomic_fetch_add(&called, 1);
}

static void free_inside_free(void)
{
    shared = create();
    ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, free_with_nested_frees, NULL));
    wait_for(shared, &freed_in, 1);
    REQUIRE(called >= 3);
}

static void free_with_pending(void)
{
    int round, i;
    for (round = 0; round < 20; round++) {
        int before;
        shared = create();
        called = 0;
        for (i = 0; i < 50; i++)
            submit_all_kinds(shared);
        connector_free(shared);
        before = called;
        REQUIRE(before == 50 * KINDS);
        rest(2);
        REQUIRE(called == before);
    }
    /* Nobody has dispatched, so nobody else could have answered. */
    REQUIRE(!polled || closed > 0);
}

static void *free_elsewhere(void *argument)
{
    rest(20);
    connector_free(argument);
    return NULL;
}

static void hold(void *userdata, const connector_error_t *error)
{
    (void)userdata;
    (void)error;
    rest(60);
    atomic_fetch_add(&called, 1);
}

/* The free waits for the callback, and then runs what is left. */
static void free_while_a_callback_runs_elsewhere(void)
{
    pthread_t thread;
    shared = create();
    ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, hold, NULL));
    ACCEPTED(get(shared, "k"));
    REQUIRE(pthread_create(&thread, NULL, free_elsewhere, shared) == 0);
    if (polled)
        connector_dispatch(shared);
    REQUIRE(pthread_join(thread, NULL) == 0);
    REQUIRE(called == 2);
}

/* ---- Close ---- */

static int last_seen;

static void on_close(void *userdata, const connector_error_t *error)
{
    REQUIRE(*(const char *)userdata == '!' && error == NULL);
    last_seen = called;
    atomic_fetch_add(&called, 1);
}

static void close_finishes_accepted_work(void)
{
    shared = create();
    submit_all_kinds(shared);
    ACCEPTED(connector_close(shared, on_close, (void *)"!"));
    REQUIRE(connector_close(shared, on_close, (void *)"?") == CONNECTOR_ERR_CLOSED);
    REQUIRE(get(shared, "k") == CONNECTOR_ERR_CLOSED);
    wait_for(shared, &called, KINDS + 1);
    REQUIRE(last_seen == KINDS && closed == 0);
    REQUIRE(connector_close(shared, on_close, (void *)"?") == CONNECTOR_ERR_CLOSED);
    if (polled)
        ACCEPTED(connector_dispatch(shared));
    connector_free(shared);
    REQUIRE(called == KINDS + 1);
}

static void on_interrupted(void *userdata, const connector_error_t *error)
{
    (void)userdata;
    REQUIRE(error == NULL || error->code == CONNECTOR_ERR_CLOSED);
    last_seen = error != NULL;
    atomic_fetch_add(&called, 1);
}

static void free_interrupts_close(void)
{
    shared = create();
    submit_all_kinds(shared);
    ACCEPTED(connector_close(shared, on_interrupted, NULL));
    connector_free(shared);
    REQUIRE(called == KINDS + 1);
    REQUIRE(!polled || last_seen == 1);
}

static atomic_int accepted;

static void *submit_until_closed(void *argument)
{
    char key[16];
    int i = 0, length, code;
    for (;;) {
        length = snprintf(key, sizeof key, "%s%d", (const char *)argument, i++ % 50);
        if (i % 7 == 0) {
            connector_key_t many = {sizeof many, key, (size_t)length};
            code = connector_get_many(shared, &many, 1, 0, on_many, NULL);
        } else if (i % 2 == 0) {
            code = connector_set(shared, key, (size_t)length, i, "[1]", 3, 0, on_done, NULL);
        } else {
            code = connector_get(shared, key, (size_t)length, 0, on_record, NULL);
        }
        if (code == CONNECTOR_OK)
            atomic_fetch_add(&accepted, 1);
        else if (code == CONNECTOR_ERR_CLOSED)
            return NULL;
        else {
            /* As the message says: wait for some of them. */
            REQUIRE(code == CONNECTOR_ERR_BUSY);
            rest(1);
        }
    }
}

static void close_while_others_submit(void)
{
    pthread_t threads[4];
    const char *names[] = {"a", "b", "c", "d"};
    atomic_int at_end = 0;
    int i;
    shared = create_with("{\"type\":\"memory\",\"maxInFlight\":1000}", NULL);
    for (i = 0; i < 4; i++)
        REQUIRE(pthread_create(&threads[i], NULL, submit_until_closed, (void *)names[i]) == 0);
    wait_for(shared, &called, 2000);
    ACCEPTED(connector_close(shared, on_interrupted, NULL));
    for (i = 0; i < 4; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    at_end = accepted + 1;
    wait_for(shared, &called, at_end);
    REQUIRE(last_seen == 0 && closed == 0);
    connector_free(shared);
    REQUIRE(called == at_end);
}

/* ---- Forks ---- */

static void all_calls_fail(connector_t *connector, int32_t code)
{
    connector_key_t key = {sizeof key, "k", 1};
    connector_entry_t entry = {sizeof entry, "k", 1, 1, "1", 1};
    bool ready;
    char *json;
    int32_t fd;
    REQUIRE(get(connector, "k") == code);
    REQUIRE(set(connector, "k", "1") == code);
    REQUIRE(connector_head(connector, "k", 1, 0, on_record, NULL) == code);
    REQUIRE(connector_delete(connector, "k", 1, 0, on_done, NULL) == code);
    REQUIRE(connector_get_many(connector, &key, 1, 0, on_many, NULL) == code);
    REQUIRE(connector_head_many(connector, &key, 1, 0, on_many, NULL) == code);
    REQUIRE(connector_delete_many(connector, &key, 1, 0, on_many, NULL) == code);
    REQUIRE(connector_set_many(connector, &entry, 1, 0, on_many, NULL) == code);
    REQUIRE(connector_scan(connector, NULL, 0, 10, 0, on_page, NULL) == code);
    REQUIRE(connector_command(connector, "none", 4, NULL, 0, 0, on_answer, NULL) == code);
    REQUIRE(connector_close(connector, on_done, NULL) == code);
    REQUIRE(connector_is_ready(connector, &ready) == code);
    REQUIRE(connector_stats(connector, &json, NULL) == code);
    REQUIRE(connector_fd(connector, &fd) == code);
    REQUIRE(connector_dispatch(connector) == code);
    connector_free(connector);
}

static void a_new_connector_works(void)
{
    connector_t *own = create();
    called = 0;
    submit_all_kinds(own);
    wait_for(own, &called, KINDS);
    connector_free(own);
    REQUIRE(called == KINDS && closed == 0);
}

static void wait_for_child(pid_t child)
{
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void fork_child_is_told(void)
{
    pid_t child;
    int before;
    shared = create();
    submit_all_kinds(shared);
    child = fork();
    if (child == 0) {
        before = called;
        all_calls_fail(shared, CONNECTOR_ERR_FORKED);
        REQUIRE(strstr(connector_last_error_message(NULL), "fork") != NULL);
        rest(10);
        REQUIRE(called == before);
        a_new_connector_works();
        exit(0);
    }
    wait_for(shared, &called, KINDS);
    wait_for_child(child);
    submit_all_kinds(shared);
    wait_for(shared, &called, 2 * KINDS);
    connector_free(shared);
    REQUIRE(called == 2 * KINDS && closed == 0);
}

/* Neither runs the handlers of pthread_atfork, and both make a process with the parent's memory and sockets. */
static pid_t fork_by_system_call(void)
{
    return (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, 0ul, 0ul, 0ul, 0ul);
}

static void a_fork_is_noticed_however_it_was_made(void)
{
    pid_t (*const ways[])(void) = {fork_by_system_call,
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
                                   _Fork
#endif
    };
    size_t way;
    pid_t child;
    shared = create();
    for (way = 0; way < sizeof ways / sizeof *ways; way++) {
        submit_all_kinds(shared);
        child = ways[way]();
        if (child == 0) {
            all_calls_fail(shared, CONNECTOR_ERR_FORKED);
            _exit(0);
        }
        wait_for(shared, &called, (int)(way + 1) * KINDS);
        wait_for_child(child);
    }
    connector_free(shared);
    REQUIRE(called == (int)way * KINDS && closed == 0);
}

static pid_t forked_child;
static int in_child;

static void fork_here(void *userdata, const connector_error_t *error)
{
    (void)userdata;
    REQUIRE(error == NULL);
    forked_child = fork();
    if (forked_child == 0) {
        in_child = 1;
        all_calls_fail(shared, CONNECTOR_ERR_FORKED);
    }
    atomic_fetch_add(&called, 1);
}

/* In callback mode the child's only thread is the dispatch thread, whose end is the child's. */
static void fork_in_callback(void)
{
    shared = create();
    ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, fork_here, NULL));
    ACCEPTED(get(shared, "k"));
    if (polled) {
        int32_t code = CONNECTOR_OK, fd;
        ACCEPTED(connector_fd(shared, &fd));
        while (called < 2 && code == CONNECTOR_OK) {
            struct pollfd watched = {fd, POLLIN, 0};
            REQUIRE(poll(&watched, 1, PATIENCE * 1000) == 1);
            code = connector_dispatch(shared);
        }
        if (in_child) {
            REQUIRE(code == CONNECTOR_ERR_FORKED && called == 1);
            exit(0);
        }
        ACCEPTED(code);
    }
    wait_for(shared, &called, 2);
    wait_for_child(forked_child);
    submit_all_kinds(shared);
    wait_for(shared, &called, 2 + KINDS);
    connector_free(shared);
}

/* ---- Arguments and errors ---- */

static void null_is_an_error(void)
{
    connector_key_t key = {sizeof key, NULL, 1};
    connector_entry_t entry = {sizeof entry, "k", 1, 1, NULL, 1};
    connector_events_t events = {0};
    connector_t *made;
    size_t length = 9;
    REQUIRE(*connector_last_error_message(&length) == 0 && length == 0);
    all_calls_fail(NULL, CONNECTOR_ERR_INVALID_ARGUMENT);
    connector_string_free(NULL);
    REQUIRE(connector_create(NULL, 0, NULL, &made) == CONNECTOR_ERR_CONFIGURATION && made == NULL);
    REQUIRE(connector_create(NULL, 5, NULL, &made) == CONNECTOR_ERR_INVALID_ARGUMENT && made == NULL);
    REQUIRE(connector_create(MEMORY, strlen(MEMORY), NULL, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_create_polled(MEMORY, strlen(MEMORY), NULL, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    /* A size that was forgotten. */
    REQUIRE(connector_create(MEMORY, strlen(MEMORY), &events, &made) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(strstr(connector_last_error_message(NULL), "sizeof(connector_events_t)") != NULL);

    shared = create();
    REQUIRE(connector_get(shared, NULL, 1, 0, on_record, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_get(shared, NULL, 0, 0, on_record, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_set(shared, "k", 1, 1, NULL, 0, 0, on_done, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_set(shared, "k", 1, 1, NULL, 9, 0, on_done, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_get_many(shared, NULL, 1, 0, on_many, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_get_many(shared, &key, 1, 0, on_many, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_set_many(shared, NULL, 1, 0, on_many, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_set_many(shared, &entry, 1, 0, on_many, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_is_ready(shared, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_stats(shared, NULL, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_fd(shared, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    /* Without callbacks there is nobody to tell, which is no error. */
    ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, NULL, NULL));
    ACCEPTED(connector_get(shared, "k", 1, 0, NULL, NULL));
    ACCEPTED(connector_get_many(shared, NULL, 0, 0, NULL, NULL));
    ACCEPTED(get(shared, "k"));
    wait_for(shared, &called, 1);
    ACCEPTED(connector_close(shared, NULL, NULL));
    connector_free(shared);
    connector_free(NULL);
    REQUIRE(called == 1);
}

static void refused_requests_are_not_called_back(void)
{
    static char long_key[65537];
    struct {
        const char *key;
        size_t length;
    } bad_keys[] = {{"", 0}, {long_key, sizeof long_key}, {"\xff", 1}, {"\xc3", 1}, {"\xed\xa0\x80", 3}};
    const char *bad_data[] = {"", "{", "{} {}", "nul", "\"\xff\"", "[1,]", "'a'"};
    size_t i;
    memset(long_key, 'k', sizeof long_key);
    shared = create();
    for (i = 0; i < sizeof bad_keys / sizeof *bad_keys; i++) {
        const char *key = bad_keys[i].key;
        size_t length = bad_keys[i].length;
        connector_key_t keys[] = {{sizeof *keys, "good", 4}, {sizeof *keys, key, length}};
        REQUIRE(connector_get(shared, key, length, 0, on_record, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
        REQUIRE(connector_set(shared, key, length, 1, "1", 1, 0, on_done, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
        REQUIRE(connector_delete_many(shared, keys, 2, 0, on_many, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
        REQUIRE(*connector_last_error_message(NULL) != 0);
    }
    for (i = 0; i < sizeof bad_data / sizeof *bad_data; i++) {
        connector_entry_t entries[] = {{sizeof *entries, "good", 4, 1, "1", 1},
                                       {sizeof *entries, "bad", 3, 1, bad_data[i], strlen(bad_data[i])}};
        REQUIRE(set(shared, "k", bad_data[i]) == CONNECTOR_ERR_INVALID_ARGUMENT);
        REQUIRE(connector_set_many(shared, entries, 2, 0, on_many, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
        REQUIRE(strstr(connector_last_error_message(NULL), "JSON") != NULL);
    }
    REQUIRE(connector_scan(shared, NULL, 0, 0, 0, on_page, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(strstr(connector_last_error_message(NULL), "limit") != NULL);
    REQUIRE(connector_scan(shared, NULL, 1, 1, 0, on_page, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_scan(shared, "\xff", 1, 1, 0, on_page, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_command(shared, "\xff", 1, NULL, 0, 0, on_answer, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(connector_command(shared, "none", 4, "{", 1, 0, on_answer, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(strstr(connector_last_error_message(NULL), "JSON") != NULL);
    ACCEPTED(get(shared, "good"));
    wait_for(shared, &called, 1);
    connector_free(shared);
    REQUIRE(called == 1);
}

static void create_errors_name_the_option(void)
{
    struct {
        const char *config;
        const char *says;
    } cases[] = {
        {"", "not JSON"},
        {"{", "not JSON"},
        {"[]", "object"},
        {"\xff", "UTF-8"},
        {"{}", "\"type\" is missing"},
        {"{\"type\":7}", "\"type\""},
        {"{\"type\":\"memroy\"}", "did you mean \"memory\"?"},
        {"{\"type\":\"memory\",\"maxEntrys\":1}", "did you mean \"maxEntries\"?"},
        {"{\"type\":\"memory\",\"maxEntries\":0}", "\"maxEntries\" is 0"},
        {"{\"type\":\"memory\",\"timeout\":\"soon\"}", "\"timeout\""},
        {"{\"type\":\"memory\",\"logLevel\":\"wran\"}", "did you mean \"warn\"?"},
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        connector_t *made = (connector_t *)&i;
        size_t length = 0;
        const char *message;
        REQUIRE((polled ? connector_create_polled : connector_create)(cases[i].config, strlen(cases[i].config),
                                                                      NULL, &made) ==
                CONNECTOR_ERR_CONFIGURATION);
        REQUIRE(made == NULL);
        message = connector_last_error_message(&length);
        REQUIRE(length == strlen(message));
        if (strstr(message, cases[i].says) == NULL) {
            fprintf(stderr, "\"%s\" does not say \"%s\"\n", message, cases[i].says);
            _exit(1);
        }
    }
}

static void *fail_here(void *argument)
{
    (void)argument;
    REQUIRE(*connector_last_error_message(NULL) == 0);
    REQUIRE(connector_get(NULL, "k", 1, 0, NULL, NULL) != CONNECTOR_OK);
    REQUIRE(strstr(connector_last_error_message(NULL), "NULL") != NULL);
    return NULL;
}

static void last_error_belongs_to_its_thread(void)
{
    pthread_t thread;
    connector_t *made;
    REQUIRE(connector_create("{}", 2, NULL, &made) != CONNECTOR_OK);
    REQUIRE(pthread_create(&thread, NULL, fail_here, NULL) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    REQUIRE(strstr(connector_last_error_message(NULL), "type") != NULL);
}

static void busy_is_refused(void)
{
    shared = create_with("{\"type\":\"memory\",\"maxInFlight\":1}", NULL);
    connector_key_t keys[] = {{sizeof *keys, "a", 1}, {sizeof *keys, "b", 1}};
    REQUIRE(connector_get_many(shared, keys, 2, 0, on_many, NULL) == CONNECTOR_ERR_INVALID_ARGUMENT);
    REQUIRE(strstr(connector_last_error_message(NULL), "maxInFlight") != NULL);
    if (polled) {
        ACCEPTED(get(shared, "k"));
        REQUIRE(get(shared, "k") == CONNECTOR_ERR_BUSY);
        wait_for(shared, &called, 1);
    }
    connector_free(shared);
    REQUIRE(called == polled);
}

/* ---- Answers ---- */

static void expect_record(void *userdata, const connector_error_t *error, const connector_record_t *record)
{
    const char *data = userdata;
    REQUIRE(error == NULL);
    if (data == NULL) {
        REQUIRE(record == NULL);
    } else if (*data == 0) {
        REQUIRE(record != NULL && record->size == sizeof *record && record->version == -7);
        REQUIRE(record->data == NULL && record->data_length == 0);
    } else {
        REQUIRE(record != NULL && record->size == sizeof *record && record->version == -7);
        REQUIRE(record->data_length == strlen(data) && memcmp(record->data, data, strlen(data)) == 0);
    }
    atomic_fetch_add(&called, 1);
}

static void expect_many(void *userdata, const connector_error_t *error,
                        const connector_result_t *const *results, size_t count)
{
    REQUIRE(error == NULL && count == 3);
    REQUIRE(results[0]->size == sizeof **results && results[0]->error == NULL);
    REQUIRE(results[0]->record != NULL && results[0]->record->version == -7);
    REQUIRE(results[1]->record == NULL && results[1]->error == NULL);
    REQUIRE(results[2]->record != NULL && (results[2]->record->data != NULL) == (userdata != NULL));
    atomic_fetch_add(&called, 1);
}

static void expect_none(void *userdata, const connector_error_t *error,
                        const connector_result_t *const *results, size_t count)
{
    (void)userdata;
    (void)results;
    REQUIRE(error == NULL && count == 0);
    atomic_fetch_add(&called, 1);
}

static void expect_too_large(void *userdata, const connector_error_t *error,
                             const connector_result_t *const *results, size_t count)
{
    (void)userdata;
    REQUIRE(count == 2 && error != NULL && error->code == CONNECTOR_ERR_TOO_LARGE);
    REQUIRE(results[0]->error == NULL && results[0]->record == NULL);
    REQUIRE(results[1]->error != NULL && results[1]->error->code == CONNECTOR_ERR_TOO_LARGE);
    REQUIRE(results[1]->error->applied == CONNECTOR_APPLIED_NO);
    REQUIRE(memmem(error->message, error->message_length, "maxBytes", 8) != NULL);
    atomic_fetch_add(&called, 1);
}

static void answers_are_what_was_stored(void)
{
    static char data[500];
    char key[] = "key", spoilt[] = "{\"a\":\"\\u0000\"}";
    connector_key_t keys[] = {{sizeof *keys, "key", 3}, {sizeof *keys, "no", 2}, {sizeof *keys, "key", 3}};
    connector_entry_t entries[] = {{sizeof *entries, "a", 1, 1, "1", 1}, {sizeof *entries, "b", 1, 1, data, 500}};
    char *json = NULL;
    size_t length = 0;
    shared = create_with("{\"type\":\"memory\",\"maxBytes\":600}", NULL);
    ACCEPTED(connector_get(shared, "key", 3, 0, expect_record, NULL));
    ACCEPTED(connector_set(shared, key, 3, -7, spoilt, strlen(spoilt), 0, NULL, NULL));
    memset(key, '!', 3);
    memset(spoilt, '!', sizeof spoilt - 1);
    ACCEPTED(connector_get(shared, "key", 3, 0, expect_record, (void *)"{\"a\":\"\\u0000\"}"));
    ACCEPTED(connector_head(shared, "key", 3, 0, expect_record, (void *)""));
    ACCEPTED(connector_get_many(shared, keys, 3, 0, expect_many, shared));
    ACCEPTED(connector_head_many(shared, keys, 3, 0, expect_many, NULL));
    ACCEPTED(connector_get_many(shared, NULL, 0, 0, expect_none, NULL));
    memset(data, '1', sizeof data);
    ACCEPTED(connector_set_many(shared, entries, 2, 0, expect_too_large, NULL));
    ACCEPTED(connector_delete(shared, "key", 3, 0, on_done, NULL));
    ACCEPTED(connector_get(shared, "key", 3, 0, expect_record, NULL));
    wait_for(shared, &called, 9);
    ACCEPTED(connector_stats(shared, &json, &length));
    REQUIRE(strlen(json) == length && strstr(json, "\"inFlight\":0") != NULL);
    connector_string_free(json);
    connector_free(shared);
    REQUIRE(called == 9 && closed == 0);
}

static atomic_int heard[3];

static void hear_ready(void *userdata)
{
    bool ready = false;
    REQUIRE(userdata == (void *)heard);
    /* The variable that connector_create sets is set before the first callback. */
    ACCEPTED(connector_is_ready(shared, &ready));
    REQUIRE(ready);
    atomic_fetch_add(&heard[0], 1);
}

static void hear_error(void *userdata, const connector_error_t *error, bool fatal)
{
    (void)userdata;
    (void)error;
    (void)fatal;
    atomic_fetch_add(&heard[1], 1);
}

static void hear_log(void *userdata, int32_t level, const char *text, size_t length)
{
    REQUIRE(userdata == (void *)heard && level == CONNECTOR_LOG_INFO);
    REQUIRE(memmem(text, length, "connected", 9) != NULL);
    atomic_fetch_add(&heard[2], 1);
}

static void events_are_told(void)
{
    connector_events_t events = {sizeof events, heard, hear_ready, hear_error, hear_log, NULL};
    ACCEPTED((polled ? connector_create_polled : connector_create)(MEMORY, strlen(MEMORY), &events, &shared));
    wait_for(shared, &heard[0], 1);
    wait_for(shared, &heard[2], 1);
    connector_free(shared);
    REQUIRE(heard[0] == 1 && heard[1] == 0 && heard[2] == 1);
}

/* ---- Delivery ---- */

static _Thread_local int submitting, running;

static void must_be_apart(void *userdata, const connector_error_t *error)
{
    (void)error;
    REQUIRE(!submitting && !running);
    running = 1;
    if (userdata != NULL) {
        submitting = 1;
        ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, must_be_apart, NULL));
        submitting = 0;
    }
    running = 0;
    atomic_fetch_add(&called, 1);
}

static void no_callback_inside_a_submission(void)
{
    int i;
    shared = create();
    for (i = 0; i < 3000; i++) {
        submitting = 1;
        ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, must_be_apart, shared));
        submitting = 0;
    }
    wait_for(shared, &called, 6000);
    connector_free(shared);
    REQUIRE(called == 6000);
}

static void dispatch_again(void *userdata, const connector_error_t *error)
{
    int before = called;
    (void)userdata;
    (void)error;
    ACCEPTED(connector_dispatch(shared));
    REQUIRE(called == before);
    atomic_fetch_add(&called, 1);
}

static void dispatch_inside_a_callback_is_harmless(void)
{
    int i;
    if (!polled)
        return;
    shared = create();
    for (i = 0; i < 10; i++)
        ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, dispatch_again, NULL));
    wait_for(shared, &called, 10);
    connector_free(shared);
    REQUIRE(called == 10);
}

static void chain(void *userdata, const connector_error_t *error)
{
    size_t left = (size_t)(uintptr_t)userdata;
    REQUIRE(error == NULL);
    if (left > 0)
        ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, chain, (void *)(uintptr_t)(left - 1)));
    atomic_fetch_add(&called, 1);
}

static void *submit_elsewhere(void *argument)
{
    int i;
    for (i = 0; i < 5000; i++)
        ACCEPTED(set(argument, "k", "1"));
    return NULL;
}

/* wait_for dispatches only when the descriptor is readable, so that any lost wake-up is a hang. */
static void a_host_that_only_watches_the_descriptor_misses_nothing(void)
{
    pthread_t thread;
    int i;
    shared = create();
    ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, chain, (void *)5000));
    wait_for(shared, &called, 5001);
    for (i = 0; i < 5000; i++)
        ACCEPTED(get(shared, "k"));
    wait_for(shared, &called, 10001);
    REQUIRE(pthread_create(&thread, NULL, submit_elsewhere, shared) == 0);
    ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, chain, (void *)5000));
    wait_for(shared, &called, 20002);
    REQUIRE(pthread_join(thread, NULL) == 0);
    for (i = 0; i < 5000; i++)
        ACCEPTED(get(shared, "k"));
    ACCEPTED(connector_close(shared, on_interrupted, NULL));
    wait_for(shared, &called, 25003);
    if (polled) {
        /* Nothing is left, and the descriptor says so: the host does not spin. */
        struct pollfd watched = {-1, POLLIN, 0};
        ACCEPTED(connector_fd(shared, &watched.fd));
        for (i = 0; i < 3; i++)
            ACCEPTED(connector_dispatch(shared));
        REQUIRE(poll(&watched, 1, 50) == 0);
    }
    connector_free(shared);
    REQUIRE(called == 25003 && closed == 0);
}

static void one_dispatch_is_bounded(void)
{
    int i;
    if (!polled)
        return;
    shared = create();
    for (i = 0; i < 3000; i++)
        ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, resubmit, NULL));
    for (i = 0; i < 3; i++) {
        int before = called;
        ACCEPTED(connector_dispatch(shared));
        REQUIRE(called - before <= 1024);
    }
    called = closed = 0;
    connector_free(shared);
}

static int stored(void)
{
    char *json = NULL;
    int found;
    ACCEPTED(connector_stats(shared, &json, NULL));
    found = strstr(json, "\"set\":{\"count\":2,") != NULL;
    connector_string_free(json);
    return found;
}

static void submit_and_stay(void *userdata, const connector_error_t *error)
{
    double limit = now() + PATIENCE;
    (void)userdata;
    (void)error;
    ACCEPTED(set(shared, "l", "1"));
    while (!stored()) {
        REQUIRE(now() < limit);
        rest(1);
    }
    atomic_fetch_add(&called, 1);
}

/* What a callback submits is carried out although the callback does not return. */
static void a_slow_callback_delays_no_work(void)
{
    if (polled)
        return;
    shared = create();
    ACCEPTED(connector_set(shared, "k", 1, 1, "1", 1, 0, submit_and_stay, NULL));
    wait_for(shared, &called, 2);
    connector_free(shared);
}

static void modes_are_told_apart(void)
{
    int32_t fd = -1;
    shared = create();
    REQUIRE(connector_fd(shared, &fd) == (polled ? CONNECTOR_OK : CONNECTOR_ERR_UNSUPPORTED));
    REQUIRE((fd >= 0) == polled);
    REQUIRE(connector_dispatch(shared) == (polled ? CONNECTOR_OK : CONNECTOR_ERR_UNSUPPORTED));
    connector_free(shared);
}

static void versions_and_names(void)
{
    REQUIRE(strcmp(connector_version(), CONNECTOR_VERSION) == 0);
    REQUIRE(connector_abi_version() == CONNECTOR_ABI_VERSION);
    REQUIRE(strcmp(connector_error_name(CONNECTOR_ERR_TOO_LARGE), "TOO_LARGE") == 0);
    REQUIRE(strcmp(connector_error_name(CONNECTOR_OK), "OK") == 0);
    REQUIRE(strcmp(connector_error_name(4711), "UNKNOWN") == 0);
}

#define SCENARIO(name) {#name, name}

/* A host that blocks a signal to wait for it is not ended by it through a thread of ours. */
static void signals_stay_with_the_host(void)
{
    struct timespec patience = {PATIENCE, 0};
    sigset_t awaited;
    int round;
    shared = create();
    ACCEPTED(connector_get(shared, "k", 1, 0, on_record, NULL));
    wait_for(shared, &called, 1);
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGTERM);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &awaited, NULL) == 0);
    for (round = 0; round < 20; round++) {
        REQUIRE(kill(getpid(), SIGTERM) == 0);
        rest(1);
        REQUIRE(sigtimedwait(&awaited, NULL, &patience) == SIGTERM);
    }
    connector_free(shared);
}

static const struct {
    const char *name;
    void (*run)(void);
} scenarios[] = {
    SCENARIO(exit_without_a_call),
    SCENARIO(exit_after_create),
    SCENARIO(exit_with_work_pending),
    SCENARIO(exit_in_callback),
    SCENARIO(no_callback_starts_once_the_process_exits),
    SCENARIO(free_in_exit_handler),
    SCENARIO(use_in_exit_handler),
    SCENARIO(create_and_free),
    SCENARIO(free_in_callback),
    SCENARIO(free_inside_free),
    SCENARIO(free_with_pending),
    SCENARIO(free_while_a_callback_runs_elsewhere),
    SCENARIO(close_finishes_accepted_work),
    SCENARIO(free_interrupts_close),
    SCENARIO(close_while_others_submit),
    SCENARIO(fork_child_is_told),
    SCENARIO(fork_in_callback),
    SCENARIO(a_fork_is_noticed_however_it_was_made),
    SCENARIO(null_is_an_error),
    SCENARIO(refused_requests_are_not_called_back),
    SCENARIO(create_errors_name_the_option),
    SCENARIO(last_error_belongs_to_its_thread),
    SCENARIO(busy_is_refused),
    SCENARIO(answers_are_what_was_stored),
    SCENARIO(events_are_told),
    SCENARIO(no_callback_inside_a_submission),
    SCENARIO(dispatch_inside_a_callback_is_harmless),
    SCENARIO(a_host_that_only_watches_the_descriptor_misses_nothing),
    SCENARIO(one_dispatch_is_bounded),
    SCENARIO(a_slow_callback_delays_no_work),
    SCENARIO(modes_are_told_apart),
    SCENARIO(versions_and_names),
    SCENARIO(signals_stay_with_the_host),
};

int main(int count, char **arguments)
{
    size_t i;
    if (count == 2 && strcmp(arguments[1], "list") == 0) {
        for (i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
            puts(scenarios[i].name);
        return 0;
    }
    polled = count > 2 && strcmp(arguments[2], "poll") == 0;
    for (i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (count > 1 && strcmp(arguments[1], scenarios[i].name) == 0) {
            scenarios[i].run();
            return 0;
        }
    }
    fprintf(stderr, "no such scenario\n");
    return 2;
}
