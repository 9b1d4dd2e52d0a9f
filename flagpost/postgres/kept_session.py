"""A session that is kept for one statement, which is executed again and again as a transaction.

With a small batch, what SQLAlchemy and the driver do around a statement takes longer than what the
server does in it. So a connection is taken out of the pool for good (see `kept_statement`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, Select, event
from sqlalchemy.exc import DBAPIError

from flagpost.postgres.kept_statement import KeptStatement, Rows, Values, keep
from flagpost.postgres.time_limit import TimeLimit


class KeptSession:
    """Opens a session when it is needed; after any failure the next call opens another.

    It is closed when the engine is disposed of, unless somebody waits for rows, and given up when a
    server is gone for the engine. Several threads may use it, one after the other.
    """

    def __init__(self, engine: Engine, statement: Select[Any], time_limit: TimeLimit) -> None:
        """Take the engine of a database; nothing connects yet."""
        self._engine = engine
        self._select = statement
        self._time_limit = time_limit
        self._in_use = Lock()  # from a statement to its rows
        self._connection: Connection | None = None
        self._driver: Any = None  # the driver's own connection in it, and the statement on that
        self._statement: KeptStatement | None = None
        self._is_gone = False
        event.listen(engine, "handle_error", self._note_disconnect)
        event.listen(engine, "engine_disposed", self._end)

    def send(self, values: Values) -> Callable[[], Rows]:
        """Have the statement executed; what is returned waits for its rows when it is called.

        It has to be called once, in whatever thread, before anything else is sent.

        Raises:
            DBAPIError: whether it took effect may be unknown; so does what is returned.
        """
        if not self._in_use.acquire(blocking=False):
            raise RuntimeError("nobody has asked what came of the statement before")
        with self._closing_on_failure():
            if self._statement is None or self._is_gone:
                self._statement = self._open()
            with self._time_limit.on(self._driver):
                self._statement.send(values)
            return partial(self._rows_of, self._statement)

    def _rows_of(self, sent: KeptStatement) -> Rows:
        with self._closing_on_failure(), self._time_limit.on(self._driver):
            rows = sent.rows()
        self._in_use.release()
        return rows

    def _open(self) -> KeptStatement:
        self._close()
        self._is_gone = False
        self._connection = self._engine.connect()
        self._connection.detach()
        self._driver = self._connection.connection.dbapi_connection
        with self._time_limit.on(self._driver):  # the pool may have had it for long
            self._driver.autocommit = True
            return keep(self._select, self._driver)

    @contextmanager
    def _closing_on_failure(self) -> Iterator[None]:
        """End the session for others to open another; report errors as SQLAlchemy does."""
        used = self._engine.dialect
        drivers = used.loaded_dbapi
        try:
            yield
        except drivers.Error as error:
            is_lost = used.is_disconnect(error, self._driver, None)
            self._give_up()
            raise DBAPIError.instance(
                str(self._select.compile(dialect=used)), None, error, drivers.Error,
                hide_parameters=True, connection_invalidated=is_lost, dialect=used,
            ) from error  # fmt: skip
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        try:
            self._close()
        finally:
            self._in_use.release()

    def _note_disconnect(self, context: ExceptionContext) -> None:
        if context.is_disconnect:  # another thread may be waiting for it: it is not closed here
            self._is_gone = True

    def _end(self, _: Engine) -> None:
        self._is_gone = True
        if self._in_use.acquire(blocking=False):  # else it is not used again
            self._give_up()

    def _close(self) -> None:
        if self._driver is not None:
            self._driver.close()
        self._connection = self._driver = self._statement = None
