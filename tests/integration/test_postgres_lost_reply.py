"""The worst moment for a connection to break: the server has committed, the client cannot know."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy.engine import make_url

from flagpost.core.effects import Advance, Counts, Effects, Position
from flagpost.errors import Fenced, Unavailable
from flagpost.events import Partition
from flagpost.postgres.engine import create_engine
from flagpost.postgres.store import PostgresStore
from tests.contract.test_store_contract import flagged

A = Partition("transactions", 0)
BATCH = Effects([Advance(A, 1, 0, 10, None, Counts(10, 9, 1, 0, 0))], flagged=[flagged("t1")])


class ReplyLosingProxy:
    """Forwards to the server; when armed, it delivers the next COMMIT and swallows the answer."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.armed = threading.Event()

    def serve(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server:
            while request := client.recv(1 << 20):
                server.sendall(request)
                answer = server.recv(1 << 20)
                if b"COMMIT" in answer and self.armed.is_set():
                    self.armed.clear()
                    return
                client.sendall(answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def proxy_before(server: tuple[str, int]) -> Iterator[ReplyLosingProxy]:
    proxy = ReplyLosingProxy(server)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_after_a_lost_reply_the_position_tells_what_was_written(
    database_url: str, driver: str
) -> None:
    url = make_url(database_url).set(drivername=f"postgresql+{driver}")
    with proxy_before((url.host or "", url.port or 5432)) as proxy:
        through_proxy = url.set(host="127.0.0.1", port=proxy.port)
        engine = create_engine(through_proxy.render_as_string(hide_password=False))
        store = PostgresStore(engine, "scorers")
        store.acquire({A: 0})

        proxy.armed.set()
        with pytest.raises(Unavailable):
            store.commit(BATCH)

        assert store.acquire({A: 0}) == {A: Position(2, 10, None)}
        with pytest.raises(Fenced):
            store.commit(BATCH)
        assert store.totals("transactions") == {A: Counts(10, 9, 1, 0, 0)}
        engine.dispose()
