"""Connects Python to any cache or database through one small interface, by ctypes alone.

    from deepstream_connector import Connector

    with Connector({"type": "memory"}) as cache:
        cache.set("user/ada", 1, {"name": "Ada"}).result()
        print(cache.get("user/ada").result())    # Record(version=1, data={'name': 'Ada'})

Every operation returns a `concurrent.futures.Future`; in a coroutine, `await asyncio.wrap_future(...)`
it. Futures are resolved, and listeners called, on the connector's own thread: what they do there
delays other answers, never the database. To wait there for an answer of the same connector is
refused with a RuntimeError, since it could never come. Any thread may use a connector.

The library is the one beside this file, as a wheel brings it; else that which the environment variable
CONNECTOR_LIBRARY names; else what the system finds under the name libdeepstream_connector.so.0. Options and promises are in the project's docs/, the contract
of the functions below in include/deepstream_connector.h.
"""

from __future__ import annotations

import _thread
import atexit
import ctypes
import itertools
import json
import numbers
import operator
import os
import re
import sys
import threading
import time
import weakref
from concurrent.futures import Future
from ctypes import (
    CFUNCTYPE, POINTER, Structure, byref, c_bool, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_void_p,
    sizeof, string_at,
)
from typing import (
    Any, Callable, Dict, Iterable, Iterator, List, Literal, Mapping, NamedTuple, Optional, SupportsIndex, Tuple, Union,
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


_KEY_SIZE, _ENTRY_SIZE = sizeof(_Key), sizeof(_Entry)

# Structs come as addresses, or None: making a pointer object of each would cost more than reading it.
_OnRecord = CFUNCTYPE(None, c_void_p, c_void_p, c_void_p)
_OnDone = CFUNCTYPE(None, c_void_p, c_void_p)
_OnMany = CFUNCTYPE(None, c_void_p, c_void_p, POINTER(c_void_p), c_size_t)
_OnPage = CFUNCTYPE(None, c_void_p, c_void_p, c_void_p)
_OnAnswer = CFUNCTYPE(None, c_void_p, c_void_p, c_void_p, c_size_t)
_OnReady = CFUNCTYPE(None, c_void_p)
_OnError = CFUNCTYPE(None, c_void_p, c_void_p, c_bool)
_OnLog = CFUNCTYPE(None, c_void_p, c_int32, c_void_p, c_size_t)
_OnNotification = CFUNCTYPE(None, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t)


class _Events(Structure):
    _fields_ = [
        ("size", c_size_t), ("userdata", c_void_p), ("ready", _OnReady), ("error", _OnError), ("log", _OnLog),
        ("notification", _OnNotification),
    ]


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
    except AttributeError as missing:
        raise ImportError(
            "%s is not the connector's library, or older than this module: %s" % (path, missing)) from None
    return library


def _declare(library: ctypes.CDLL) -> None:
    handle, text, size, timeout, extra = c_void_p, c_char_p, c_size_t, c_uint32, c_void_p
    signatures = {
        "create": [text, size, POINTER(_Events), POINTER(c_void_p)],
        "get": [handle, text, size, timeout, _OnRecord, extra],
        "head": [handle, text, size, timeout, _OnRecord, extra],
        "set": [handle, text, size, c_int64, text, size, timeout, _OnDone, extra],
        "delete": [handle, text, size, timeout, _OnDone, extra],
        "get_many": [handle, POINTER(_Key), size, timeout, _OnMany, extra],
        "head_many": [handle, POINTER(_Key), size, timeout, _OnMany, extra],
        "set_many": [handle, POINTER(_Entry), size, timeout, _OnMany, extra],
        "delete_many": [handle, POINTER(_Key), size, timeout, _OnMany, extra],
        "scan_prefix": [handle, text, size, text, size, size, timeout, _OnPage, extra],
        "command": [handle, text, size, text, size, timeout, _OnAnswer, extra],
        "is_ready": [handle, POINTER(c_bool)],
        "stats": [handle, POINTER(c_void_p), POINTER(c_size_t)],
        "close": [handle, _OnDone, extra],
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
        if self.handle.runs_here() and not self.done() and (timeout is None or timeout > 0):
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


def _settle(number: int, error: Optional[int], value: Callable[[_Loads], Any]) -> None:
    """Resolves a future, whatever happens; `value` makes its result while what was borrowed is there."""
    waiting = _waiting.pop(number, None)
    if waiting is None:
        # A signal handler raised when this was accepted already: nobody got the future.
        return
    future, connector = waiting
    future.handle.called_back()
    try:
        if error:
            raise _failure(error)
        result = value(connector._loads)
    except BaseException as wrong:
        future.set_exception(wrong)
    else:
        future.set_result(result)
    finally:
        # The exception has this frame: whoever keeps it shall not keep them.
        del future, connector, waiting


def _record(record: Optional[int], loads: _Loads) -> Optional[Record]:
    if not record:
        return None
    read = _Record.from_address(record)
    return Record(read.version, loads(string_at(read.data, read.data_length)) if read.data else None)


@_OnRecord
def _on_record(number: int, error: Optional[int], record: Optional[int]) -> None:
    _settle(number, error, lambda loads: _record(record, loads))


@_OnRecord
def _on_head(number: int, error: Optional[int], record: Optional[int]) -> None:
    _settle(number, error, lambda _: _Record.from_address(record).version if record else None)


@_OnDone
def _on_done(number: int, error: Optional[int]) -> None:
    _settle(number, error, _nothing)


def _nothing(_: _Loads) -> None:
    return None


@_OnDone
def _on_closed(number: int, error: Optional[int]) -> None:
    waiting = _waiting.get(number)
    _settle(number, error, _nothing)
    if waiting is not None:
        waiting[0].handle.called_back_last()


@_OnDone
def _on_freed(number: int, _: Optional[int]) -> None:
    _handles[number].called_back_last()


def _one_of_many(address: int, loads: _Loads) -> Answer:
    result = _Result.from_address(address)
    if result.error:
        return _failure(result.error)
    try:
        return _record(result.record, loads)
    except BaseException as wrong:
        return wrong


def _settle_many(number: int, results: Any, count: int) -> None:
    _settle(number, None, lambda loads: [_one_of_many(result, loads) for result in results[:count]])


@_OnMany
def _on_many(number: int, _: Optional[int], results: Any, count: int) -> None:
    # The first error is among the results.
    _settle_many(number, results, count)


@_OnMany
def _on_many_done(number: int, error: Optional[int], results: Any, count: int) -> None:
    if error:
        _settle_many(number, results, count)
    else:
        # Each of them succeeded, and has nothing to say.
        _settle(number, None, lambda _: [None] * count)


def _named(address: int, loads: _Loads) -> NamedRecord:
    record = _NamedRecord.from_address(address)
    data = loads(string_at(record.data, record.data_length))
    return NamedRecord(_text(record.key, record.key_length), record.version, data)


@_OnPage
def _on_page(number: int, error: Optional[int], page: int) -> None:
    def value(loads: _Loads) -> Page:
        read = _Page.from_address(page)
        records = [_named(read.records[i], loads) for i in range(read.count)]
        return Page(records, _text(read.cursor, read.cursor_length) if read.cursor else None)

    _settle(number, error, value)


@_OnAnswer
def _on_answer(number: int, error: Optional[int], text: int, length: int) -> None:
    _settle(number, error, lambda _: _loads(string_at(text, length)))


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
    entries: List[Any] = [(_KEY_SIZE, key, len(key)) for key in (_bytes("key", key) for key in keys)]
    return (_Key * len(entries))(*entries), len(entries)


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

# These leave the lock of the interpreter alone. The first adds one to the thread's own count of users, and the second
# takes it off again; the callback in which they are called is another user.
_keep_thread_state = ctypes.PYFUNCTYPE(c_int)(("PyGILState_Ensure", ctypes.pythonapi))
_drop_thread_state = ctypes.PYFUNCTYPE(None, c_int)(("PyGILState_Release", ctypes.pythonapi))

#: The handles that are not freed yet, by their numbers, which the library hands to listeners.
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

    def __init__(self, functions: ctypes.CDLL, connector: Connector, config: bytes, events: _Events) -> None:
        self.functions = functions
        self.connector = weakref.ref(connector)
        # The thread that runs callbacks, once it did.
        self.dispatcher: Optional[int] = None
        # Set where somebody asked for an end without waiting for it.
        self.closing: Optional[_Future] = None
        self._number = events.userdata = next(_numbers)
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
            self._checked(functions.connector_create(config, len(config), byref(events), byref(self._pointer)))
        except BaseException:
            self._owner.clear()
            del _handles[self._number]
            raise
        finally:
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

    def free_when_closed(self, closing: _Future) -> None:
        self.closing = closing
        # That is on the connector's own thread, where `free` waits for nobody.
        closing.add_done_callback(lambda _: self.free())

    def called_back(self) -> None:
        """A callback runs. The connector's first one keeps what Python has for the thread: it would make that anew for
        each callback, and throw it away after it, which takes longer than all the rest of an operation."""
        if self.dispatcher is None:
            self.dispatcher = threading.get_ident()
            _keep_thread_state()

    def called_back_last(self) -> None:
        if self.runs_here():
            _drop_thread_state(0)

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
        # So that one callback is the last; after `close` it is refused, and that one's was.
        self.functions.connector_close(self._pointer, _on_freed, self._number)
        self.functions.connector_free(self._pointer)
        _handles.pop(self._number, None)

    def _checked(self, code: int) -> None:
        if code != 0:
            length = c_size_t()
            message = self.functions.connector_last_error_message(byref(length))
            raise ConnectorError(code, code in (3, 5, 6), _text(message, length.value))


# ---- Listeners. The connector has them and the library has a number, so that a listener that has the connector does
# not keep it alive. Who is not there any more is told nothing. ----

def _listener(number: int, name: str) -> Any:
    handle = _handles.get(number)
    if handle is None:
        return _nobody
    handle.called_back()
    connector = handle.connector()
    return _nobody if connector is None else connector._listeners[name]


def _nobody(*_: Any) -> None:
    pass


@_OnReady
def _on_ready(number: int) -> None:
    _listener(number, "ready")()


@_OnError
def _on_error(number: int, error: int, fatal: bool) -> None:
    _listener(number, "error")(_failure(error), fatal)


@_OnLog
def _on_log(number: int, level: int, line: int, length: int) -> None:
    _listener(number, "log")(LEVELS[level], _text(line, length))


@_OnNotification
def _on_notification(number: int, channel: int, channel_length: int, payload: int, length: int) -> None:
    _listener(number, "notification")(_text(channel, channel_length), _text(payload, length))


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
        events = _Events(
            sizeof(_Events), None,
            _on_ready if on_ready else _OnReady(),
            _on_error if on_error else _OnError(),
            _on_log if on_log else _OnLog(),
            _on_notification if on_notification else _OnNotification(),
        )
        # The future of `close`, which is asked for once.
        self._closing: Optional[_Future] = None
        self._close_lock = threading.RLock()
        self._handle = _Handle(_functions(), self, config, events)
        weakref.finalize(self, self._handle.free_unwanted).atexit = False

    def get(self, key: Text, timeout: Optional[float] = None) -> Future[Optional[Record]]:
        """The record, or None. It sees every earlier `set` and `delete` of this connector. `timeout`
        is the operation's deadline in seconds; so for all methods."""
        key = _bytes("key", key)
        return self._ask("get", (key, len(key), _milliseconds(timeout)), _on_record)

    def head(self, key: Text, timeout: Optional[float] = None) -> Future[Optional[int]]:
        """The version, or None."""
        key = _bytes("key", key)
        return self._ask("head", (key, len(key), _milliseconds(timeout)), _on_head)

    def set(self, key: Text, version: SupportsIndex, data: Any, timeout: Optional[float] = None) -> Future[None]:
        """Stores a record, replacing what was there, whatever its version."""
        key, data = _bytes("key", key), self._document(data)
        return self._ask("set", (key, len(key), _version(version), data, len(data), _milliseconds(timeout)), _on_done)

    def delete(self, key: Text, timeout: Optional[float] = None) -> Future[None]:
        """Removes a record; one that is not there is no error."""
        key = _bytes("key", key)
        return self._ask("delete", (key, len(key), _milliseconds(timeout)), _on_done)

    def get_many(self, keys: Iterable[Text], timeout: Optional[float] = None) -> Future[List[Answer]]:
        """For each key its record, None, or the error."""
        return self._ask("get_many", (*_keys(keys), _milliseconds(timeout)), _on_many)

    def head_many(self, keys: Iterable[Text], timeout: Optional[float] = None) -> Future[List[Answer]]:
        """The same without documents: the `data` of each record is None."""
        return self._ask("head_many", (*_keys(keys), _milliseconds(timeout)), _on_many)

    def set_many(
        self, records: Iterable[Tuple[Text, SupportsIndex, Any]], timeout: Optional[float] = None,
    ) -> Future[List[Optional[ConnectorError]]]:
        """Stores (key, version, data) one by one; for each None or a ConnectorError."""
        entries: List[Any] = []
        for key, version, data in records:
            key, data = _bytes("key", key), self._document(data)
            entries.append((_ENTRY_SIZE, key, len(key), _version(version), data, len(data)))
        array = (_Entry * len(entries))(*entries)
        return self._ask("set_many", (array, len(entries), _milliseconds(timeout)), _on_many_done)

    def delete_many(
        self, keys: Iterable[Text], timeout: Optional[float] = None,
    ) -> Future[List[Optional[ConnectorError]]]:
        """For each key None or a ConnectorError."""
        return self._ask("delete_many", (*_keys(keys), _milliseconds(timeout)), _on_many_done)

    def scan(
        self, cursor: Optional[Text] = None, limit: SupportsIndex = 1000, timeout: Optional[float] = None,
        *, prefix: Text = "",
    ) -> Future[Page]:
        """A Page of the records whose keys begin with prefix; see docs/listing-and-commands.md."""
        prefix = _bytes("prefix", prefix)
        cursor = None if cursor is None else _bytes("cursor", cursor)
        limit = _integer("limit", limit, 0, 2**(8 * sizeof(c_size_t)) - 1)
        place = (prefix, len(prefix), cursor, 0 if cursor is None else len(cursor))
        return self._ask("scan_prefix", (*place, limit, _milliseconds(timeout)), _on_page)

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
        return self._ask("command", (name, len(name), text, len(text), _milliseconds(timeout)), _on_answer)

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
            self._closing = self._ask("close", (), _on_closed)
            return self._closing

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
                    if error.code != "CLOSED":
                        raise
            return self._closing

    def _document(self, data: Any) -> bytes:
        return _bytes("what dumps gives", self._dumps(data))

    def _ask(self, name: str, arguments: Tuple[Any, ...], callback: Any) -> _Future:
        handle = self._handle
        future = _Future(handle)
        number = next(_numbers)
        _waiting[number] = (future, self)
        try:
            handle.call(getattr(handle.functions, "connector_" + name), *arguments, callback, number)
        except BaseException:
            _waiting.pop(number, None)
            raise
        return future


def _in_event_loop() -> bool:
    """Whether a loop of asyncio is running on this thread; where nobody imported it, there is none."""
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio is not None and asyncio.get_running_loop() is not None
    except RuntimeError:
        return False
