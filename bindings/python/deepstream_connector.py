"""Connects Python to any cache or database through one small interface, by ctypes alone.

    from deepstream_connector import Connector

    with Connector({"type": "memory"}) as cache:
        cache.set("user/ada", 1, {"name": "Ada"}).result()
        print(cache.get("user/ada").result())    # Record(version=1, data={'name': 'Ada'})

Every operation returns a `concurrent.futures.Future`; in a coroutine, `await asyncio.wrap_future(...)`
it. Futures are resolved, and listeners called, on a thread of the connector's own, which fetches what the library has
finished: what they do there delays other answers, never the database. To wait there for an answer of the same connector is
refused with a RuntimeError, since it could never come. Any thread may use a connector.

The library is the one beside this file, as a wheel brings it; else that which the environment variable
CONNECTOR_LIBRARY names; else what the system finds under the name libdeepstream_connector.so.0. Options and promises are in the project's docs/, the contract
of the functions below in include/deepstream_connector.h.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import ctypes
import itertools
import json
import numbers
import operator
import os
import re
import struct
import sys
import threading
import time
import weakref
from collections import deque
from concurrent.futures import Future
from ctypes import (
    POINTER, Structure, addressof, byref, c_bool, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p,
    create_string_buffer, sizeof, string_at,
)
from typing import (
    Any, Callable, Deque, Dict, Iterable, Iterator, List, Literal, Mapping, NamedTuple, Optional, SupportsIndex, Tuple,
    Union,
)

__all__ = ["Connector", "ConnectorError", "NamedRecord", "Page", "Record", "CODES"]

class Record(NamedTuple):
    """A record: its version and its document as Python has it."""

    version: int
    data: Any


class NamedRecord(NamedTuple):
    """A record of a page, with its key."""

    key: str
    version: int
    data: Any


class Page(NamedTuple):
    """Some of all records; the cursor is None on the last page."""

    records: List[NamedRecord]
    cursor: Optional[str]


#: What is sent as it is, or in UTF-8.
Text = Union[str, bytes]

#: Whether an operation that failed may have been carried out all the same.
Applied = Literal["no", "unknown"]

#: What became of one key of many.
Answer = Union[Record, BaseException, None]

_Loads = Callable[[bytes], Any]

#: The names of error codes by their numbers; later versions may have more.
CODES = {
    1: "INVALID_ARGUMENT", 2: "CONFIGURATION", 3: "BUSY", 4: "CLOSED", 5: "TIMEOUT", 6: "UNAVAILABLE",
    7: "AUTHENTICATION", 8: "BACKEND", 9: "TOO_LARGE", 10: "CORRUPT", 11: "PANIC", 12: "FORKED",
    13: "UNSUPPORTED",
}

LEVELS = ("debug", "info", "warn", "error")


class ConnectorError(Exception):
    """What went wrong: `code` by name, `number`, and whether a later try may succeed.

    `applied` is "unknown" if the operation was given to the server and nobody knows whether it was carried out, and
    "no" if it was not and will not be.
    """

    def __init__(self, number: int, retryable: bool, message: str, applied: Applied = "no") -> None:
        super().__init__(message)
        self.number = number
        self.code = CODES.get(number, str(number))
        self.retryable = retryable
        self.applied: Applied = applied


# ---- The header's types. ----

class _Error(Structure):
    _fields_ = [
        ("size", c_size_t), ("code", c_int32), ("retryable", c_bool), ("message", c_void_p),
        ("message_length", c_size_t), ("applied", c_int32),
    ]


class _Record(Structure):
    _fields_ = [("size", c_size_t), ("version", c_int64), ("data", c_void_p), ("data_length", c_size_t)]


class _Result(Structure):
    _fields_ = [("size", c_size_t), ("error", c_void_p), ("record", c_void_p)]


class _Key(Structure):
    _fields_ = [("size", c_size_t), ("key", c_char_p), ("key_length", c_size_t)]


class _Entry(Structure):
    _fields_ = [
        ("size", c_size_t), ("key", c_char_p), ("key_length", c_size_t), ("version", c_int64),
        ("data", c_char_p), ("data_length", c_size_t),
    ]


class _NamedRecord(Structure):
    _fields_ = [
        ("size", c_size_t), ("key", c_void_p), ("key_length", c_size_t), ("version", c_int64),
        ("data", c_void_p), ("data_length", c_size_t),
    ]


class _Page(Structure):
    _fields_ = [
        ("size", c_size_t), ("records", POINTER(c_void_p)), ("count", c_size_t),
        ("cursor", c_void_p), ("cursor_length", c_size_t),
    ]


class _Operation(Structure):
    _fields_ = [
        ("size", c_size_t), ("kind", c_int32), ("timeout_ms", c_uint32), ("number", c_uint64), ("key", c_char_p),
        ("key_length", c_size_t), ("version", c_int64), ("data", c_char_p), ("data_length", c_size_t),
        ("count", c_size_t), ("keys", POINTER(_Key)), ("entries", POINTER(_Entry)),
    ]


_KEY_SIZE, _ENTRY_SIZE, _OPERATION_SIZE = sizeof(_Key), sizeof(_Entry), sizeof(_Operation)

#: A connector_completion_t as a tuple, which is read much faster than a Structure.
_Completion = struct.Struct("@NiiQii???qPNPNPNPNP")
#: So many are fetched at once.
_CAPACITY = 512

(_GET, _HEAD, _SET, _DELETE, _GET_MANY, _HEAD_MANY, _SET_MANY, _DELETE_MANY, _SCAN, _COMMAND) = range(1, 11)
_READY, _ERROR, _LOG, _NOTIFICATION, _CLOSED = range(64, 69)

#: The version of the binary interface that this file is written for.
_ABI_VERSION = 0


def _place() -> str:
    """Where the library is, or its name for the system to look for."""
    name = "libdeepstream_connector.so.%d" % _ABI_VERSION
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    return beside if os.path.exists(beside) else os.environ.get("CONNECTOR_LIBRARY", name)


def _load() -> ctypes.CDLL:
    path = _place()
    library = ctypes.CDLL(path)
    try:
        library.connector_abi_version.argtypes = []
        library.connector_abi_version.restype = c_uint32
        version = library.connector_abi_version()
        if version != _ABI_VERSION:
            raise ImportError(
                "%s has version %d of the binary interface, this module is for version %d; take the module that came "
                "with the library" % (path, version, _ABI_VERSION))
        _declare(library)
        # It waits for nothing, so it keeps the interpreter: to let go of that would cost more than the call.
        library.connector_submit = _keeping(path).connector_submit
    except AttributeError as missing:
        raise ImportError(
            "%s is not the connector's library, or older than this module: %s" % (path, missing)) from None
    return library


def _keeping(path: str) -> ctypes.PyDLL:
    library = ctypes.PyDLL(path)
    library.connector_submit.argtypes = [c_void_p, POINTER(_Operation), c_size_t, POINTER(c_size_t)]
    library.connector_submit.restype = c_int32
    return library


def _declare(library: ctypes.CDLL) -> None:
    handle, text, size = c_void_p, c_char_p, c_size_t
    signatures = {
        "create_queued": [text, size, POINTER(c_void_p)],
        "next": [handle, c_void_p, size, size, c_int32, POINTER(c_size_t)],
        "stop": [handle],
        "is_ready": [handle, POINTER(c_bool)],
        "stats": [handle, POINTER(c_void_p), POINTER(c_size_t)],
        "close": [handle, c_void_p, c_void_p],
    }
    for name, arguments in signatures.items():
        function = getattr(library, "connector_" + name)
        function.argtypes = arguments
        function.restype = c_int32
    library.connector_free.argtypes = [handle]
    library.connector_free.restype = None
    library.connector_string_free.argtypes = [c_void_p]
    library.connector_string_free.restype = None
    library.connector_last_error_message.argtypes = [POINTER(c_size_t)]
    library.connector_last_error_message.restype = c_void_p


_library: Optional[ctypes.CDLL] = None
_library_lock = threading.Lock()


def _functions() -> ctypes.CDLL:
    global _library
    with _library_lock:
        if _library is None:
            _library = _load()
        return _library


# ---- Documents. Python's json recurses, and gives up at about a thousand levels; then these go on without. ----

_encode = json.JSONEncoder(allow_nan=False).encode
_decoder = json.JSONDecoder()
_not_space = re.compile(r"[^ \t\n\r]|\Z")


def _loads(document: bytes) -> Any:
    try:
        text = document.decode()
        try:
            return _decoder.decode(text)
        except RecursionError:
            return _loads_deep(text)
    except Exception as wrong:
        # Of what json says only the place may be shown, not the data.
        place = " at character %d" % wrong.pos if isinstance(wrong, json.JSONDecodeError) else ""
        raise ConnectorError(
            10, False, "the record's document cannot be read as JSON%s (%s)" % (place, type(wrong).__name__)) from None


def _loads_deep(text: str) -> Any:
    """Reads a document with a stack of its own: the containers that are open, and the keys of the next members."""
    containers: List[Any] = []
    keys: List[str] = []
    value: Any

    def skip_space(at: int) -> int:
        found = _not_space.search(text, at)
        return found.start() if found else len(text)

    def member(at: int) -> int:
        """Where the next member's value begins; in an object its key comes before."""
        at = skip_space(at)
        if isinstance(containers[-1], dict):
            key, at = _decoder.raw_decode(text, at)
            at = skip_space(at)
            if not isinstance(key, str) or not text.startswith(":", at):
                raise json.JSONDecodeError("expected a key", text, at)
            keys.append(key)
            at = skip_space(at + 1)
        return at

    at = skip_space(0)
    while True:
        # A value begins.
        if text.startswith(("[", "{"), at):
            value, closing = ([], "]") if text[at] == "[" else ({}, "}")
            at = skip_space(at + 1)
            if not text.startswith(closing, at):
                containers.append(value)
                at = member(at)
                continue
            at += 1
        else:
            value, at = _decoder.raw_decode(text, at)
        # It has ended, and perhaps what it is in as well.
        while True:
            at = skip_space(at)
            if not containers:
                if at != len(text):
                    raise json.JSONDecodeError("expected the end", text, at)
                return value
            container = containers[-1]
            if isinstance(container, list):
                container.append(value)
            else:
                container[keys.pop()] = value
            if text.startswith(",", at):
                at = member(at + 1)
                break
            if not text.startswith("]" if isinstance(container, list) else "}", at):
                raise json.JSONDecodeError("expected a comma or the end", text, at)
            at += 1
            value = containers.pop()


def _dumps(data: Any) -> str:
    try:
        return _encode(data)
    except RecursionError:
        return _dumps_deep(data)


def _dumps_deep(data: Any) -> str:
    """Writes a document with a stack of its own: the containers that are open, and what is left of each."""
    texts, stack, inside = [], [], set()
    members, closing = iter([("", data)]), ""
    while True:
        for before, value in members:
            texts.append(before)
            if isinstance(value, (dict, list, tuple)):
                if id(value) in inside:
                    raise ValueError("Circular reference detected")
                inside.add(id(value))
                stack.append((members, closing, value))
                texts.append("{" if isinstance(value, dict) else "[")
                members, closing = _members(value), "}" if isinstance(value, dict) else "]"
                break
            texts.append(_encode(value))
        else:
            texts.append(closing)
            if not stack:
                return "".join(texts)
            members, closing, value = stack.pop()
            inside.remove(id(value))


def _members(container: Any) -> Iterator[Tuple[str, Any]]:
    """What is written before each member, and its value."""
    separator = ""
    if isinstance(container, dict):
        for key, value in container.items():
            # `{"key": 0}` without braces and 0: json knows best which keys there are, and how they are written.
            yield separator + _encode({key: 0})[1:-2], value
            separator = ", "
    else:
        for value in container:
            yield separator, value
            separator = ", "


# ---- Answers. Numbers instead of pointers go through the library and find their future here. ----

class _Future(Future):  # type: ignore[type-arg]
    """Says so where it would be waited for without an end."""

    def __init__(self, handle: _Handle) -> None:
        super().__init__()
        self.handle = handle

    def cancel(self) -> bool:
        # It is under way from the start. To say so with `set_running_or_notify_cancel` would take a lock each time.
        return False

    def running(self) -> bool:
        return not self.done()

    def result(self, timeout: Optional[float] = None) -> Any:
        self._refuse_to_wait(timeout)
        return super().result(timeout)

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        self._refuse_to_wait(timeout)
        return super().exception(timeout)

    def _refuse_to_wait(self, timeout: Optional[float]) -> None:
        if self.done():
            return
        if self.handle.process != os.getpid():
            raise ConnectorError(
                12, False, "the process was forked, and the answer goes to its parent; make a connector of its own")
        if self.handle.runs_here() and (timeout is None or timeout > 0):
            raise RuntimeError(
                "the answer would come on this thread, which runs the connector's callbacks, and cannot while it "
                "waits; use add_done_callback, or wait on another thread")


#: The future, and its connector, which lives until it is resolved.
_waiting: Dict[int, Tuple[_Future, Connector]] = {}
_numbers = itertools.count(1)


def _text(pointer: Any, length: int) -> str:
    return string_at(pointer, length).decode() if pointer else ""


def _failure(address: int) -> ConnectorError:
    error = _Error.from_address(address)
    # An older library has no such field.
    applied: Applied = "no" if error.size >= sizeof(_Error) and error.applied == 0 else "unknown"
    return ConnectorError(error.code, error.retryable, _text(error.message, error.message_length), applied)


def _settle_done(number: int) -> None:
    """Resolves a future with nothing, as most writes end."""
    waiting = _waiting.pop(number, None)
    if waiting is not None:
        waiting[0].set_result(None)


class _Taken(NamedTuple):
    """A completion of which nothing is borrowed any more."""

    kind: int
    number: int
    error: Optional[ConnectorError]
    value: Any


#: A version and a document's bytes, if there are any.
_Raw = Tuple[int, Optional[bytes]]


def _take(fields: Tuple[Any, ...]) -> Union[_Taken, int]:
    """Copies what a completion points to, and calls nothing of anybody's. A write that succeeded is its number alone."""
    if not fields[2] and (fields[1] == _SET or fields[1] == _DELETE):
        return int(fields[3])
    (_, kind, code, number, applied, level, retryable, fatal, found, version, data, data_length, message, message_length,
     channel, channel_length, results, count, page) = fields
    error = None
    if code:
        error = ConnectorError(code, retryable, _text(message, message_length), "unknown" if applied else "no")
    value: Any = None
    if kind == _GET:
        value = (version, string_at(data, data_length)) if found else None
    elif kind == _HEAD:
        value = version if found else None
    elif kind in (_SET_MANY, _DELETE_MANY) and not error:
        # Each of them succeeded, and has nothing to say.
        value = [None] * count
    elif _GET_MANY <= kind <= _DELETE_MANY:
        # The first error is among the results.
        error = None
        value = [_one_of_many(address) for address in (c_void_p * count).from_address(results)] if count else []
    elif kind == _SCAN and page:
        value = _page(page)
    elif kind == _COMMAND and data:
        value = string_at(data, data_length)
    elif kind == _LOG:
        value = (LEVELS[level], _text(message, message_length))
    elif kind == _NOTIFICATION:
        value = (_text(channel, channel_length), _text(data, data_length))
    elif kind == _ERROR:
        value = fatal
    return _Taken(kind, number, error, value)


def _one_of_many(address: int) -> Union[ConnectorError, _Raw, None]:
    result = _Result.from_address(address)
    if result.error:
        return _failure(result.error)
    if not result.record:
        return None
    read = _Record.from_address(result.record)
    return read.version, string_at(read.data, read.data_length) if read.data else None


def _page(address: int) -> Tuple[List[Tuple[str, int, bytes]], Optional[str]]:
    page = _Page.from_address(address)
    records = []
    for i in range(page.count):
        read = _NamedRecord.from_address(page.records[i])
        document = string_at(read.data, read.data_length)
        records.append((_text(read.key, read.key_length), read.version, document))
    return records, _text(page.cursor, page.cursor_length) if page.cursor else None


def _value(taken: _Taken, loads: _Loads) -> Any:
    """What an operation's future gets."""
    kind, value = taken.kind, taken.value
    if kind == _GET:
        return value and Record(value[0], loads(value[1]))
    if kind == _GET_MANY or kind == _HEAD_MANY:
        return [_answer(one, loads) for one in value]
    if kind == _SCAN:
        records, cursor = value
        return Page([NamedRecord(key, version, loads(data)) for key, version, data in records], cursor)
    if kind == _COMMAND:
        return _loads(value)
    return value


def _answer(one: Union[ConnectorError, _Raw, None], loads: _Loads) -> Answer:
    if one is None or isinstance(one, ConnectorError):
        return one
    try:
        return Record(one[0], None if one[1] is None else loads(one[1]))
    except BaseException as wrong:
        return wrong


def _settle(taken: _Taken) -> None:
    """Resolves a future, whatever happens."""
    waiting = _waiting.pop(taken.number, None)
    if waiting is None:
        # A signal handler raised when this was accepted already: nobody got the future.
        return
    future, connector = waiting
    try:
        if taken.error:
            raise taken.error
        result = _value(taken, connector._loads)
    except BaseException as wrong:
        future.set_exception(wrong)
    else:
        future.set_result(result)
    finally:
        # The exception has this frame: whoever keeps it shall not keep them.
        del future, connector, waiting, taken


# ---- Arguments. What cannot be sent as it was given is refused by name; ctypes cuts numbers to size. ----

def _bytes(name: str, text: Text) -> bytes:
    if isinstance(text, bytes):
        return text
    if isinstance(text, str):
        return text.encode()
    raise TypeError("%s must be str or bytes, not %s" % (name, type(text).__name__))


def _keys(keys: Iterable[Text]) -> Tuple[Any, int]:
    # A text is a sequence of texts too.
    if isinstance(keys, (str, bytes)):
        raise TypeError("keys must be many keys, not %s" % type(keys).__name__)
    texts = [_bytes("key", key) for key in keys]
    together = create_string_buffer(b"".join(texts))
    lengths = list(map(len, texts))
    fields = [_KEY_SIZE] * (3 * len(texts))
    fields[1::3] = _places(together, lengths)
    fields[2::3] = lengths
    return _array(_Key, len(texts), struct.Struct("@" + "NPN" * len(texts)).pack(*fields), together), len(texts)


def _entries(texts: List[bytes], versions: List[int]) -> Any:
    """An array of entries, whose keys and documents are given in turn. A Structure for each would take longer than all
    the rest."""
    together = create_string_buffer(b"".join(texts))
    lengths = list(map(len, texts))
    places = _places(together, lengths)
    fields = [_ENTRY_SIZE] * (6 * len(versions))
    fields[1::6], fields[4::6] = places[::2], places[1::2]
    fields[2::6], fields[5::6] = lengths[::2], lengths[1::2]
    fields[3::6] = versions
    return _array(_Entry, len(versions), struct.Struct("@" + "NPNqPN" * len(versions)).pack(*fields), together)


def _places(together: Any, lengths: List[int]) -> List[int]:
    """The addresses of texts that lie one after the other."""
    places = list(itertools.accumulate(lengths, initial=addressof(together)))
    places.pop()
    return places


def _array(kind: Any, count: int, packed: bytes, together: Any) -> Any:
    array = (kind * count).from_buffer_copy(packed)
    # What it points to stays as long as it does.
    array.texts = together
    return array


def _integer(name: str, value: SupportsIndex, least: int, greatest: int) -> int:
    if type(value) is int and least <= value <= greatest:
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError("%s must be an integer, not %s" % (name, type(value).__name__))
    value = operator.index(value)
    if not least <= value <= greatest:
        raise ValueError("%s must be from %d to %d" % (name, least, greatest))
    return value


_LEAST_VERSION, _GREATEST_VERSION = -2**63, 2**63 - 1


def _version(version: SupportsIndex) -> int:
    return _integer("version", version, _LEAST_VERSION, _GREATEST_VERSION)


def _milliseconds(timeout: Optional[float]) -> int:
    """A deadline as the library has it: 0 is the connector's own."""
    if timeout is None:
        return 0
    if isinstance(timeout, bool) or not isinstance(timeout, numbers.Real):
        raise TypeError("timeout must be a number of seconds or None, not %s" % type(timeout).__name__)
    if not timeout >= 0:
        raise ValueError("timeout must not be negative")
    return max(1, round(min(0xFFFFFFFF, timeout * 1000)))


# ---- Handles: who is inside of the library, and who frees. ----

#: The handles that are not freed yet, by their numbers.
_handles: Dict[int, _Handle] = {}
#: Whether the interpreter is ending: nothing would free a connector that is made now.
_ending = False


def _closed(message: str = "the connector was freed; make a new one") -> ConnectorError:
    return ConnectorError(4, False, message)


class _Handle:
    """The library's connector. It is freed once, by whoever asks first, and when nobody is inside of a call.

    There is no lock, since a signal handler or the collector may come in at any instruction and ask for the same
    again: each step that has to be whole is one operation on a list.
    """

    def __init__(self, functions: ctypes.CDLL, connector: Connector, config: bytes) -> None:
        self.functions = functions
        self.connector = weakref.ref(connector)
        self.process = os.getpid()
        # The thread that fetches completions.
        self.dispatcher: Optional[int] = None
        # What it has fetched and not told yet.
        self._fetched: Deque[Any] = deque()
        # Released once the connector is made, or is not; once it is to be freed; and once it is.
        self._made, self._unwanted, self._gone = (_thread.allocate_lock() for _ in range(3))
        for lock in (self._made, self._unwanted, self._gone):
            lock.acquire()
        # That it is to be freed was said; under the lock, since a signal handler may have come in between.
        self._is_let_go, self._letting_go = False, _thread.allocate_lock()
        # Set where somebody asked for an end without waiting for it.
        self.closing: Optional[_Future] = None
        self._number = next(_numbers)
        self._pointer = c_void_p()
        # The threads that are inside; so is who makes it.
        self._inside = [threading.get_ident()]
        self._ended = _ending
        self._left_to_last = False
        # Whoever takes it off frees.
        self._owner = [self]
        _handles[self._number] = self
        try:
            if self._ended:
                raise _closed("the interpreter is ending; a connector cannot be made any more")
            self._start_thread()
            self._checked(functions.connector_create_queued(config, len(config), byref(self._pointer)))
        except BaseException:
            self._owner.clear()
            del _handles[self._number]
            # A signal handler may have raised when it was made.
            if self._pointer:
                functions.connector_stop(self._pointer)
            self._unwanted.release()
            raise
        finally:
            self._made.release()
            self._inside.remove(threading.get_ident())
            if self._left_to_last:
                self._free_unless_used()

    def call(self, function: Callable[..., int], *arguments: Any) -> None:
        """Calls a function of the library, unless the connector is freed or about to be."""
        thread = threading.get_ident()
        try:
            self._inside.append(thread)
            # In this order: who frees looks for us only after it has set this.
            if self._ended:
                raise _closed()
            self._checked(function(self._pointer, *arguments))
        finally:
            # Here and not in a function: at its beginning a signal handler may raise. Before Python 3.11 one may have
            # done so before the mark was there.
            if thread in self._inside:
                self._inside.remove(thread)
            if self._left_to_last:
                self._free_unless_used()

    def free(self) -> None:
        if self._ended:
            return
        self._ended = True
        # A signal handler amid a call of its own thread cannot wait for that.
        if threading.get_ident() in self._inside:
            self._left_to_last = True
            return
        try:
            # No call waits for anything, so this is short.
            while self._inside:
                time.sleep(0.0001)
        except BaseException:
            self._left_to_last = True
            raise
        finally:
            self._free_unless_used()

    def free_unwanted(self) -> None:
        """Nobody has the connector any more. Whoever let go of it, the collector amid anything perhaps, must not wait
        for the listener that is running, which may want a lock of theirs: so it is freed on a thread of its own."""
        if not self._ended:
            try:
                _thread.start_new_thread(self.free, ())
            except RuntimeError:
                # There is no thread to be had; it is freed before the interpreter ends.
                pass

    def free_at_exit(self) -> None:
        """This thread is inside of no call any more, but a signal handler that raised may have left a mark of one:
        before Python 3.11 it may come in between the call and taking off the mark."""
        thread = threading.get_ident()
        while thread in self._inside:
            self._inside.remove(thread)
        if self._left_to_last:
            self._free_unless_used()
        self.free()
        if not self._owner:
            # A signal handler may have raised amid freeing.
            self._let_go()

    def free_when_closed(self, closing: _Future) -> None:
        self.closing = closing
        # That is on the connector's own thread, where `free` waits for nobody.
        closing.add_done_callback(lambda _: self.free())

    def _start_thread(self) -> None:
        try:
            _thread.start_new_thread(self._fetch_until_freed, ())
        except RuntimeError as none:
            raise ConnectorError(6, True, "the system gives no thread: %s" % none) from None

    def _fetch_until_freed(self) -> None:
        """The connector's own thread."""
        self.dispatcher = threading.get_ident()
        self._made.acquire()
        try:
            if self._pointer and self._fetch_all():
                self._unwanted.acquire()
                self.functions.connector_free(self._pointer)
        finally:
            _handles.pop(self._number, None)
            self._gone.release()

    def _fetch_all(self) -> bool:
        """Tells whatever comes, until the end. False in a forked child, whose only thread this is then."""
        buffer, count = create_string_buffer(_Completion.size * _CAPACITY), c_size_t()
        fetched, places = self._fetched, memoryview(buffer)
        while True:
            # A listener may free, and then the rest of them are told in there.
            while fetched:
                taken = fetched.popleft()
                try:
                    if taken.__class__ is int:
                        _settle_done(taken)
                    elif taken.number:
                        _settle(taken)
                    elif taken.kind < _CLOSED:
                        self._tell(taken)
                except BaseException:
                    # A listener's, or what a future's callback raised to end the program: it ends no answers.
                    _report()
                del taken
            code = self.functions.connector_next(
                self._pointer, buffer, _Completion.size, _CAPACITY, -1, byref(count))
            if code:
                return bool(code != 12)
            fetched.extend(map(_take, _Completion.iter_unpack(places[:count.value * _Completion.size])))

    def _tell(self, event: _Taken) -> None:
        """Who is not there any more is told nothing; a listener that has the connector does not keep it alive."""
        connector = None if not self._owner else self.connector()
        listener = _EVENTS.get(event.kind)
        called = connector and listener and connector._listeners[listener]
        del connector
        if not called:
            return
        if event.kind == _READY:
            called()
        elif event.kind == _ERROR:
            called(event.error, event.value)
        else:
            called(*event.value)

    def runs_here(self) -> bool:
        """Whether this is the thread that runs the callbacks."""
        return self.dispatcher == threading.get_ident()

    def forget_other_threads(self) -> None:
        """In a forked child: the threads that were inside are not there."""
        thread = threading.get_ident()
        self._inside[:] = [inside for inside in self._inside if inside == thread]

    def _free_unless_used(self) -> None:
        if self._inside:
            return
        try:
            self._owner.pop()
        except IndexError:
            return
        if not self._let_go():
            # This is a forked child, which does not have the thread.
            return
        if self.runs_here():
            self._fetch_all()
        else:
            with self._gone:
                pass

    def _let_go(self) -> bool:
        """Has the connector's own thread free it, once."""
        with self._letting_go:
            if not self._is_let_go:
                if self.functions.connector_stop(self._pointer):
                    return False
                try:
                    self._is_let_go = True
                finally:
                    self._unwanted.release()
        return True

    def _checked(self, code: int) -> None:
        if code != 0:
            length = c_size_t()
            message = self.functions.connector_last_error_message(byref(length))
            raise ConnectorError(code, code in (3, 5, 6), _text(message, length.value))


def _report() -> None:
    """Tells of what was raised where nobody hears of it; a hook of the program's may raise as well."""
    try:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    except BaseException:
        with contextlib.suppress(BaseException):
            sys.__excepthook__(*sys.exc_info())  # type: ignore[arg-type]


#: The names of events' listeners.
_EVENTS = {_READY: "ready", _ERROR: "error", _LOG: "log", _NOTIFICATION: "notification"}


@atexit.register
def _end() -> None:
    """Frees what is left before the interpreter takes the callbacks away. Exit handlers that are older than this module
    run after it, and get CLOSED; those that are younger find everything in place."""
    global _ending
    _ending = True
    try:
        for handle in list(_handles.values()):
            if handle.closing is not None:
                handle.closing.exception()
    finally:
        while _handles:
            for handle in list(_handles.values()):
                handle.free_at_exit()
            # Those that other threads are making or freeing.
            time.sleep(0.001 if _handles else 0)


def _after_fork() -> None:
    for handle in _handles.values():
        handle.forget_other_threads()
    # They are the parent's, and are ended by it.
    _handles.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Connector:
    """A connection to a cache or database, made in the background.

    `options` is a dict, or the JSON text of one. Listeners, all optional: `on_ready()` for the first
    connection and after each outage, `on_error(error, fatal)` once for each outage,
    `on_log(level, line)`, `on_notification(channel, payload)`.

    A connector is closed and freed at the end of its `with` or `async with` block. In a coroutine take
    `async with`: at the end of a plain `with` block the loop cannot wait, so there the end comes in the
    background, at the latest before the interpreter's. Otherwise a connector is freed by `free`, when
    nobody has it any more and nothing is under way (its listeners hear nothing from then on), or when the
    interpreter ends.

    `loads` and `dumps` turn documents (in bytes) into Python values and back; `bytes` and
    `lambda text: text` leave them as they are. A document that cannot be read is its operation's error:
    CORRUPT, or what your own `loads` raised.

    Raises a ConnectorError with the code CONFIGURATION that names the option and the remedy. The methods
    raise TypeError or ValueError for an argument that cannot be sent as it is: a version is an integer of
    signed 64 bits, a timeout is not negative.
    """

    def __init__(
        self, options: Union[Text, Mapping[str, Any]], *, on_ready: Optional[Callable[[], Any]] = None,
        on_error: Optional[Callable[[ConnectorError, bool], Any]] = None,
        on_log: Optional[Callable[[str, str], Any]] = None,
        on_notification: Optional[Callable[[str, str], Any]] = None,
        loads: Optional[_Loads] = None, dumps: Optional[Callable[[Any], Text]] = None,
    ) -> None:
        self._loads = loads or _loads
        self._dumps = dumps or _dumps
        config = _bytes("options", options if isinstance(options, (str, bytes)) else json.dumps(options))
        self._listeners: Dict[str, Any] = {
            "ready": on_ready, "error": on_error, "log": on_log, "notification": on_notification,
        }
        # The future of `close`, which is asked for once.
        self._closing: Optional[_Future] = None
        self._close_lock = threading.RLock()
        self._handle = _Handle(_functions(), self, config)
        weakref.finalize(self, self._handle.free_unwanted).atexit = False

    def get(self, key: Text, timeout: Optional[float] = None) -> Future[Optional[Record]]:
        """The record, or None. It sees every earlier `set` and `delete` of this connector. `timeout`
        is the operation's deadline in seconds; so for all methods."""
        key = _bytes("key", key)
        return self._submit(_GET, timeout, key)

    def head(self, key: Text, timeout: Optional[float] = None) -> Future[Optional[int]]:
        """The version, or None."""
        key = _bytes("key", key)
        return self._submit(_HEAD, timeout, key)

    def set(self, key: Text, version: SupportsIndex, data: Any, timeout: Optional[float] = None) -> Future[None]:
        """Stores a record, replacing what was there, whatever its version."""
        key, data = _bytes("key", key), self._document(data)
        return self._submit(_SET, timeout, key, _version(version), data)

    def delete(self, key: Text, timeout: Optional[float] = None) -> Future[None]:
        """Removes a record; one that is not there is no error."""
        key = _bytes("key", key)
        return self._submit(_DELETE, timeout, key)

    def get_many(self, keys: Iterable[Text], timeout: Optional[float] = None) -> Future[List[Answer]]:
        """For each key its record, None, or the error."""
        return self._submit_many(_GET_MANY, timeout, keys)

    def head_many(self, keys: Iterable[Text], timeout: Optional[float] = None) -> Future[List[Answer]]:
        """The same without documents: the `data` of each record is None."""
        return self._submit_many(_HEAD_MANY, timeout, keys)

    def set_many(
        self, records: Iterable[Tuple[Text, SupportsIndex, Any]], timeout: Optional[float] = None,
    ) -> Future[List[Optional[ConnectorError]]]:
        """Stores (key, version, data) one by one; for each None or a ConnectorError."""
        texts: List[bytes] = []
        versions: List[int] = []
        for key, version, data in records:
            texts.append(_bytes("key", key))
            texts.append(self._document(data))
            versions.append(_version(version))
        entries = _entries(texts, versions)
        return self._submit(_SET_MANY, timeout, None, 0, None, len(versions), None, entries)

    def delete_many(
        self, keys: Iterable[Text], timeout: Optional[float] = None,
    ) -> Future[List[Optional[ConnectorError]]]:
        """For each key None or a ConnectorError."""
        return self._submit_many(_DELETE_MANY, timeout, keys)

    def scan(
        self, cursor: Optional[Text] = None, limit: SupportsIndex = 1000, timeout: Optional[float] = None,
        *, prefix: Text = "",
    ) -> Future[Page]:
        """A Page of the records whose keys begin with prefix; see docs/listing-and-commands.md."""
        prefix = _bytes("prefix", prefix)
        cursor = None if cursor is None else _bytes("cursor", cursor)
        limit = _integer("limit", limit, 0, 2**(8 * sizeof(c_size_t)) - 1)
        return self._submit(_SCAN, timeout, cursor, 0, prefix or None, limit)

    def records(self, page_size: SupportsIndex = 1000, *, prefix: Text = "") -> Iterator[NamedRecord]:
        """The records whose keys begin with prefix, page by page; it waits for each page."""
        cursor = None
        while True:
            page = self.scan(cursor, page_size, prefix=prefix).result()
            yield from page.records
            cursor = page.cursor
            if cursor is None:
                return

    def command(self, name: Text, parameters: Any = None, timeout: Optional[float] = None) -> Future[Any]:
        """Carries out a command that only this type of database has."""
        name, text = _bytes("name", name), _dumps(parameters).encode()
        return self._submit(_COMMAND, timeout, name, 0, text)

    @property
    def is_ready(self) -> bool:
        """Whether the connection stands at this moment."""
        ready = c_bool()
        handle = self._handle
        handle.call(handle.functions.connector_is_ready, byref(ready))
        return ready.value

    def stats(self) -> Dict[str, Any]:
        """Counters and latencies since the connector was made, as a dict."""
        handle = self._handle
        text, length = c_void_p(), c_size_t()
        handle.call(handle.functions.connector_stats, byref(text), byref(length))
        try:
            counted: Dict[str, Any] = json.loads(string_at(text, length.value))
            return counted
        finally:
            handle.functions.connector_string_free(text)

    def close(self) -> Future[None]:
        """Accepts nothing more and lets accepted operations finish, up to the option
        `closeTimeout`; the future is resolved when that is done. `free` is still needed."""
        with self._close_lock:
            handle = self._handle
            number, future = next(_numbers), _Future(handle)
            _waiting[number] = (future, self)
            try:
                handle.call(handle.functions.connector_close, None, number)
            except BaseException:
                _waiting.pop(number, None)
                raise
            self._closing = future
            return future

    def free(self) -> None:
        """Ends the connector at once: whatever is unanswered fails with CLOSED before this
        returns. Any thread may call it at any time; from then on every call gets CLOSED. A second
        call does nothing. In a signal handler that interrupts a call of this connector it is done
        when that call has ended."""
        self._handle.free()

    def __enter__(self) -> Connector:
        return self

    def __exit__(self, *_: Any) -> None:
        try:
            closing = self._closed_once()
            if closing is not None:
                if _in_event_loop() or self._handle.runs_here():
                    self._handle.free_when_closed(closing)
                    return
                closing.exception()
        except BaseException:
            self.free()
            raise
        self.free()

    async def __aenter__(self) -> Connector:
        return self

    async def __aexit__(self, *_: Any) -> None:
        import asyncio
        closing = self._closed_once()
        if closing is not None:
            self._handle.free_when_closed(closing)
            try:
                await asyncio.wrap_future(closing)
            except ConnectorError:
                # Somebody freed it meanwhile.
                pass

    def _closed_once(self) -> Optional[_Future]:
        """The future of `close`, whoever called it; None if the connector is freed."""
        with self._close_lock:
            if self._closing is None:
                try:
                    self.close()
                except ConnectorError as error:
                    # In a forked child it is the parent's to close.
                    if error.code not in ("CLOSED", "FORKED"):
                        raise
            return self._closing

    def _document(self, data: Any) -> bytes:
        return _bytes("what dumps gives", self._dumps(data))

    def _submit(
        self, kind: int, timeout: Optional[float], key: Optional[bytes], version: int = 0, data: Optional[bytes] = None,
        count: int = 0, keys: Any = None, entries: Any = None,
    ) -> _Future:
        handle = self._handle
        number = next(_numbers)
        operation = _Operation(
            _OPERATION_SIZE, kind, _milliseconds(timeout), number, key, 0 if key is None else len(key), version, data,
            0 if data is None else len(data), count, keys, entries)
        future = _Future(handle)
        _waiting[number] = (future, self)
        try:
            handle.call(handle.functions.connector_submit, byref(operation), 1, None)
        except BaseException:
            _waiting.pop(number, None)
            raise
        return future

    def _submit_many(self, kind: int, timeout: Optional[float], keys: Iterable[Text]) -> _Future:
        array, count = _keys(keys)
        return self._submit(kind, timeout, None, 0, None, count, array)


def _in_event_loop() -> bool:
    """Whether a loop of asyncio is running on this thread; where nobody imported it, there is none."""
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio is not None and asyncio.get_running_loop() is not None
    except RuntimeError:
        return False
