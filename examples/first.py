"""A first program in Python.

    python3 examples/first.py                                                    (the memory cache)
    python3 examples/first.py '{"type": "sqlite", "path": "records.db"}'     (any other one)

CONNECTOR_LIBRARY names the library's file, if it is not where the system looks.
"""

import asyncio
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bindings/python"))

from deepstream_connector import Connector  # noqa: E402


async def main():
    options = sys.argv[1] if len(sys.argv) > 1 else {"type": "memory"}
    with Connector(options) as connector:
        # Neither waits for the other, and yet the read sees the write.
        stored = connector.set("user/ada", 1, {"name": "Ada", "born": 1815})
        record = await asyncio.wrap_future(connector.get("user/ada"))
        await asyncio.wrap_future(stored)
        print(f"user/ada: version {record.version}, {record.data}")


asyncio.run(main())
