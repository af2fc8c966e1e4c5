"""What ends a program, or a part of it, ends no answers of others."""

import os
import unittest

import support


class Interruptions(unittest.TestCase):
    def test_what_callbacks_raise_costs_no_other_answer(self):
        written = support.run("""
            import sys
            from deepstream_connector import Connector

            def exits(_):
                sys.exit("of a callback")

            def listener(*_):
                raise KeyboardInterrupt("of a listener")

            def hook(*_):
                raise SystemExit("of the hook")

            for hooks in (sys.excepthook, hook):
                sys.excepthook = hooks
                with Connector({"type": "memory"}, on_ready=listener) as cache:
                    futures = [cache.set("k%d" % number, 1, number) for number in range(20)]
                    for future in futures:
                        future.add_done_callback(exits)
                    assert [future.result(20) for future in futures] == [None] * 20
                    assert cache.get("k7").result(20).data == 7
            print("all of them")
            """)
        self.assertIn("of a listener", written)
        self.assertIn("all of them", written)

    @unittest.skipUnless(hasattr(os, "fork"), "there is no fork")
    def test_a_forked_child_ends_as_it_wants(self):
        written = support.run("""
            import os, sys
            from deepstream_connector import Connector, ConnectorError

            with Connector({"type": "redis", "host": "127.0.0.1", "port": 1, "closeTimeout": 1}) as cache:
                pending = cache.get("k")
                child = os.fork()
                if child == 0:
                    try:
                        pending.result()
                    except ConnectorError as error:
                        assert error.code == "FORKED", error
                    sys.exit(7)
                assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 7
            print("the parent, too")
            """)
        self.assertIn("the parent, too", written)


if __name__ == "__main__":
    unittest.main()
