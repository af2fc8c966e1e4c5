"""The interpreter may end at any moment: callbacks that would start then end their thread.

python3 exit_with_work_pending.py <library> [daemon]
"""

import ctypes
import sys
import threading
import time
from ctypes import c_char_p, c_int64, c_size_t, c_uint32, c_void_p

OnDone = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)
library = ctypes.CDLL(sys.argv[1])
library.connector_set.argtypes = [
    c_void_p, c_char_p, c_size_t, c_int64, c_char_p, c_size_t, c_uint32, OnDone, c_void_p,
]
library.connector_dispatch.argtypes = [c_void_p]
polled = len(sys.argv) > 2

connector = c_void_p()
config = b'{"type": "memory"}'
create = library.connector_create_polled if polled else library.connector_create
assert create(config, c_size_t(len(config)), None, ctypes.byref(connector)) == 0
ran = 0


@OnDone
def on_set(_, error):
    global ran
    ran += 1
    library.connector_set(connector, b"key", 3, 1, b"[1]", 3, 0, on_set, None)


for _ in range(64):
    assert library.connector_set(connector, b"key", 3, 1, b"[1]", 3, 0, on_set, None) == 0


def dispatch():
    while True:
        library.connector_dispatch(connector)


if polled:
    threading.Thread(target=dispatch, daemon=True).start()
while ran < 1000:
    time.sleep(0.001)
print("ran")
