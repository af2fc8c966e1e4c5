/*
 * The least that is possible with Redis: one command is written to a socket, its answer is read, nothing else is done.
 * redis-benchmark counts latencies in steps of 8 microseconds, too coarse to compare a single operation with; this
 * counts nanoseconds.
 *
 *     redis-socket set|get COUNT PORT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/measure.h"

#define DOCUMENT_SIZE 130

static int open_connection(int port)
{
    int on = 1, connection = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0) fail("connect", "no connection");
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return connection;
}

/* One round trip; the answer must be `expected`. */
static void exchange(int connection, const char *command, const char *expected)
{
    char answer[2 * DOCUMENT_SIZE];
    size_t size = strlen(command), wanted = strlen(expected), got = 0;
    if (write(connection, command, size) != (ssize_t)size) fail("write", "the connection broke");
    while (got < wanted) {
        ssize_t more = read(connection, answer + got, sizeof answer - got);
        if (more <= 0) fail("read", "the connection broke");
        got += (size_t)more;
    }
    if (got != wanted || memcmp(answer, expected, wanted) != 0) fail("answer", "not what was written");
}

int main(int argc, char **argv)
{
    if (argc != 4) fail("usage", "redis-socket set|get COUNT PORT");
    long count = atol(argv[2]);
    int connection = open_connection(atoi(argv[3]));
    char document[DOCUMENT_SIZE + 1], set[256], answer[256];
    memset(document, 'x', DOCUMENT_SIZE);
    document[DOCUMENT_SIZE] = 0;
    snprintf(set, sizeof set, "*3\r\n$3\r\nSET\r\n$6\r\nsocket\r\n$%d\r\n%s\r\n", DOCUMENT_SIZE, document);
    snprintf(answer, sizeof answer, "$%d\r\n%s\r\n", DOCUMENT_SIZE, document);
    exchange(connection, set, "+OK\r\n");

    int reads = strcmp(argv[1], "get") == 0;
    const char *command = reads ? "*2\r\n$3\r\nGET\r\n$6\r\nsocket\r\n" : set;
    const char *expected = reads ? answer : "+OK\r\n";
    for (long i = 0; i < count / 10; i++) exchange(connection, command, expected);
    struct measurement measurement;
    measurement_begin(&measurement, count);
    for (long i = 0; i < count; i++) {
        double begun = seconds_now();
        exchange(connection, command, expected);
        measurement.latencies[measurement.samples++] = (seconds_now() - begun) * 1e6;
    }
    measurement_end(&measurement, count);
    close(connection);
    return 0;
}
