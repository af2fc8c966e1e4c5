/*
 * The host program of PROTOCOL.md for C. Modes of `create`: `default` has its callbacks on the
 * connector's dispatch thread, `poll` has them on this program's main thread, which watches the
 * connector's file descriptor together with its standard input. `queue` has none: that thread hands a
 * burst in as arrays of operations, and fetches completions.
 *
 *     cc host.c -I include -L <folder of the library> -ldeepstream_connector -lpthread
 */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <deepstream_connector.h>

#define FEATURES "get_many,set_many,delete_many,head_many,head,timeout,free,bytes,refusal,exact"

static void die(const char *why, const char *what)
{
    fprintf(stderr, "host.c: %s: %s\n", why, what);
    exit(70);
}

static void *allocate(void *old, size_t size)
{
    void *memory = realloc(old, size ? size : 1);
    if (memory == NULL)
        die("no memory", "");
    return memory;
}

/* ---- Events: one at a time, each in one piece. ---- */

struct bytes {
    char *start;
    size_t length;
    size_t room;
};

static void append(struct bytes *to, const void *from, size_t length)
{
    if (to->room - to->length < length) {
        to->room = (to->length + length) * 2;
        to->start = allocate(to->start, to->room);
    }
    if (length > 0)
        memcpy(to->start + to->length, from, length);
    to->length += length;
}

static void append_number(struct bytes *to, uint64_t number, int bytes)
{
    for (; bytes > 0; bytes--, number >>= 8) {
        unsigned char byte = number & 0xff;
        append(to, &byte, 1);
    }
}

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;

static void write_all(const char *from, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, from, length);
        if (written < 0 && errno != EINTR)
            _exit(71); /* nobody listens any more */
        if (written > 0) {
            from += written;
            length -= (size_t)written;
        }
    }
}

/* Prints while `output` is held. */
static void print_locked(const char *message, size_t message_length, const struct bytes *more,
                         const char *format, va_list words)
{
    char line[256];
    struct bytes event = {NULL, 0, 0};
    append(&event, line, (size_t)vsnprintf(line, sizeof line, format, words));
    append(&event, "\n", 1);
    append(&event, message, message_length);
    if (more != NULL)
        append(&event, more->start, more->length);
    write_all(event.start, event.length);
    free(event.start);
}

static void print(const char *message, size_t message_length, const struct bytes *more,
                  const char *format, ...)
{
    va_list words;
    va_start(words, format);
    pthread_mutex_lock(&output);
    print_locked(message, message_length, more, format, words);
    pthread_mutex_unlock(&output);
    va_end(words);
}

static void print_while_held(const char *message, size_t message_length, const char *format, ...)
{
    va_list words;
    va_start(words, format);
    print_locked(message, message_length, NULL, format, words);
    va_end(words);
}

/* ---- Connectors and requests. ---- */

struct slot {
    unsigned long number;
    connector_t *connector; /* NULL once somebody frees it; behind `slots_lock` */
    int fd;                 /* -1 in default mode */
    int is_queued;
    int is_to_be_freed;     /* after the completions that are being looked at */
    struct slot *next;
};

static struct slot *slots;
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_freed = PTHREAD_COND_INITIALIZER;
static int being_freed;

static struct slot *find_slot(unsigned long number)
{
    struct slot *slot = slots;
    while (slot != NULL && slot->number != number)
        slot = slot->next;
    if (slot == NULL)
        die("no such connector", "");
    return slot;
}

static connector_t *connector_of(struct slot *slot)
{
    connector_t *connector;
    pthread_mutex_lock(&slots_lock);
    connector = slot->connector;
    pthread_mutex_unlock(&slots_lock);
    return connector;
}

static int fetch(struct slot *slot, connector_t *connector, int32_t wait);

/* Frees a connector unless somebody else does. */
static void free_connector(struct slot *slot)
{
    connector_t *connector;
    pthread_mutex_lock(&slots_lock);
    connector = slot->connector;
    slot->connector = NULL;
    if (connector != NULL)
        being_freed++;
    pthread_mutex_unlock(&slots_lock);
    if (connector == NULL)
        return;
    if (slot->is_queued) {
        connector_stop(connector);
        while (fetch(slot, connector, -1)) {}
    }
    connector_free(connector);
    print(NULL, 0, NULL, "freed %lu", slot->number);
    pthread_mutex_lock(&slots_lock);
    being_freed--;
    pthread_cond_signal(&all_freed);
    pthread_mutex_unlock(&slots_lock);
}

struct request {
    struct slot *slot;
    unsigned long number;
    int frees;
};

static struct request *new_request(struct slot *slot, unsigned long number)
{
    struct request *request = allocate(NULL, sizeof *request);
    request->slot = slot;
    request->number = number;
    request->frees = 0;
    return request;
}

/* Reports a request that was refused. */
static void check(int32_t code, struct request *request)
{
    if (code != CONNECTOR_OK) {
        size_t length;
        const char *message = connector_last_error_message(&length);
        print(message, length, NULL, "refused %lu %lu %" PRId32 " %zu", request->slot->number,
              request->number, code, length);
        free(request);
    }
}

/* Whether an operation may have been carried out although it failed. */
static int applied(const connector_error_t *error)
{
    return error != NULL && error->applied != CONNECTOR_APPLIED_NO;
}

static void on_record(void *userdata, const connector_error_t *error, const connector_record_t *record)
{
    struct request *request = userdata;
    struct bytes data = {NULL, 0, 0};
    if (record != NULL)
        append(&data, record->data, record->data_length);
    print(error ? error->message : NULL, error ? error->message_length : 0, &data,
          "done %lu %lu %" PRId32 " %d %d %d %" PRId64 " %zu %zu", request->slot->number, request->number,
          error ? error->code : 0, error ? error->retryable : 0, applied(error), record != NULL,
          record ? record->version : 0, error ? error->message_length : 0, data.length);
    free(data.start);
    if (request->frees && request->slot->is_queued)
        request->slot->is_to_be_freed = 1;
    else if (request->frees)
        free_connector(request->slot);
    free(request);
}

static void on_done(void *userdata, const connector_error_t *error)
{
    on_record(userdata, error, NULL);
}

static void on_many(void *userdata, const connector_error_t *error, const connector_result_t *const *results,
                    size_t count)
{
    struct request *request = userdata;
    struct bytes entries = {NULL, 0, 0};
    size_t i;
    (void)error; /* each key has its own */
    for (i = 0; i < count; i++) {
        const connector_record_t *record = results[i]->record;
        size_t length = record ? record->data_length : 0;
        append_number(&entries, (uint32_t)(results[i]->error ? results[i]->error->code : 0), 4);
        append_number(&entries, (uint64_t)applied(results[i]->error), 1);
        append_number(&entries, record != NULL, 1);
        append_number(&entries, (uint64_t)(record ? record->version : 0), 8);
        append_number(&entries, length, 4);
        append(&entries, record ? record->data : NULL, length);
    }
    print(NULL, 0, &entries, "many %lu %lu 0 0 0 %zu %zu", request->slot->number, request->number, count,
          entries.length);
    free(entries.start);
    free(request);
}

static void on_closed(void *userdata, const connector_error_t *error)
{
    struct slot *slot = userdata;
    print(error ? error->message : NULL, error ? error->message_length : 0, NULL,
          "closed %lu %" PRId32 " %zu", slot->number, error ? error->code : 0,
          error ? error->message_length : 0);
}

static void on_ready(void *userdata)
{
    struct slot *slot = userdata;
    print(NULL, 0, NULL, "ready %lu", slot->number);
}

static void on_error(void *userdata, const connector_error_t *error, bool fatal)
{
    struct slot *slot = userdata;
    print(error->message, error->message_length, NULL, "error %lu %" PRId32 " %d %zu", slot->number,
          error->code, fatal, error->message_length);
}

static void on_log(void *userdata, int32_t level, const char *text, size_t length)
{
    struct slot *slot = userdata;
    print(text, length, NULL, "log %lu %" PRId32 " %zu", slot->number, level, length);
}

/* A page: each record, then the cursor. */
static void on_page(void *userdata, const connector_error_t *error, const connector_page_t *page)
{
    struct request *request = userdata;
    struct bytes data = {NULL, 0, 0};
    size_t count = page ? page->count : 0, i;
    for (i = 0; i < count; i++) {
        const connector_named_record_t *record = page->records[i];
        append_number(&data, record->key_length, 4);
        append(&data, record->key, record->key_length);
        append_number(&data, (uint64_t)record->version, 8);
        append_number(&data, record->data_length, 4);
        append(&data, record->data, record->data_length);
    }
    if (page != NULL)
        append(&data, page->cursor, page->cursor_length);
    print(error ? error->message : NULL, error ? error->message_length : 0, &data,
          "done %lu %lu %" PRId32 " %d %d %d %zu %zu %zu", request->slot->number, request->number,
          error ? error->code : 0, error ? error->retryable : 0, applied(error), page != NULL, count,
          error ? error->message_length : 0, data.length);
    free(data.start);
    free(request);
}

static void on_answer(void *userdata, const connector_error_t *error, const char *json, size_t length)
{
    struct request *request = userdata;
    struct bytes data = {NULL, 0, 0};
    append(&data, json, length);
    print(error ? error->message : NULL, error ? error->message_length : 0, &data,
          "done %lu %lu %" PRId32 " %d %d %d 0 %zu %zu", request->slot->number, request->number,
          error ? error->code : 0, error ? error->retryable : 0, applied(error), error == NULL,
          error ? error->message_length : 0, length);
    free(data.start);
    free(request);
}

static void on_notification(void *userdata, const char *channel, size_t channel_length, const char *payload,
                            size_t payload_length)
{
    struct slot *slot = userdata;
    struct bytes rest = {NULL, 0, 0};
    append(&rest, payload, payload_length);
    print(channel, channel_length, &rest, "notification %lu %zu %zu", slot->number, channel_length,
          payload_length);
    free(rest.start);
}

/* ---- Completions. ---- */

/* What a callback would have been given. */
static void tell(struct slot *slot, const connector_completion_t *done)
{
    connector_error_t failure = {sizeof failure,         done->code,    done->retryable, done->message,
                                 done->message_length, done->applied};
    connector_record_t found = {sizeof found, done->version, done->data, done->data_length};
    const connector_error_t *error = done->code != CONNECTOR_OK ? &failure : NULL;
    void *userdata = (void *)(uintptr_t)done->number;
    switch (done->kind) {
    case CONNECTOR_KIND_GET:
    case CONNECTOR_KIND_HEAD:
        on_record(userdata, error, done->found ? &found : NULL);
        break;
    case CONNECTOR_KIND_SET:
    case CONNECTOR_KIND_DELETE:
        on_done(userdata, error);
        break;
    case CONNECTOR_KIND_SCAN:
        on_page(userdata, error, done->page);
        break;
    case CONNECTOR_KIND_COMMAND:
        on_answer(userdata, error, done->data, done->data_length);
        break;
    case CONNECTOR_KIND_READY:
        on_ready(slot);
        break;
    case CONNECTOR_KIND_ERROR:
        on_error(slot, error, done->fatal);
        break;
    case CONNECTOR_KIND_LOG:
        on_log(slot, done->level, done->message, done->message_length);
        break;
    case CONNECTOR_KIND_NOTIFICATION:
        on_notification(slot, done->channel, done->channel_length, done->data, done->data_length);
        break;
    case CONNECTOR_KIND_CLOSED:
        if (userdata != NULL) /* close_connector was called */
            on_closed(slot, error);
        break;
    default:
        on_many(userdata, error, done->results, done->count);
    }
}

/* Fetches what there is; false once there will be no more. */
static int fetch(struct slot *slot, connector_t *connector, int32_t wait)
{
    connector_completion_t done[100];
    size_t count, i;
    int32_t code = connector_next(connector, done, sizeof *done, 100, wait, &count);
    if (code != CONNECTOR_OK && code != CONNECTOR_ERR_CLOSED)
        die("connector_next", connector_last_error_message(NULL));
    for (i = 0; i < count; i++)
        tell(slot, &done[i]);
    if (slot->is_to_be_freed) {
        slot->is_to_be_freed = 0;
        free_connector(slot);
    }
    return code == CONNECTOR_OK;
}

/* Operations of one connector that are handed in together. */
static struct {
    struct slot *slot;
    size_t count;
    connector_operation_t *operations;
    void **arrays;       /* the keys and entries of each */
    struct bytes spoilt; /* where the payloads are */
} gathered;

static void hand_in(void)
{
    size_t done = 0, accepted, i;
    while (done < gathered.count) {
        int32_t code = connector_submit(connector_of(gathered.slot), gathered.operations + done,
                                        gathered.count - done, &accepted);
        done += accepted;
        if (code != CONNECTOR_OK)
            check(code, (struct request *)(uintptr_t)gathered.operations[done++].number);
    }
    for (i = 0; i < gathered.count; i++)
        free(gathered.arrays[i]);
    /* The library has copied what it was given. */
    for (i = 0; i < gathered.spoilt.length; i += sizeof(struct bytes)) {
        struct bytes payload;
        memcpy(&payload, gathered.spoilt.start + i, sizeof payload);
        memset(payload.start, '!', payload.length);
    }
    gathered.count = gathered.spoilt.length = 0;
}

/* Keeps an operation for `hand_in`, and with it an array that is to be freed then. */
static void gather(struct request *request, connector_operation_t operation, void *array, char *payload,
                   size_t payload_length)
{
    struct bytes place = {payload, payload_length, 0};
    if (gathered.slot != request->slot)
        hand_in();
    gathered.slot = request->slot;
    gathered.operations =
        allocate(gathered.operations, (gathered.count + 1) * sizeof *gathered.operations);
    gathered.arrays = allocate(gathered.arrays, (gathered.count + 1) * sizeof *gathered.arrays);
    operation.size = sizeof operation;
    operation.number = (uint64_t)(uintptr_t)request;
    gathered.operations[gathered.count] = operation;
    gathered.arrays[gathered.count++] = array;
    append(&gathered.spoilt, (const char *)&place, sizeof place);
}

/* ---- Commands. ---- */

#define MAX_WORDS 8

struct command {
    char line[256];
    char *words[MAX_WORDS];
    int count;
    char *payload;
    size_t payload_length;
};

static int64_t number_at(const struct command *command, int index)
{
    char *end;
    long long number;
    if (index >= command->count)
        die("a word is missing", command->words[0]);
    number = strtoll(command->words[index], &end, 10);
    if (*end != 0 || end == command->words[index])
        die("not a number", command->words[index]);
    return number;
}

static int is(const struct command *command, const char *name)
{
    return strcmp(command->words[0], name) == 0;
}

static int is_many(const struct command *command)
{
    const char *underscore = strrchr(command->words[0], '_');
    return underscore != NULL && strcmp(underscore, "_many") == 0;
}

static size_t payload_length(const struct command *command)
{
    if (is(command, "get") || is(command, "head") || is(command, "delete"))
        return (size_t)number_at(command, 4);
    if (is(command, "command"))
        return (size_t)number_at(command, 4) + (size_t)number_at(command, 5);
    if (is(command, "set") || is(command, "scan"))
        return (size_t)number_at(command, 5) + (size_t)number_at(command, 6);
    if (is_many(command))
        return (size_t)number_at(command, 5);
    if (is(command, "create") || is(command, "free_in_callback"))
        return (size_t)number_at(command, 3);
    return 0;
}

/* Reads the command at the start of the input; returns its length, or 0 if it is not whole. */
static size_t parse(char *input, size_t length, struct command *command)
{
    char *end = memchr(input, '\n', length), *rest = NULL, *word;
    size_t line_length;
    if (end == NULL)
        return 0;
    line_length = (size_t)(end - input);
    if (line_length >= sizeof command->line)
        die("a line is too long", "");
    memcpy(command->line, input, line_length);
    command->line[line_length] = 0;
    command->count = 0;
    for (word = strtok_r(command->line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (command->count == MAX_WORDS)
            die("too many words", command->words[0]);
        command->words[command->count++] = word;
    }
    if (command->count == 0)
        die("an empty line", "");
    command->payload = end + 1;
    command->payload_length = payload_length(command);
    if (length - line_length - 1 < command->payload_length)
        return 0;
    return line_length + 1 + command->payload_length;
}

static void create(const struct command *command)
{
    connector_events_t events = {0};
    struct slot *slot = allocate(NULL, sizeof *slot);
    int polled = strcmp(command->words[2], "poll") == 0;
    int queued = strcmp(command->words[2], "queue") == 0;
    int32_t code;
    if (!polled && !queued && strcmp(command->words[2], "default") != 0)
        die("no such mode", command->words[2]);
    slot->number = (unsigned long)number_at(command, 1);
    slot->connector = NULL;
    slot->fd = -1;
    slot->is_queued = queued;
    slot->is_to_be_freed = 0;
    events.size = sizeof events;
    events.userdata = slot;
    events.ready = on_ready;
    events.error = on_error;
    events.log = on_log;
    events.notification = on_notification;
    /* Held meanwhile, so that its events come after `created`. */
    pthread_mutex_lock(&output);
    if (queued)
        code = connector_create_queued(command->payload, command->payload_length, &slot->connector);
    else
        code = (polled ? connector_create_polled : connector_create)(
            command->payload, command->payload_length, &events, &slot->connector);
    if (code == CONNECTOR_OK) {
        print_while_held(NULL, 0, "created %lu 0 0", slot->number);
    } else {
        size_t length;
        const char *message = connector_last_error_message(&length);
        print_while_held(message, length, "created %lu %" PRId32 " %zu", slot->number, code, length);
    }
    pthread_mutex_unlock(&output);
    if (code == CONNECTOR_OK && (polled || queued))
        connector_fd(slot->connector, &slot->fd);
    slot->next = slots;
    slots = slot;
}

/* Takes a number of four or eight bytes from a payload of many entries. */
static uint64_t take_number(const struct command *command, size_t *at, int bytes)
{
    uint64_t number = 0;
    int i;
    if (command->payload_length - *at < (size_t)bytes)
        die("a payload is too short", command->words[0]);
    for (i = 0; i < bytes; i++)
        number |= (uint64_t)(unsigned char)command->payload[*at + (size_t)i] << (8 * i);
    *at += (size_t)bytes;
    return number;
}

static const char *take_bytes(const struct command *command, size_t *at, size_t length)
{
    const char *start = command->payload + *at;
    if (command->payload_length - *at < length)
        die("a payload is too short", command->words[0]);
    *at += length;
    return start;
}

static int32_t many(const struct command *command, connector_t *connector, uint32_t timeout,
                    struct request *request)
{
    size_t count = (size_t)number_at(command, 4), at = 0, i;
    connector_key_t *keys = allocate(NULL, count * sizeof *keys);
    connector_entry_t *entries = allocate(NULL, count * sizeof *entries);
    int is_set = is(command, "set_many");
    int32_t code;
    for (i = 0; i < count; i++) {
        size_t key_length = take_number(command, &at, 4);
        const char *key = take_bytes(command, &at, key_length);
        keys[i].size = sizeof *keys;
        keys[i].key = key;
        keys[i].key_length = key_length;
        if (is_set) {
            entries[i].size = sizeof *entries;
            entries[i].key = key;
            entries[i].key_length = key_length;
            entries[i].version = (int64_t)take_number(command, &at, 8);
            entries[i].data_length = take_number(command, &at, 4);
            entries[i].data = take_bytes(command, &at, entries[i].data_length);
        }
    }
    if (request->slot->is_queued) {
        connector_operation_t operation = {0};
        operation.kind = is_set                        ? CONNECTOR_KIND_SET_MANY
                         : is(command, "get_many")  ? CONNECTOR_KIND_GET_MANY
                         : is(command, "head_many") ? CONNECTOR_KIND_HEAD_MANY
                                                     : CONNECTOR_KIND_DELETE_MANY;
        operation.timeout_ms = timeout;
        operation.count = count;
        operation.keys = keys;
        operation.entries = entries;
        gather(request, operation, is_set ? (void *)entries : keys, command->payload, command->payload_length);
        free(is_set ? (void *)keys : entries);
        return CONNECTOR_OK;
    }
    if (is_set)
        code = connector_set_many(connector, entries, count, timeout, on_many, request);
    else if (is(command, "get_many"))
        code = connector_get_many(connector, keys, count, timeout, on_many, request);
    else if (is(command, "head_many"))
        code = connector_head_many(connector, keys, count, timeout, on_many, request);
    else
        code = connector_delete_many(connector, keys, count, timeout, on_many, request);
    free(keys);
    free(entries);
    return code;
}

/* What a command for one key asks a completion queue for. */
static connector_operation_t operation_of(const struct command *command)
{
    connector_operation_t operation = {0};
    operation.timeout_ms = (uint32_t)number_at(command, 3);
    operation.key = command->payload;
    operation.key_length = command->payload_length;
    if (is(command, "get")) {
        operation.kind = CONNECTOR_KIND_GET;
    } else if (is(command, "head")) {
        operation.kind = CONNECTOR_KIND_HEAD;
    } else if (is(command, "delete")) {
        operation.kind = CONNECTOR_KIND_DELETE;
    } else if (is(command, "scan")) {
        operation.kind = CONNECTOR_KIND_SCAN;
        operation.count = (size_t)number_at(command, 4);
        operation.data = command->payload;
        operation.data_length = (size_t)number_at(command, 5);
        operation.key_length -= operation.data_length;
        operation.key = operation.key_length > 0 ? command->payload + operation.data_length : NULL;
        return operation;
    } else if (is(command, "command")) {
        operation.kind = CONNECTOR_KIND_COMMAND;
        operation.key_length = (size_t)number_at(command, 4);
        operation.data_length = (size_t)number_at(command, 5);
    } else {
        operation.kind = CONNECTOR_KIND_SET;
        operation.version = number_at(command, 4);
        operation.key_length = (size_t)number_at(command, 5);
        operation.data_length = (size_t)number_at(command, 6);
    }
    operation.data = command->payload + operation.key_length;
    return operation;
}

static void submit(const struct command *command, struct slot *slot)
{
    connector_t *connector = connector_of(slot);
    struct request *request = new_request(slot, (unsigned long)number_at(command, 2));
    uint32_t timeout = (uint32_t)number_at(command, 3);
    char *key = command->payload;
    size_t key_length = command->payload_length;
    int32_t code;
    if (slot->is_queued && !is_many(command)) {
        gather(request, operation_of(command), NULL, command->payload, command->payload_length);
        return;
    }
    if (is_many(command)) {
        code = many(command, connector, timeout, request);
        if (slot->is_queued)
            return;
    } else if (is(command, "get")) {
        code = connector_get(connector, key, key_length, timeout, on_record, request);
    } else if (is(command, "head")) {
        code = connector_head(connector, key, key_length, timeout, on_record, request);
    } else if (is(command, "delete")) {
        code = connector_delete(connector, key, key_length, timeout, on_done, request);
    } else if (is(command, "scan")) {
        size_t prefix_length = (size_t)number_at(command, 5), limit = (size_t)number_at(command, 4);
        size_t cursor_length = key_length - prefix_length;
        const char *cursor = cursor_length > 0 ? key + prefix_length : NULL;
        code = prefix_length == 0
                   ? connector_scan(connector, cursor, cursor_length, limit, timeout, on_page, request)
                   : connector_scan_prefix(connector, key, prefix_length, cursor, cursor_length, limit,
                                           timeout, on_page, request);
    } else if (is(command, "command")) {
        size_t name_length = (size_t)number_at(command, 4);
        code = connector_command(connector, key, name_length, key + name_length,
                                 (size_t)number_at(command, 5), timeout, on_answer, request);
    } else {
        key_length = (size_t)number_at(command, 5);
        code = connector_set(connector, key, key_length, number_at(command, 4), key + key_length,
                             (size_t)number_at(command, 6), timeout, on_done, request);
    }
    /* The library has copied what it was given. */
    memset(command->payload, '!', command->payload_length);
    check(code, request);
}

static void is_ready(const struct command *command, struct slot *slot)
{
    bool ready = false;
    connector_is_ready(connector_of(slot), &ready);
    print(NULL, 0, NULL, "is_ready %lu %s %d", slot->number, command->words[2], ready);
}

static void stats(const struct command *command, struct slot *slot)
{
    char *json = NULL;
    size_t length = 0;
    connector_stats(connector_of(slot), &json, &length);
    print(json, length, NULL, "stats %lu %s %zu", slot->number, command->words[2], length);
    connector_string_free(json);
}

static void close_connector(struct slot *slot)
{
    int32_t code = connector_close(connector_of(slot), slot->is_queued ? NULL : on_closed, slot);
    if (code != CONNECTOR_OK) {
        size_t length;
        const char *message = connector_last_error_message(&length);
        print(message, length, NULL, "closed %lu %" PRId32 " %zu", slot->number, code, length);
    }
}

static void free_in_callback(const struct command *command, struct slot *slot)
{
    struct request *request = new_request(slot, (unsigned long)number_at(command, 2));
    request->frees = 1;
    if (slot->is_queued) {
        connector_operation_t operation = {0};
        operation.kind = CONNECTOR_KIND_GET;
        operation.key = command->payload;
        operation.key_length = command->payload_length;
        gather(request, operation, NULL, command->payload, command->payload_length);
        return;
    }
    check(connector_get(connector_of(slot), command->payload, command->payload_length, 0, on_record, request),
          request);
}

static void carry_out(const struct command *command)
{
    struct slot *slot;
    if (!is(command, "get") && !is(command, "head") && !is(command, "delete") && !is(command, "set") &&
        !is(command, "scan") && !is(command, "command") && !is_many(command) && !is(command, "free_in_callback"))
        hand_in();
    if (is(command, "create")) {
        create(command);
        return;
    }
    if (is(command, "exit"))
        exit((int)number_at(command, 1));
    slot = find_slot((unsigned long)number_at(command, 1));
    if (is(command, "get") || is(command, "head") || is(command, "delete") || is(command, "set") ||
        is(command, "scan") || is(command, "command") || is_many(command))
        submit(command, slot);
    else if (is(command, "is_ready"))
        is_ready(command, slot);
    else if (is(command, "stats"))
        stats(command, slot);
    else if (is(command, "close"))
        close_connector(slot);
    else if (is(command, "free"))
        free_connector(slot);
    else if (is(command, "free_in_callback"))
        free_in_callback(command, slot);
    else
        die("no such command", command->words[0]);
}

/* ---- The loop. ---- */

static struct bytes input;

/* Carries out every command, and every burst, that is whole. */
static void work_through_input(void)
{
    static size_t seen;         /* how much of the input was seen to be whole commands */
    static int64_t burst_left;  /* how many commands of a burst were not seen yet */
    struct command command;
    size_t done = 0, length;
    while ((length = parse(input.start + seen, input.length - seen, &command)) > 0) {
        seen += length;
        if (burst_left == 0 && is(&command, "burst")) {
            burst_left = number_at(&command, 1);
            done = seen;
        } else if (burst_left > 0) {
            burst_left--;
        }
        if (burst_left > 0)
            continue;
        while (done < seen) {
            done += parse(input.start + done, seen - done, &command);
            carry_out(&command);
        }
        hand_in();
    }
    memmove(input.start, input.start + done, input.length - done);
    input.length -= done;
    seen -= done;
}

/* Waits for input, dispatching meanwhile; false at its end. */
static int wait_for_input(void)
{
    static struct pollfd *watched;
    struct slot *slot;
    char buffer[65536];
    ssize_t length;
    size_t count = 1, i = 1;
    for (slot = slots; slot != NULL; slot = slot->next)
        count++;
    watched = allocate(watched, count * sizeof *watched);
    watched[0].fd = STDIN_FILENO;
    watched[0].events = POLLIN;
    for (slot = slots; slot != NULL; slot = slot->next, i++) {
        /* poll(2) passes over negative descriptors. */
        watched[i].fd = connector_of(slot) != NULL ? slot->fd : -1;
        watched[i].events = POLLIN;
    }
    if (poll(watched, count, -1) < 0 && errno != EINTR)
        die("poll", strerror(errno));
    for (slot = slots, i = 1; slot != NULL; slot = slot->next, i++) {
        connector_t *connector = connector_of(slot);
        if (watched[i].fd < 0 || watched[i].revents == 0 || connector == NULL)
            continue;
        if (slot->is_queued)
            fetch(slot, connector, 0);
        else
            connector_dispatch(connector);
    }
    if (watched[0].revents == 0)
        return 1;
    length = read(STDIN_FILENO, buffer, sizeof buffer);
    if (length > 0)
        append(&input, buffer, (size_t)length);
    if (length < 0 && errno != EINTR)
        die("read", strerror(errno));
    if (length == 0)
        free(watched);
    return length != 0;
}

int main(void)
{
    struct slot *slot;
    print(NULL, 0, NULL, "hello c " FEATURES);
    while (wait_for_input())
        work_through_input();
    for (slot = slots; slot != NULL; slot = slot->next)
        free_connector(slot);
    pthread_mutex_lock(&slots_lock);
    while (being_freed > 0)
        pthread_cond_wait(&all_freed, &slots_lock);
    pthread_mutex_unlock(&slots_lock);
    while ((slot = slots) != NULL) {
        slots = slot->next;
        free(slot);
    }
    free(gathered.operations);
    free(gathered.arrays);
    free(gathered.spoilt.start);
    free(input.start);
    return 0;
}
