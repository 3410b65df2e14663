"""Python's garbage collector, held while thousands of objects are made that all stay.

Strategy: the collector looks through the young objects after every few hundred new ones and, when those stay, through
all objects of the process: with many small values that is most of the time of a save or a load. It finds nothing there,
so it waits. Users are counted, so that nested calls and several threads leave it as they found it.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
_users = 0
_enabled = False


@contextmanager
def held() -> Iterator[None]:
    """Hold the collector until the last of those who hold it is done.

    >>> with held():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    global _users, _enabled
    with _lock:
        if not _users:
            _enabled = gc.isenabled()
            gc.disable()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users and _enabled:
                gc.enable()
