"""Python's collector while a client unpacks a fetch."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Look for no cycles inside this block.

    A fetch makes thousands of objects, and none of them is garbage yet. Looking them over as they
    come takes half the time of librdkafka. Their reference counts free them.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
