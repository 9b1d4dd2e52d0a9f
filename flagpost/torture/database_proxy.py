"""A network between a worker and its database that can fail and come back."""

import contextlib
import re
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal

from sqlalchemy.engine import make_url

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
_ROLLBACK = b"Q\x00\x00\x00\x0dROLLBACK\x00"
"""How both drivers ask for them: a simple query, and nothing behind it."""

_BATCH = b"UPDATE stream.positions SET next_offset"
"""What stands in the text of the statement that writes a batch, and in no other."""

_PREPARED = re.compile(rb"P....([^\0]+)\0[^\0]*" + _BATCH, re.DOTALL)
"""How a driver gives that text a name, by which it asks for it from then on."""

_IN_TRANSACTION = b"Z\0\0\0\x05T"
"""How the server ends its answer while a transaction is open."""

_RECEIVE_BYTES = 1 << 16
_LOOPBACK = "127.0.0.1"

Loss = Literal["request", "reply"]


class DatabaseProxy:
    """Forwards connections to a server; while cut, there are none and new ones are refused.

    The commit that is lost is that of a batch: the statement that writes it, or COMMIT where that
    is part of a transaction. A worker commits its reads, too, and nothing hangs on those.
    The server may go away and come back: a connection that cannot reach it is closed at once.
    Connections must not be encrypted, or no commit is recognised.
    """

    def __init__(self, database_url: str) -> None:
        """Listen on a free port of this machine, before the server of a PostgreSQL URL."""
        url = make_url(database_url)
        self._server = url.host or _LOOPBACK, url.port or 5432
        self._listener = socket.create_server((_LOOPBACK, 0))
        self._port: int = self._listener.getsockname()[1]
        self.database_url = url.set(host=_LOOPBACK, port=self._port).render_as_string(
            hide_password=False
        )
        self._lock = threading.Lock()
        self._open: list[_Connection] = []
        self._losses: deque[Loss] = deque()
        self._accept()

    @property
    def is_armed(self) -> bool:
        """Whether a commit is still to be lost."""
        return bool(self._losses)

    def lose_next_commit(self) -> None:
        """Cut the connection that sends the next batch's commit, which the server never sees."""
        self._losses.append("request")

    def lose_next_commit_reply(self) -> None:
        """Let the next batch's commit reach the server, and cut the connection, not its reply."""
        self._losses.append("reply")

    def disarm(self) -> None:
        """Lose nothing after all."""
        self._losses.clear()

    def cut(self) -> None:
        """Close every connection and refuse new ones, until `restore`."""
        with self._lock:
            _shut(self._listener)
            for connection in self._open:
                connection.cut()
            self._open.clear()

    def restore(self) -> None:
        """Accept connections again."""
        self._listener = socket.create_server((_LOOPBACK, self._port))
        self._accept()

    def _accept(self) -> None:
        _in_thread(self._serve, self._listener)

    def _serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = listener.accept()
                self._connect(client, listener)

    def _connect(self, client: socket.socket, listener: socket.socket) -> None:
        try:
            server = socket.create_connection(self._server)
        except OSError:
            _shut(client)
            return
        connection = _Connection(client, server, self._next_loss)
        with self._lock:
            if listener.fileno() < 0:  # cut meanwhile
                connection.cut()
            else:
                self._open.append(connection)
        connection.forward()

    def _next_loss(self) -> Loss | None:
        with contextlib.suppress(IndexError):
            return self._losses.popleft()
        return None


class _Connection:
    """What either side sends goes to the other; when one closes, so does the other."""

    def __init__(
        self,
        client: socket.socket,
        server: socket.socket,
        next_loss: Callable[[], Loss | None],
    ) -> None:
        self._client = client
        self._server = server
        self._next_loss = next_loss
        self._names: set[bytes] = set()  # of the prepared statement that writes a batch
        self._is_in_transaction = False
        self._has_written = False
        self._swallows_reply = False

    def forward(self) -> None:
        _in_thread(self._forward_requests)
        _in_thread(self._forward_replies)

    def cut(self) -> None:
        _shut(self._client)
        _shut(self._server)

    def _forward_requests(self) -> None:
        with contextlib.suppress(OSError):  # one of the two was closed
            while request := self._client.recv(_RECEIVE_BYTES):
                if not self._swallows_reply:  # else this is the rest of what was long
                    loss = self._loss_of(request)
                    if loss == "request":
                        break
                    self._swallows_reply = loss == "reply"
                self._server.sendall(request)
        self.cut()

    def _loss_of(self, request: bytes) -> Loss | None:
        is_commit = self._writes_batch(request)
        if self._is_in_transaction:
            self._has_written |= is_commit
            is_commit = self._has_written and request.endswith(_COMMIT)
        if request.endswith((_COMMIT, _ROLLBACK)):
            self._has_written = False
        return self._next_loss() if is_commit else None

    def _writes_batch(self, request: bytes) -> bool:
        if prepared := _PREPARED.match(request):
            self._names.add(prepared[1])
            return False
        return _BATCH in request or any(b"\0%b\0" % name in request for name in self._names)

    def _forward_replies(self) -> None:
        with contextlib.suppress(OSError):
            while (reply := self._server.recv(_RECEIVE_BYTES)) and not self._swallows_reply:
                self._is_in_transaction = reply.endswith(_IN_TRANSACTION)
                self._client.sendall(reply)
        self.cut()


def _in_thread(serve: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=serve, args=arguments, daemon=True).start()


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side was faster
        each.shutdown(socket.SHUT_RDWR)
    each.close()


@contextlib.contextmanager
def proxy_before(database_url: str) -> Iterator[DatabaseProxy]:
    """Stand before the server of a PostgreSQL URL, and let go of it in the end."""
    proxy = DatabaseProxy(database_url)
    try:
        yield proxy
    finally:
        proxy.cut()
