"""Connectors end when nobody has them any more, and nothing that ends one blocks who must not wait."""

import asyncio
import concurrent.futures
import ctypes
import gc
import os
import sys
import tempfile
import threading
import time
import unittest
from unittest import mock

import support
import deepstream_connector
from deepstream_connector import Connector, ConnectorError

#: Nobody listens there.
NOWHERE = {"type": "redis", "host": "127.0.0.1", "port": 1, "timeout": 60000, "closeTimeout": 3000}


def threads():
    """How many threads the process has, the library's own among them."""
    return len(os.listdir("/proc/self/task"))


def wait_until(true):
    end = time.monotonic() + 30
    while not true():
        if time.monotonic() > end:
            raise AssertionError("it does not happen")
        time.sleep(0.01)


class Owner:
    """What has a connector, and listens to it."""

    def __init__(self):
        self.heard = threading.Event()
        self.connector = Connector({"type": "memory"}, on_ready=self.ready, on_log=self.log)

    def ready(self):
        self.heard.set()

    def log(self, level, line):
        pass


class Lifetime(unittest.TestCase):
    @unittest.skipUnless(sys.platform == "linux", "threads are counted in /proc")
    def test_bound_methods_that_listen_keep_no_connector(self):
        before = threads()
        for _ in range(20):
            owner = Owner()
            owner.connector.set("key", 1, []).result(30)
            self.assertTrue(owner.heard.wait(30))
        del owner
        gc.collect()
        wait_until(lambda: threads() <= before)

    def test_the_collector_does_not_wait_for_a_listener(self):
        lock, entered = threading.Lock(), threading.Event()

        def listen():
            entered.set()
            with lock:
                pass

        def drop():
            connector = Connector({"type": "memory"}, on_ready=listen)
            with lock:
                if not entered.wait(30):
                    return
                del connector
                gc.collect()
            dropped.set()

        dropped = threading.Event()
        threading.Thread(target=drop, daemon=True).start()
        self.assertTrue(dropped.wait(30))

    def test_forgotten_connectors_end_with_the_program(self):
        program = """
            from deepstream_connector import Connector

            for _ in range(50):
                Connector({"type": "memory"}, on_ready=lambda: None, on_log=lambda level, line: None)
            print("ended")
        """
        self.assertEqual(support.run(program), "ended\n")

    def test_close_and_free_within_a_with_block(self):
        with Connector({"type": "memory"}) as connector:
            stored = connector.set("key", 1, [])
            closed = connector.close()
        self.assertIsNone(stored.result(0))
        self.assertIsNone(closed.result(0))
        with Connector({"type": "memory"}) as connector:
            connector.close().result(30)
        with Connector({"type": "memory"}) as connector:
            connector.free()
        with Connector({"type": "memory"}) as connector:
            with self.assertRaises(ConnectorError) as refused:
                connector.close()
                connector.close()
            self.assertEqual(refused.exception.code, "CLOSED")

    def test_a_block_in_a_coroutine_does_not_halt_the_loop(self):
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        async def work(enter):
            ticking = asyncio.ensure_future(tick())
            pending = await enter()
            with self.assertRaises(ConnectorError) as error:
                await asyncio.wrap_future(pending)
            self.assertEqual(error.exception.code, "CLOSED")
            ticking.cancel()

        async def enter_async():
            async with Connector(NOWHERE) as connector:
                pending = connector.set("key", 1, [])
            self.assertTrue(pending.done())
            with self.assertRaises(ConnectorError):
                connector.get("key")
            return pending

        async def enter():
            with Connector(NOWHERE) as connector:
                pending = connector.set("key", 1, [])
            with self.assertRaises(ConnectorError) as refused:
                connector.get("key")
            self.assertEqual(refused.exception.code, "CLOSED")
            return pending

        for way in (enter_async, enter):
            ticks = 0
            asyncio.run(work(way))
            # Three seconds' worth would be 300; a loop that is halted has a few.
            self.assertGreater(ticks, 30)

    def test_a_cancelled_block_ends_its_connector(self):
        async def work():
            async with Connector(dict(NOWHERE, closeTimeout=300)) as connector:
                entered.set_result(connector.set("key", 1, []))
                await asyncio.sleep(60)

        async def cancel():
            nonlocal entered
            entered = asyncio.get_running_loop().create_future()
            task = asyncio.ensure_future(work())
            pending = await entered
            task.cancel()
            await asyncio.sleep(0.01)
            # Now it waits for the connector's end.
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            return pending

        entered = None
        self.assertEqual(asyncio.run(cancel()).exception(30).code, "CLOSED")

    def test_what_was_accepted_in_a_coroutines_block_is_stored_before_the_program_ends(self):
        program = """
            import asyncio
            import sys
            from deepstream_connector import Connector

            async def main():
                with Connector({"type": "sqlite", "path": sys.argv[1]}) as connector:
                    for number in range(2000):
                        connector.set("key/%d" % number, number, [])

            asyncio.run(main())
        """
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "records.sqlite")
            support.run(program, path)
            with Connector({"type": "sqlite", "path": path}) as connector:
                self.assertEqual(len(list(connector.records())), 2000)

    def test_waiting_on_the_connectors_own_thread_is_refused(self):
        told = []
        done = threading.Event()

        def then(future):
            later = connector.get("key")
            for wait in (later.result, later.exception, lambda: later.result(60), lambda: next(connector.records())):
                try:
                    wait()
                except Exception as error:
                    told.append(error)
            try:
                later.result(0)
            except Exception as error:
                told.append(error)
            # What is there already can be had, and other connectors' answers can be waited for.
            told.append(future.result())
            told.append(other.head("key").result(30))
            done.set()

        with Connector({"type": "memory"}) as connector, Connector({"type": "memory"}) as other:
            other.set("key", 7, [])
            connector.set("key", 1, []).add_done_callback(then)
            self.assertTrue(done.wait(30))
        self.assertEqual([type(error) for error in told[:4]], [RuntimeError] * 4)
        self.assertIn("add_done_callback", str(told[0]))
        self.assertIsInstance(told[4], concurrent.futures.TimeoutError)
        self.assertEqual(told[5:], [None, 7])

    def test_a_library_of_another_interface_is_refused(self):
        library = deepstream_connector._functions()

        def load(answer):
            stranger = mock.Mock(wraps=library, spec=None if answer else [])
            if answer:
                stranger.connector_abi_version = mock.Mock(return_value=answer)
            with mock.patch.object(ctypes, "CDLL", return_value=stranger), self.assertRaises(ImportError) as refused:
                deepstream_connector._load()
            return str(refused.exception)

        self.assertIn("version 7", load(7))
        self.assertIn("connector_abi_version", load(None))


if __name__ == "__main__":
    unittest.main()
