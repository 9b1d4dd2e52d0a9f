"""A network between a worker and its database that can fail and come back."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class DatabaseProxy:
    """Forwards connections to a server; while cut, there are none and new ones are refused."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accept()

    def cut(self) -> None:
        for each in (self._listener, *self._open):
            _shut(each)
        self._open.clear()

    def restore(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accept()

    def _accept(self) -> None:
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(self._server)
                self._open += client, server
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=_forward, args=ends, daemon=True).start()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # one of the two was closed
        while data := source.recv(1 << 16):
            target.sendall(data)
    _shut(target)


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side was faster
        each.shutdown(socket.SHUT_RDWR)
    each.close()


@contextlib.contextmanager
def proxy_before(server: tuple[str, int]) -> Iterator[DatabaseProxy]:
    proxy = DatabaseProxy(server)
    try:
        yield proxy
    finally:
        proxy.cut()
