"""TCP ports of the loopback interface."""

import secrets
import socket

LOOPBACK = "127.0.0.1"
# Below the range from which Linux and macOS take the ports of outgoing connections.
CANDIDATES = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    with socket.socket() as probe:
        # As the servers do: connections that are closing down do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    """Tell whether a server accepts connections on this port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def choose_free_port() -> int:
    """Choose a free port at random, so that two working copies rarely choose the same."""
    while True:
        port = secrets.choice(CANDIDATES)
        if is_free(port):
            return port
