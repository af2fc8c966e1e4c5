"""What the tests of the Python module share: the module itself, and programs in a process of their own.

CONNECTOR_LIBRARY=target/release/libdeepstream_connector.so python3 -m unittest discover tests/python
"""

import os
import subprocess
import sys
import textwrap

MODULE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bindings/python")
sys.path.insert(0, MODULE)


def run(program, *arguments, seconds=60):
    """Runs a program that may crash or never end, and gives what it wrote; fails unless it ends with 0."""
    # What was freed is overwritten, so that nobody who uses it still gets away with it.
    environment = {**os.environ, "PYTHONPATH": MODULE, "MALLOC_PERTURB_": "165"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), *arguments], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False,
    )
    if done.returncode != 0:
        raise AssertionError("the program ended with %d and wrote:\n%s" % (done.returncode, done.stdout))
    return done.stdout
