"""Whether an operation that failed may have been carried out is a field of its error."""

import ctypes
import unittest

import support  # noqa: F401
import deepstream_connector
from deepstream_connector import Connector, ConnectorError


class Applied(unittest.TestCase):
    def read(self, **fields):
        """The error that the module makes of a struct of the library's."""
        error = deepstream_connector._Error(ctypes.sizeof(deepstream_connector._Error), 5)
        for name, value in fields.items():
            setattr(error, name, value)
        return deepstream_connector._failure(ctypes.addressof(error))

    def test_each_number_has_its_word(self):
        self.assertEqual(self.read(applied=0).applied, "no")
        self.assertEqual(self.read(applied=1).applied, "unknown")
        # One of a later version.
        self.assertEqual(self.read(applied=2).applied, "unknown")

    def test_an_older_library_does_not_say(self):
        size = deepstream_connector._Error.applied.offset
        self.assertEqual(self.read(size=size, applied=0).applied, "unknown")

    def test_what_is_refused_was_not_applied(self):
        connector = Connector({"type": "memory"})
        connector.free()
        for call in (lambda: connector.set("key", 1, 0), lambda: Connector({"type": "nothing"})):
            with self.assertRaises(ConnectorError) as refused:
                call()
            self.assertEqual(refused.exception.applied, "no")

    def test_what_was_never_sent_was_not_applied(self):
        # Nobody is there.
        connector = Connector({"type": "redis", "host": "127.0.0.1", "port": 1})
        self.addCleanup(connector.free)
        error = connector.set("key", 1, 0, 0.05).exception(30)
        self.assertEqual((error.code, error.applied), ("TIMEOUT", "no"))
        (error,) = connector.set_many([("key", 1, 0)], 0.05).result(30)
        self.assertEqual((error.code, error.applied), ("TIMEOUT", "no"))


if __name__ == "__main__":
    unittest.main()
