"""The name of this process among all that work on a stream."""

import os
import socket


def process_name() -> str:
    """Return the host and the process id."""
    return f"{socket.gethostname()}:{os.getpid()}"
