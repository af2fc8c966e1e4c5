/*
 * A program on the completion queue, the way for hosts to which a callback is dear: operations go in as an
 * array, completions come out as one, and nothing is called back.
 *
 *     cc examples/queue.c -I include -L target/release -ldeepstream_connector -lpthread -o queue
 *     ./queue                                                    (the memory cache)
 *     ./queue '{"type": "sqlite", "path": "records.db"}'     (any other configuration)
 */

#include <deepstream_connector.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT 4 /* how many operations there are, of each kind two */

static int fail(connector_t *connector)
{
    fprintf(stderr, "%s\n", connector_last_error_message(NULL));
    connector_free(connector);
    return 1;
}

int main(int count, char **arguments)
{
    const char *config = count > 1 ? arguments[1] : "{\"type\": \"memory\"}";
    const char *keys[] = {"user/ada", "user/bob"};
    const char *documents[] = {"{\"name\": \"Ada\"}", "{\"name\": \"Bob\"}"};
    connector_operation_t operations[COUNT] = {{0}};
    connector_completion_t completions[16];
    connector_t *connector;
    int failed = 0, left = COUNT;
    size_t i, got;

    if (connector_create_queued(config, strlen(config), &connector) != CONNECTOR_OK)
        return fail(NULL);

    for (i = 0; i < COUNT; i++) {
        operations[i].size = sizeof operations[i];
        operations[i].kind = i < COUNT / 2 ? CONNECTOR_KIND_SET : CONNECTOR_KIND_GET;
        operations[i].number = i; /* comes back with the completion */
        operations[i].key = keys[i % 2];
        operations[i].key_length = strlen(keys[i % 2]);
        operations[i].version = 1;
        operations[i].data = documents[i % 2];
        operations[i].data_length = strlen(documents[i % 2]);
    }
    /* Nothing has to wait for the connection, nor a get for the set: the order is kept. */
    if (connector_submit(connector, operations, COUNT, NULL) != CONNECTOR_OK)
        return fail(connector);

    while (left > 0) {
        /* Waits without an end for the first one. */
        if (connector_next(connector, completions, sizeof *completions, 16, -1, &got) != CONNECTOR_OK)
            return fail(connector);
        for (i = 0; i < got; i++) {
            const connector_completion_t *done = &completions[i];
            if (done->code != CONNECTOR_OK) { /* an operation's, or of the kind CONNECTOR_KIND_ERROR */
                fprintf(stderr, "%s: %.*s\n", connector_error_name(done->code), (int)done->message_length,
                        done->message);
                failed = 1;
            } else if (done->found) { /* a miss is not an error */
                printf("%s: version %" PRId64 ", %.*s\n", keys[done->number % 2], done->version,
                       (int)done->data_length, done->data);
            }
            left -= done->kind < CONNECTOR_KIND_READY; /* the others are events */
        }
    }

    /* Accepts nothing more, and tells when all is done by a completion of the kind CONNECTOR_KIND_CLOSED. */
    connector_close(connector, NULL, NULL);
    while (connector_next(connector, completions, sizeof *completions, 16, -1, &got) == CONNECTOR_OK)
        ;
    connector_free(connector);
    return failed;
}
