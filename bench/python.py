#!/usr/bin/env python3
"""The Python module on the memory backend, against a dict behind a ThreadPoolExecutor(1), which hands out a future for
each operation as well and turns the same values into JSON; and, if asked, against another version of the module.

    CONNECTOR_LIBRARY=target/release/libdeepstream_connector.so bench/python.py [--rounds 5] [--against FILE]

All sides take turns, in this one process. Shown are the medians of operations per second and of microseconds of CPU
time of all threads for each operation, and our figures' ratios to the others'.
"""

import argparse
import importlib.util
import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Optional, Tuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OURS = os.path.join(ROOT, "bindings/python/deepstream_connector.py")
OPERATIONS = 20000
IN_FLIGHT = 1000
DOCUMENT = {"name": "Ada", "born": 1815, "friends": ["Charles", "Mary"]}
KEYS = ["user/%d" % number for number in range(IN_FLIGHT)]


class Shelf:
    """The peer: a dict and the thread that alone may touch it."""

    def __init__(self) -> None:
        self.records: Dict[str, Tuple[int, str]] = {}
        self.thread = ThreadPoolExecutor(1)

    def set(self, key: str, version: int, data: Any) -> Any:
        return self.thread.submit(self.records.__setitem__, key, (version, json.dumps(data)))

    def get(self, key: str) -> Any:
        return self.thread.submit(lambda: (self.records[key][0], json.loads(self.records[key][1])))

    def set_many(self, records: List[Tuple[str, int, Any]]) -> Any:
        def store() -> None:
            for key, version, data in records:
                self.records[key] = (version, json.dumps(data))
        return self.thread.submit(store)

    def get_many(self, keys: List[str]) -> Any:
        def read() -> List[Tuple[int, Any]]:
            return [(self.records[key][0], json.loads(self.records[key][1])) for key in keys]
        return self.thread.submit(read)


def connector(file: str) -> Any:
    spec = importlib.util.spec_from_file_location("connector_%d" % len(file), file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Connector({"type": "memory"})


def singles(start: Callable[[str], Any]) -> None:
    for _ in range(OPERATIONS // IN_FLIGHT):
        for future in [start(key) for key in KEYS]:
            future.result()


def many(start: Callable[[], Any]) -> None:
    for _ in range(OPERATIONS // IN_FLIGHT):
        start().result()


LOADS: Dict[str, Callable[[Any], None]] = {
    "set": lambda side: singles(lambda key: side.set(key, 1, DOCUMENT)),
    "get": lambda side: singles(side.get),
    "set_many": lambda side: many(lambda: side.set_many([(key, 1, DOCUMENT) for key in KEYS])),
    "get_many": lambda side: many(lambda: side.get_many(KEYS)),
}


def measured(load: Callable[[Any], None], side: Any) -> Tuple[float, float]:
    """Operations per second, and microseconds of CPU time for each."""
    began, worked = time.perf_counter(), time.process_time()
    load(side)
    return OPERATIONS / (time.perf_counter() - began), (time.process_time() - worked) * 1e6 / OPERATIONS


def main(arguments: Optional[List[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", metavar="FILE", help="another version's deepstream_connector.py")
    asked = parser.parse_args(arguments)
    sides = {"ours": connector(OURS), "dict": Shelf()}
    if asked.against:
        sides["other"] = connector(asked.against)
    for name, load in LOADS.items():
        rounds: Dict[str, List[Tuple[float, float]]] = {side: [] for side in sides}
        for _ in range(asked.rounds):
            for side, them in sides.items():
                rounds[side].append(measured(load, them))
        rates = {side: statistics.median(rate for rate, _ in rounds[side]) for side in sides}
        costs = {side: statistics.median(cost for _, cost in rounds[side]) for side in sides}
        for side in sides:
            ratios = "" if side == "ours" else "   ours/%s: %.2f of the rate, %.2f of the CPU time" % (
                side, rates["ours"] / rates[side], costs["ours"] / costs[side])
            print("%-8s %-5s %9.0f /s %7.2f us CPU%s" % (name, side, rates[side], costs[side], ratios))


if __name__ == "__main__":
    main()
