/*
 * A first program: stores a record, reads it back, and ends.
 *
 *     cc examples/first.c -I include -L target/release -ldeepstream_connector -lpthread -o first
 *     ./first                                                    (the memory cache)
 *     ./first '{"type": "sqlite", "path": "records.db"}'     (any other configuration)
 */

#include <deepstream_connector.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Callbacks run on the connector's own thread, so main waits here for the last one. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int finished, failed;

static void finish(const connector_error_t *error)
{
    pthread_mutex_lock(&lock);
    if (error != NULL) { /* messages have a length, and no NUL at their end */
        fprintf(stderr, "%s: %.*s\n", connector_error_name(error->code), (int)error->message_length,
                error->message);
        failed = 1;
    }
    finished = 1;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_get(void *userdata, const connector_error_t *error, const connector_record_t *record)
{
    if (error == NULL && record == NULL) /* a miss is not an error */
        printf("%s: no record\n", (const char *)userdata);
    else if (error == NULL)
        printf("%s: version %" PRId64 ", %.*s\n", (const char *)userdata, record->version,
               (int)record->data_length, record->data);
    finish(error);
}

int main(int count, char **arguments)
{
    const char *config = count > 1 ? arguments[1] : "{\"type\": \"memory\"}";
    const char *key = "user/ada", *data = "{\"name\": \"Ada\", \"born\": 1815}";
    connector_t *connector;

    if (connector_create(config, strlen(config), NULL, &connector) != CONNECTOR_OK) {
        fprintf(stderr, "%s\n", connector_last_error_message(NULL));
        return 1;
    }

    /* Nothing has to wait for the connection, nor the get for the set: the order is kept. */
    if (connector_set(connector, key, strlen(key), 1, data, strlen(data), 0, NULL, NULL) != CONNECTOR_OK ||
        connector_get(connector, key, strlen(key), 0, on_get, (void *)key) != CONNECTOR_OK) {
        fprintf(stderr, "%s\n", connector_last_error_message(NULL));
        connector_free(connector);
        return 1;
    }

    pthread_mutex_lock(&lock);
    while (!finished)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);

    connector_free(connector);
    return failed;
}
