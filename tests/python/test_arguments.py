"""What cannot be sent as it was given is refused by name, and never sent as something else."""

import unittest

import support  # noqa: F401
from deepstream_connector import Connector, ConnectorError


class Index:
    """A number that is no int, such as those of numpy."""

    def __init__(self, number):
        self.number = number

    def __index__(self):
        return self.number


class Arguments(unittest.TestCase):
    def setUp(self):
        self.connector = Connector({"type": "memory"})
        self.addCleanup(self.connector.free)

    def refused(self, kind, name, call, *arguments, **named):
        with self.assertRaises(kind) as refused:
            call(*arguments, **named)
        self.assertIn(name, str(refused.exception))

    def setters(self):
        """Both ways to store one record."""
        return [self.connector.set, lambda *record: self.connector.set_many([("other", 1, 0), record])]

    def test_versions_of_64_bits_come_back(self):
        for setter in self.setters():
            for version in (-2**63, -1, 0, 2**63 - 1):
                setter("key", version, 0).result(30)
                self.assertEqual(self.connector.get("key").result(30).version, version)
            setter("key", Index(5), 0).result(30)
            self.assertEqual(self.connector.head("key").result(30), 5)

    def test_versions_beyond_64_bits_are_refused(self):
        for setter in self.setters():
            for version in (2**63, 2**64 + 5, -2**63 - 1, Index(2**63)):
                self.refused(ValueError, "version", setter, "key", version, 0)
        self.assertIsNone(self.connector.get("key").result(30))
        # Not even the good one beside it.
        self.assertIsNone(self.connector.get("other").result(30))

    def test_versions_that_are_no_integers_are_refused(self):
        for setter in self.setters():
            for version in (True, False, 1.0, float("nan"), "1", None):
                self.refused(TypeError, "version", setter, "key", version, 0)

    def test_limits(self):
        for limit in (-1, 2**64, -2**64 + 5):
            self.refused(ValueError, "limit", self.connector.scan, limit=limit)
            self.refused(ValueError, "limit", lambda: next(self.connector.records(limit)))
        for limit in (True, 1.5, "10", None):
            self.refused(TypeError, "limit", self.connector.scan, limit=limit)
        with self.assertRaises(ConnectorError) as refused:
            self.connector.scan(limit=0)
        self.assertEqual(refused.exception.code, "INVALID_ARGUMENT")

    def test_timeouts(self):
        calls = {
            "get": ["key"], "head": ["key"], "delete": ["key"], "set": ["key", 1, 0], "get_many": [["key"]],
            "head_many": [["key"]], "delete_many": [["key"]], "set_many": [[("key", 1, 0)]], "scan": [],
            "command": ["name"],
        }
        for name, arguments in calls.items():
            call = getattr(self.connector, name)
            for timeout in (-1, -0.001, float("nan"), float("-inf")):
                self.refused(ValueError, "timeout", call, *arguments, timeout=timeout)
            for timeout in ("1", [], True):
                self.refused(TypeError, "timeout", call, *arguments, timeout=timeout)
        for timeout in (None, 30, 29.5, 1e9, float("inf")):
            self.assertIsNone(self.connector.get("key", timeout=timeout).result(30))

    def test_keys_and_texts(self):
        for key in (None, 1, bytearray(b"key"), ["key"]):
            for call in (self.connector.get, self.connector.head, self.connector.delete,
                         lambda key: self.connector.set(key, 1, 0), lambda key: self.connector.get_many([key]),
                         lambda key: self.connector.set_many([(key, 1, 0)])):
                self.refused(TypeError, "key", call, key)
        for keys in ("key", b"key"):
            self.refused(TypeError, "keys", self.connector.get_many, keys)
        self.refused(TypeError, "cursor", self.connector.scan, 5)
        self.refused(TypeError, "name", self.connector.command, None)
        other = Connector({"type": "memory"}, dumps=lambda data: data)
        self.addCleanup(other.free)
        self.refused(TypeError, "dumps", other.set, "key", 1, {})


if __name__ == "__main__":
    unittest.main()
