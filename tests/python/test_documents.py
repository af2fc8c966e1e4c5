"""Every future is resolved, whatever became of its document; and no document is too deep."""

import json
import os
import tempfile
import unittest

import support  # noqa: F401
from deepstream_connector import Connector, ConnectorError, Record

#: A document that the engine takes, and that Python's json refuses to read.
UNREADABLE = "1" * 5000


class Unlucky(Exception):
    pass


def unlucky(text):
    if b"unlucky" in text:
        raise Unlucky("no luck")
    if b"leave" in text:
        raise SystemExit(3)
    return json.loads(text)


def nested(levels, inner, alternate=True):
    """A text of lists and objects in each other."""
    opening, closing = "", ""
    for level in range(levels):
        is_object = alternate and level % 2
        opening += '{"a":' if is_object else "["
        closing = ("}" if is_object else "]") + closing
    return opening + inner + closing


def depth(value):
    """How many levels a value has, without recursion, and what is innermost."""
    levels = 0
    while isinstance(value, (list, dict)) and value:
        value = value["a"] if isinstance(value, dict) else value[0]
        levels += 1
    return levels, value


class Documents(unittest.TestCase):
    def open(self, **options):
        connector = Connector({"type": "memory"}, **options)
        self.addCleanup(connector.free)
        return connector

    def raw(self, **options):
        """A connector that takes texts, as another program would have stored them."""
        return self.open(dumps=lambda text: text, **options)

    def test_an_unreadable_document_is_corrupt(self):
        connector = self.raw()
        connector.set("key", 1, UNREADABLE)
        error = connector.get("key").exception(30)
        self.assertIsInstance(error, ConnectorError)
        self.assertEqual((error.code, error.retryable), ("CORRUPT", False))
        self.assertNotIn("1111", str(error))

    def test_what_the_users_loads_raises_is_the_error(self):
        connector = self.raw(loads=unlucky)
        connector.set("key", 1, '"unlucky"')
        self.assertIsInstance(connector.get("key").exception(30), Unlucky)
        connector.set("key", 1, '"leave"')
        self.assertIsInstance(connector.get("key").exception(30), SystemExit)
        connector.set("key", 1, "[]")
        self.assertEqual(connector.get("key").result(30), Record(1, []))

    def test_one_bad_document_of_many_fails_alone(self):
        connector = self.raw()
        connector.set_many([("a", 1, "[1]"), ("b", 2, UNREADABLE), ("c", 3, "[3]")])
        first, second, third, missing = connector.get_many(["a", "b", "c", "d"]).result(30)
        self.assertEqual((first, third, missing), (Record(1, [1]), Record(3, [3]), None))
        self.assertEqual(second.code, "CORRUPT")
        own = self.raw(loads=unlucky)
        own.set_many([("a", 1, "[1]"), ("b", 2, '"unlucky"'), ("c", 3, "[3]")])
        first, second, third = own.get_many(["a", "b", "c"]).result(30)
        self.assertEqual((first, third), (Record(1, [1]), Record(3, [3])))
        self.assertIsInstance(second, Unlucky)

    def test_a_page_with_a_bad_document_fails(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "records.sqlite")
        connector = Connector({"type": "sqlite", "path": path}, dumps=lambda text: text)
        self.addCleanup(connector.free)
        connector.set("key", 1, UNREADABLE).result(30)
        self.assertEqual(connector.scan().exception(30).code, "CORRUPT")

    def test_deep_documents_come_back(self):
        connector = self.raw()
        for levels in (990, 1000, 20000):
            for alternate in (True, False):
                connector.set("key", 1, nested(levels, '"\\u00e9\\ud83d\\ude00"', alternate))
                record = connector.get("key").result(60)
                self.assertEqual(depth(record.data), (levels, "\u00e9\U0001f600"))
                self.assertEqual(depth(connector.get_many(["key"]).result(60)[0].data)[0], levels)

    def test_deep_documents_are_read_as_others_are(self):
        texts = [
            '[1, -0, 0.5, -1.5e-7, 1E400, 12345678901234567890]', '[true, false, null]', '{}', '[]', '[{}, [], ""]',
            '{"b": {"c": [1, {"d": 2}], "a": []}, "a": 1, "a": 2, "": 3}', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000"',
            ' [ 1 , { "x" : [ ] , "y" : { } } ] ', '"\u00e9\u2028"',
        ]
        connector = self.raw()
        for text in texts:
            deep = nested(3000, text, False)
            connector.set("key", 1, deep)
            value = connector.get("key").result(60).data
            for _ in range(3000):
                (value,) = value
            self.assertEqual(repr(value), repr(json.loads(text)))

    def test_an_unreadable_deep_document_is_corrupt(self):
        connector = self.raw()
        connector.set("key", 1, nested(3000, UNREADABLE))
        self.assertEqual(connector.get("key").exception(60).code, "CORRUPT")

    def test_deep_values_are_stored(self):
        innermost = {"b": (1, 2.5, True, None, "\u00e9"), 2: {}, None: [], True: [[], {}], 1.5: 0}
        value = innermost
        for _ in range(1500):
            value = [{"a": value}]
        connector = self.open(loads=bytes)
        connector.set("key", 1, value)
        stored = connector.get("key").result(60).data.decode()
        self.assertEqual(stored, '[{"a": ' * 1500 + json.dumps(innermost) + "}]" * 1500)

    def test_values_that_are_no_document_are_refused(self):
        connector = self.open()
        circle = []
        circle.append(circle)
        long_circle = deepest = []
        for _ in range(2000):
            deepest.append([])
            deepest = deepest[0]
        deepest.append(long_circle)
        deep_wrong = {1, 2}
        deep_key = {(1, 2): 3}
        deep_number = float("nan")
        for _ in range(2000):
            deep_wrong, deep_key, deep_number = [deep_wrong], [deep_key], [deep_number]
        cases = [
            (ValueError, circle), (ValueError, long_circle), (TypeError, {1, 2}), (TypeError, deep_wrong),
            (TypeError, {(1, 2): 3}), (TypeError, deep_key), (ValueError, float("nan")), (ValueError, deep_number),
        ]
        for number, (kind, value) in enumerate(cases):
            with self.subTest(number), self.assertRaises(kind):
                connector.set("key", 1, value)


if __name__ == "__main__":
    unittest.main()
