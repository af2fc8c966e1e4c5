#!/usr/bin/env python3
"""The host program for Python (see PROTOCOL.md). Documents stay text, so that every digit of their
numbers is compared."""

import json
import os
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bindings/python"))

from deepstream_connector import Connector, ConnectorError, LEVELS, Record  # noqa: E402

FEATURES = "get_many,set_many,delete_many,head_many,head,timeout,free,bytes,refusal,exact"

output = threading.RLock()
connectors = {}


def say(words, *payloads):
    payloads = [text.encode() if isinstance(text, str) else text for text in payloads]
    line = " ".join(str(word) for word in [*words, *map(len, payloads)])
    with output:
        sys.stdout.buffer.write(line.encode() + b"\n" + b"".join(payloads))
        sys.stdout.buffer.flush()


def counted(data):
    return struct.pack("<I", len(data)) + data


def applied(error):
    """Whether an operation may have been carried out although it failed."""
    return {"no": 0, "unknown": 1}[error.applied]


def done(c, r, future, found):
    """Reports a future's end; `found` makes found, version and data of its result."""
    error = future.exception()
    if error is not None:
        return say(["done", c, r, error.number, int(error.retryable), applied(error), 0, 0], str(error), b"")
    say(["done", c, r, 0, 0, 0, *found(future.result())[:2]], b"", found(future.result())[2])


def record(result):
    return (0, 0, b"") if result is None else (1, result.version, result.data or b"")


def version(result):
    return (0, 0, b"") if result is None else (1, result, b"")


def nothing(_):
    return 0, 0, b""


def page(result):
    parts = [counted(key.encode()) + struct.pack("<q", number) + counted(data) for key, number, data in result.records]
    return 1, len(result.records), b"".join(parts) + (result.cursor or "").encode()


def answer(result):
    return 1, 0, json.dumps(result).encode()


def many(c, r, future):
    entries = []
    for result in future.result():
        failed = isinstance(result, ConnectorError)
        code, sent = (result.number, applied(result)) if failed else (0, 0)
        found = isinstance(result, Record)
        data = (result.data if found else None) or b""
        entries.append(struct.pack("<iBBqI", code, sent, found, result.version if found else 0, len(data)) + data)
    payload = b"".join(entries)
    with output:
        sys.stdout.buffer.write(b"many %d %d 0 0 0 %d %d\n" % (c, r, len(entries), len(payload)) + payload)
        sys.stdout.buffer.flush()


def create(c, _mode, _length, payload):
    # Held meanwhile, so that its events come after `created`.
    with output:
        try:
            connectors[c] = Connector(
                payload,
                on_ready=lambda: say(["ready", c]),
                on_error=lambda error, fatal: say(["error", c, error.number, int(fatal)], str(error)),
                on_log=lambda level, line: say(["log", c, LEVELS.index(level)], line),
                on_notification=lambda channel, text: say(["notification", c], channel, text),
                loads=bytes,
                dumps=lambda data: data,
            )
        except ConnectorError as error:
            return say(["created", c, error.number], str(error))
        say(["created", c, 0], b"")


def submit(c, r, call, report):
    """Makes a request, and reports how it ends or that it was refused."""
    try:
        future = call(connectors[c])
    except ConnectorError as error:
        return say(["refused", c, r, error.number], str(error))
    future.add_done_callback(lambda future: report(c, r, future))


def seconds(milliseconds):
    return milliseconds / 1000 if milliseconds else None


def one(name, found):
    def run(c, r, t, _length, payload):
        submit(c, r, lambda connector: getattr(connector, name)(payload, seconds(t)),
               lambda c, r, future: done(c, r, future, found))
    return run


def set_one(c, r, t, number, key, _length, payload):
    submit(c, r, lambda connector: connector.set(payload[:key], number, payload[key:], seconds(t)),
           lambda c, r, future: done(c, r, future, nothing))


def taken(payload):
    """Takes numbers and counted bytes off a payload."""
    at = 0

    def take(form):
        nonlocal at
        (value,) = struct.unpack_from(form, payload, at)
        at += struct.calcsize(form)
        return value

    def take_bytes():
        nonlocal at
        length = take("<I")
        at += length
        return payload[at - length:at]

    return take, take_bytes


def many_of(name):
    def run(c, r, t, count, _length, payload):
        _, take_bytes = taken(payload)
        keys = [take_bytes() for _ in range(count)]
        submit(c, r, lambda connector: getattr(connector, name)(keys, seconds(t)), many)
    return run


def set_many(c, r, t, count, _length, payload):
    take, take_bytes = taken(payload)
    records = [(take_bytes(), take("<q"), take_bytes()) for _ in range(count)]
    submit(c, r, lambda connector: connector.set_many(records, seconds(t)), many)


def scan(c, r, t, limit, prefix, _length, payload):
    prefix, cursor = payload[:prefix], payload[prefix:] or None
    submit(c, r, lambda connector: connector.scan(cursor, limit, seconds(t), prefix=prefix),
           lambda c, r, future: done(c, r, future, page))


def command(c, r, t, name, _length, payload):
    arguments = json.loads(payload[name:])
    submit(c, r, lambda connector: connector.command(payload[:name], arguments, seconds(t)),
           lambda c, r, future: done(c, r, future, answer))


def is_ready(c, r, _payload):
    say(["is_ready", c, r, int(connectors[c].is_ready)])


def stats(c, r, _payload):
    say(["stats", c, r], json.dumps(connectors[c].stats()))


def close(c, _payload):
    def closed(future):
        error = future.exception()
        say(["closed", c, error.number if error else 0], str(error) if error else b"")

    try:
        connectors[c].close().add_done_callback(closed)
    except ConnectorError as error:
        say(["closed", c, error.number], str(error))


def free(c, _payload=b""):
    connectors.pop(c).free()
    say(["freed", c])


def free_in_callback(c, r, _length, payload):
    def report(c, r, future):
        done(c, r, future, record)
        free(c)

    submit(c, r, lambda connector: connector.get(payload), report)


def leave(status, _payload):
    sys.exit(status)


COMMANDS = {
    "create": create, "get": one("get", record), "head": one("head", version), "delete": one("delete", nothing),
    "set": set_one, "get_many": many_of("get_many"), "head_many": many_of("head_many"),
    "delete_many": many_of("delete_many"), "set_many": set_many, "scan": scan, "command": command,
    "is_ready": is_ready, "stats": stats, "close": close, "free": free, "free_in_callback": free_in_callback,
    "exit": leave,
}

#: How many of a command's last words are lengths of its payload.
PAYLOADS = {"set": 2, "scan": 2, "command": 2, "is_ready": 0, "stats": 0, "close": 0, "free": 0, "exit": 0}


def read():
    """The next command: its name and arguments, the payload last; None at the end."""
    line = sys.stdin.buffer.readline()
    if not line:
        return None
    name, *words = line.decode().split()
    words = [int(word) if word.lstrip("-").isdigit() else word for word in words]
    if name == "burst":
        return name, words
    count = PAYLOADS.get(name, 1)
    length = sum(words[len(words) - count:]) if count else 0
    payload = sys.stdin.buffer.read(length)
    if len(payload) != length:
        raise EOFError("the input ends within a command")
    return name, [*words, payload]


def main():
    say(["hello", "python", FEATURES])
    while True:
        command = read()
        if command is None:
            break
        name, words = command
        commands = [read() for _ in range(words[0])] if name == "burst" else [command]
        for name, words in commands:
            COMMANDS[name](*words)
    for c in list(connectors):
        free(c)


main()
