/*
 * A host in C and Redis: keeps W operations in flight and prints how long that took. redis.js runs it beside
 * redis-benchmark.
 *
 *     redis poll|callback set|get W COUNT PORT
 *
 * In poll mode there is this one thread, and it waits for the connector's file descriptor. In callback mode the
 * connector has its own two threads. All operations are submitted by callbacks, as in a server that answers requests,
 * so that the load needs no locks in either mode.
 */
#include <deepstream_connector.h>

#include <poll.h>
#include <semaphore.h>
#include <string.h>

#include "lib/measure.h"

#define KEYS 4096
#define DOCUMENT_SIZE 130

enum kind { SET, GET };

/* What is done one after the other. What is written carries the number of its phase as the version. */
struct phase {
    enum kind kind;
    long count;
    bool measured;
};

/* One of the W places for an operation under way. */
struct place {
    long index;
    double begun;
};

static connector_t *connector;
static char keys[KEYS][16];
static char documents[KEYS][DOCUMENT_SIZE + 1];

static struct phase phases[4];
static const size_t phase_count = sizeof phases / sizeof *phases;
static size_t current;
static long issued, finished;
static long version_written;

static struct place *places;
static long in_flight;
static struct measurement measurement;
static volatile bool over;
static sem_t over_signal;

static void begin_phase(void);

static void check(int32_t code, const char *what)
{
    if (code != CONNECTOR_OK) fail(what, connector_last_error_message(NULL));
}

static void check_answer(const connector_error_t *error)
{
    if (error) fail(connector_error_name(error->code), "an operation failed");
}

static void on_set(void *userdata, const connector_error_t *error);
static void on_get(void *userdata, const connector_error_t *error, const connector_record_t *record);

static void issue(struct place *place)
{
    const struct phase *phase = &phases[current];
    place->index = issued++;
    bool timed = phase->measured && (in_flight == 1 || place->index % SAMPLE_EVERY == 0);
    place->begun = timed ? seconds_now() : 0;
    size_t key = (size_t)place->index % KEYS;
    if (phase->kind == SET) {
        check(connector_set(connector, keys[key], strlen(keys[key]), version_written, documents[key],
                            DOCUMENT_SIZE, 0, on_set, place), "connector_set");
    } else {
        check(connector_get(connector, keys[key], strlen(keys[key]), 0, on_get, place), "connector_get");
    }
}

static void done(struct place *place)
{
    const struct phase *phase = &phases[current];
    if (place->begun != 0) {
        measurement.latencies[measurement.samples++] = (seconds_now() - place->begun) * 1e6;
    }
    finished++;
    if (issued < phase->count) {
        issue(place);
    } else if (finished == phase->count) {
        if (phase->measured) measurement_end(&measurement, phase->count);
        current++;
        begin_phase();
    }
}

static void on_set(void *userdata, const connector_error_t *error)
{
    check_answer(error);
    done(userdata);
}

static void on_get(void *userdata, const connector_error_t *error, const connector_record_t *record)
{
    struct place *place = userdata;
    check_answer(error);
    const char *expected = documents[place->index % KEYS];
    if (!record || record->version != version_written || record->data_length != DOCUMENT_SIZE ||
        memcmp(record->data, expected, DOCUMENT_SIZE) != 0) {
        fail(keys[place->index % KEYS], "a record came back that was not written");
    }
    done(place);
}

static void begin_phase(void)
{
    if (current == phase_count) {
        over = true;
        sem_post(&over_signal);
        return;
    }
    const struct phase *phase = &phases[current];
    issued = finished = 0;
    if (phase->kind == SET) version_written = (long)current + 1;
    if (phase->measured) measurement_begin(&measurement, phase->count);
    long width = in_flight < phase->count ? in_flight : phase->count;
    for (long i = 0; i < width; i++) issue(&places[i]);
}

static void on_ready(void *userdata)
{
    (void)userdata;
    if (issued > 0) fail("redis", "the connection was lost");
    begin_phase();
}

static void prepare_records(void)
{
    for (int i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof keys[i], "users/%07d", i);
        int size = snprintf(documents[i], sizeof documents[i], "{\"id\":%d,\"name\":\"Ada Lovelace\",\"fill\":\"", i);
        memset(documents[i] + size, 'x', (size_t)(DOCUMENT_SIZE - size - 2));
        memcpy(documents[i] + DOCUMENT_SIZE - 2, "\"}", 3);
    }
}

static void run_polled(void)
{
    struct pollfd watched = { .events = POLLIN };
    check(connector_fd(connector, &watched.fd), "connector_fd");
    while (!over) {
        poll(&watched, 1, -1);
        check(connector_dispatch(connector), "connector_dispatch");
    }
}

int main(int argc, char **argv)
{
    if (argc != 6) fail("usage", "redis poll|callback set|get W COUNT PORT");
    bool polled = strcmp(argv[1], "poll") == 0;
    enum kind kind = strcmp(argv[2], "set") == 0 ? SET : GET;
    in_flight = atol(argv[3]);
    long count = atol(argv[4]);
    // What is read back in the end has been written by then.
    if (count < KEYS) fail("COUNT", "it must be 4096 or more, so that every record is written");
    phases[0] = (struct phase){ SET, KEYS, false };
    phases[1] = (struct phase){ kind, count / 10 + 1, false };
    phases[2] = (struct phase){ kind, count, true };
    phases[3] = (struct phase){ GET, KEYS, false };
    places = calloc((size_t)in_flight, sizeof *places);
    sem_init(&over_signal, 0, 0);
    prepare_records();

    char config[128];
    snprintf(config, sizeof config, "{\"type\":\"redis\",\"host\":\"127.0.0.1\",\"port\":%s}", argv[5]);
    connector_events_t events = { .size = sizeof events, .ready = on_ready };
    if (polled) {
        check(connector_create_polled(config, strlen(config), &events, &connector), "connector_create_polled");
        run_polled();
    } else {
        check(connector_create(config, strlen(config), &events, &connector), "connector_create");
        sem_wait(&over_signal);
    }
    connector_free(connector);
    free(places);
    return 0;
}
