/*
 * The promises about loading and unloading, one scenario for each run:
 *
 *     dlopen <scenario> <library>
 */

#define _POSIX_C_SOURCE 200809L

#include <deepstream_connector.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REQUIRE(condition)                                                      \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            _Exit(1);                                                           \
        }                                                                       \
    } while (0)

static const char *path;
static void *library;
static connector_t *connector;
static atomic_int called;

/* The functions by their names, with the header's types. POSIX lets pointers be copied so. */
static int32_t (*create)(const char *, size_t, const connector_events_t *, connector_t **);
static int32_t (*set)(connector_t *, const char *, size_t, int64_t, const char *, size_t, uint32_t,
                      connector_done_callback_t, void *);
static void (*release)(connector_t *);

static void find(void *function, const char *name)
{
    void *found = dlsym(library, name);
    REQUIRE(found != NULL);
    memcpy(function, &found, sizeof found);
}

static void load(void)
{
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    REQUIRE(library != NULL);
    find(&create, "connector_create");
    find(&set, "connector_set");
    find(&release, "connector_free");
}

static void rest(int milliseconds)
{
    struct timespec time = {0, milliseconds * 1000000};
    nanosleep(&time, NULL);
}

static void again(void *userdata, const connector_error_t *error)
{
    (void)userdata;
    if (error == NULL)
        set(connector, "k", 1, 1, "1", 1, 0, again, NULL);
    atomic_fetch_add(&called, 1);
}

static void start(void)
{
    const char *config = "{\"type\":\"memory\"}";
    REQUIRE(create(config, strlen(config), NULL, &connector) == 0);
    REQUIRE(set(connector, "k", 1, 1, "1", 1, 0, again, NULL) == 0);
    while (called < 100)
        rest(1);
}

static void load_and_exit(void)
{
    load();
}

static void load_and_unload(void)
{
    int i;
    for (i = 0; i < 10; i++) {
        load();
        REQUIRE(dlclose(library) == 0);
    }
}

static void exit_with_live_threads(void)
{
    load();
    start();
}

static void unload_with_live_threads(void)
{
    int before;
    load();
    start();
    REQUIRE(dlclose(library) == 0);
    before = called;
    rest(50);
    REQUIRE(called > before);
    /* The same image again: what was made before can be released. */
    load();
    release(connector);
    before = called;
    rest(5);
    REQUIRE(called == before);
    REQUIRE(dlclose(library) == 0);
}

int main(int count, char **arguments)
{
    REQUIRE(count == 3);
    path = arguments[2];
    if (strcmp(arguments[1], "load_and_exit") == 0)
        load_and_exit();
    else if (strcmp(arguments[1], "load_and_unload") == 0)
        load_and_unload();
    else if (strcmp(arguments[1], "exit_with_live_threads") == 0)
        exit_with_live_threads();
    else if (strcmp(arguments[1], "unload_with_live_threads") == 0)
        unload_with_live_threads();
    else
        return 2;
    return 0;
}
