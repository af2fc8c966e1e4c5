"""Connectors that nobody frees: they end when nobody has them any more, and before the interpreter does.

python3 python_module.py forgotten|exit FOLDER
"""

import gc
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bindings/python"))
from deepstream_connector import Connector  # noqa: E402


def connector(**options):
    return Connector(options or {"type": "memory"}, on_ready=lambda: None, on_log=lambda level, line: None)


def forgotten():
    for _ in range(200):
        # Nobody has this one any more while it works.
        sets = [connector().set("key", index, {"some": ["data"]}) for index in range(5)]
        for future in sets:
            future.result()
        ended = connector()
        ended.on_purpose = ended
        del ended
        gc.collect()
    print("forgotten")


def exit():
    kept = connector(type="sqlite", path=os.path.join(sys.argv[2], "records.db"))
    for index in range(2000):
        kept.set("k%d" % (index % 500), index, {"some": ["data"]})
    sys.exit(7)


{"forgotten": forgotten, "exit": exit}[sys.argv[1]]()
