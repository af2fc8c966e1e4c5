"""A first program in Python, with nothing but ctypes.

    python3 examples/first.py                                                    (the memory cache)
    python3 examples/first.py '{"type": "sqlite", "path": "records.db"}'     (any other one)

CONNECTOR_LIBRARY names the library's file, if it is not where the system looks.
"""

import ctypes
import os
import queue
import sys
from ctypes import POINTER, Structure, c_bool, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_void_p


class Error(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("code", c_int32),
        ("retryable", c_bool),
        ("message", c_void_p),
        ("message_length", c_size_t),
    ]


class Record(Structure):
    _fields_ = [("size", c_size_t), ("version", c_int64), ("data", c_void_p), ("data_length", c_size_t)]


OnRecord = ctypes.CFUNCTYPE(None, c_void_p, POINTER(Error), POINTER(Record))
OnDone = ctypes.CFUNCTYPE(None, c_void_p, POINTER(Error))

library = ctypes.CDLL(os.environ.get("CONNECTOR_LIBRARY", "libdeepstream_connector.so.0"))
library.connector_create.argtypes = [c_char_p, c_size_t, c_void_p, POINTER(c_void_p)]
library.connector_get.argtypes = [c_void_p, c_char_p, c_size_t, c_uint32, OnRecord, c_void_p]
library.connector_set.argtypes = [
    c_void_p, c_char_p, c_size_t, c_int64, c_char_p, c_size_t, c_uint32, OnDone, c_void_p,
]
library.connector_free.argtypes = [c_void_p]
library.connector_last_error_message.argtypes = [c_void_p]
library.connector_last_error_message.restype = c_char_p


def check(code):
    if code != 0:
        raise RuntimeError(library.connector_last_error_message(None).decode())


# Callbacks run on the connector's own thread; the queue takes their results to this one. What
# they are given is borrowed, so it is copied. The two function objects must live as long as
# the connector.
answers = queue.Queue()


def failure(error):
    return RuntimeError(ctypes.string_at(error[0].message, error[0].message_length).decode())


@OnDone
def on_set(_, error):
    answers.put(failure(error) if error else "stored")


@OnRecord
def on_get(_, error, record):
    if error:
        answers.put(failure(error))
    elif record:
        data = ctypes.string_at(record[0].data, record[0].data_length)
        answers.put(f"version {record[0].version}, {data.decode()}")
    else:
        answers.put("no record")


def main():
    config = (sys.argv[1] if len(sys.argv) > 1 else '{"type": "memory"}').encode()
    connector = c_void_p()
    check(library.connector_create(config, len(config), None, ctypes.byref(connector)))
    try:
        key, data = b"user/ada", b'{"name": "Ada", "born": 1815}'
        check(library.connector_set(connector, key, len(key), 1, data, len(data), 0, on_set, None))
        check(library.connector_get(connector, key, len(key), 0, on_get, None))
        for _ in range(2):
            answer = answers.get()
            if isinstance(answer, Exception):
                raise answer
        print(f"user/ada: {answer}")
    finally:
        library.connector_free(connector)


main()
