"""A connector may be freed at any moment, whoever is inside of it: the others get CLOSED."""

import signal
import threading
import unittest

import support
from deepstream_connector import Connector, ConnectorError


class Freeing(unittest.TestCase):
    def test_a_thread_that_calls_during_free_gets_closed(self):
        # The thread is halted before each instruction of a call in turn, while another one frees.
        program = """
            import sys
            import threading
            import deepstream_connector
            from deepstream_connector import Connector, ConnectorError

            def halted(call, instruction):
                connector = Connector({"type": "memory"})
                reached, go = threading.Event(), threading.Event()
                seen, ends = 0, []

                def trace(frame, event, _):
                    nonlocal seen
                    if frame.f_code.co_filename != deepstream_connector.__file__:
                        return None
                    frame.f_trace_opcodes = True
                    seen += 1
                    if seen == instruction:
                        reached.set()
                        go.wait()
                    return trace

                def use():
                    sys.settrace(trace)
                    try:
                        call(connector)
                    except ConnectorError as error:
                        ends.append(error.code)
                    except BaseException as error:
                        ends.append(repr(error))
                    else:
                        ends.append("accepted")
                    sys.settrace(None)
                    reached.set()

                user = threading.Thread(target=use)
                user.start()
                reached.wait()
                free = threading.Thread(target=connector.free)
                free.start()
                # It may have to wait for the other.
                free.join(0.002)
                go.set()
                user.join()
                free.join()
                return ends[0], seen >= instruction

            for call in (lambda connector: connector.get("key"), lambda connector: connector.is_ready,
                         lambda connector: connector.stats(), lambda connector: connector.close()):
                ends = []
                while True:
                    end, more = halted(call, len(ends) + 1)
                    if not more:
                        break
                    ends.append(end)
                assert len(ends) > 8, ends
                assert set(ends) == {"CLOSED", "accepted"}, set(ends)
            print("freed")
        """
        self.assertEqual(support.run(program), "freed\n")

    def test_an_older_exit_handler_may_use_a_connector(self):
        program = """
            import atexit
            from deepstream_connector import Connector, ConnectorError

            connector = None

            def at_exit():
                connector.set("key", 1, [])
                print(connector.get("key").result())

            atexit.register(at_exit)
            connector = Connector({"type": "memory"})
        """
        self.assertEqual(support.run(program), "Record(version=1, data=[])\n")

    def test_an_exit_handler_older_than_the_module_gets_closed(self):
        program = """
            import atexit

            def at_exit():
                calls = [lambda: connector.get("key"), connector.stats, lambda: connector.is_ready,
                         lambda: Connector({"type": "memory"})]
                for call in calls:
                    try:
                        call()
                    except ConnectorError as error:
                        print(error.code)

            atexit.register(at_exit)
            from deepstream_connector import Connector, ConnectorError
            connector = Connector({"type": "memory"})
        """
        self.assertEqual(support.run(program), "CLOSED\n" * 4)

    def test_free_by_a_signal_handler_amid_calls(self):
        program = """
            import signal
            from deepstream_connector import Connector, ConnectorError

            connector = None
            signal.signal(signal.SIGALRM, lambda *_: connector.free())
            for _ in range(40):
                connector = Connector({"type": "memory"})
                signal.setitimer(signal.ITIMER_REAL, 0.003)
                try:
                    while True:
                        connector.stats()
                except ConnectorError as error:
                    assert error.code == "CLOSED", error
            print("freed")
        """
        self.assertTrue(hasattr(signal, "setitimer"))
        self.assertEqual(support.run(program), "freed\n")

    def test_a_signal_handler_that_raises_amid_calls(self):
        program = """
            import signal
            from deepstream_connector import Connector, ConnectorError

            class Interrupt(BaseException):
                pass

            def interrupt(*_):
                raise Interrupt()

            signal.signal(signal.SIGALRM, interrupt)
            connector = Connector({"type": "memory"})
            for number in range(300):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0005 + number * 1e-6)
                    while True:
                        try:
                            connector.get("key")
                        except ConnectorError as error:
                            assert error.code == "BUSY", error
                except Interrupt:
                    pass
            connector.free()
            print("freed")
        """
        self.assertEqual(support.run(program), "freed\n")

    def test_free_by_many_threads_at_once(self):
        for _ in range(20):
            connector = Connector({"type": "memory"})
            future = connector.set("key", 1, [])
            threads = [threading.Thread(target=connector.free) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
                self.assertFalse(thread.is_alive())
            self.assertTrue(future.exception(30) is None or future.exception().code == "CLOSED")
            with self.assertRaises(ConnectorError) as refused:
                connector.get("key")
            self.assertEqual(refused.exception.code, "CLOSED")

    def test_free_in_a_forked_child(self):
        program = """
            import os
            import threading
            from deepstream_connector import Connector

            connector = Connector({"type": "memory"})
            user = threading.Thread(target=lambda: [connector.stats() for _ in range(3000)])
            user.start()
            for _ in range(3):
                child = os.fork()
                if child == 0:
                    connector.free()
                    with Connector({"type": "memory"}) as own:
                        own.set("key", 1, []).result()
                    raise SystemExit(0)
                assert os.waitpid(child, 0)[1] == 0
            user.join()
            print("freed")
        """
        self.assertEqual(support.run(program), "freed\n")


if __name__ == "__main__":
    unittest.main()
