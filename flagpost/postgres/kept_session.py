"""A session that is kept for one statement, which is executed again and again as a transaction.

With a small batch, what SQLAlchemy and the driver do around a statement takes longer than what the
server does in it. So a connection is taken out of the pool for good, and the driver's own cursor
executes the statement there. With psycopg it is prepared, and its parameters have numbers.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any, NamedTuple

from psycopg import RawCursor
from sqlalchemy import Connection, Engine, ExceptionContext, Select, event
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.exc import DBAPIError

from flagpost.postgres.time_limit import TimeLimit

Values = Mapping[str, object]
"""The parameters of a statement, by their names."""

# The server plans a prepared statement anew for its first five executions, to compare. Here the
# plan does not depend on the parameters: they are JSON, of which it knows nothing.
_PLAN_ONCE = "SET plan_cache_mode = force_generic_plan"


class KeptSession:
    """Opens a session when it is needed; after any failure the next call opens another.

    It is closed when the engine is disposed of, and given up when a server is gone for the engine.
    Threads that call it wait for each other.
    """

    def __init__(self, engine: Engine, statement: Select[Any], time_limit: TimeLimit) -> None:
        """Take the engine of a database; nothing connects yet."""
        self._engine = engine
        self._form = _form(statement, engine.dialect.driver)
        self._time_limit = time_limit
        self._lock = Lock()
        self._connection: Connection | None = None
        self._driver: Any = None  # the driver's own connection in it, and a cursor on that
        self._cursor: Any = None
        self._is_gone = False
        event.listen(engine, "handle_error", self._note_disconnect)
        event.listen(engine, "engine_disposed", self._end)

    def execute(self, values: Values) -> list[tuple[Any, ...]]:
        """Execute the statement, and return its rows. Blocks.

        Raises:
            DBAPIError: whether it took effect may be unknown.
        """
        with self._lock, self._closing_on_failure():
            if self._driver is None or self._is_gone:
                self._open()
            with self._time_limit.on(self._driver):
                self._cursor.execute(self._form.text, self._form.arranged(values))
                rows: list[tuple[Any, ...]] = self._cursor.fetchall()
                return rows

    def _open(self) -> None:
        self._close()
        self._is_gone = False
        self._connection = self._engine.connect()
        self._connection.detach()
        self._driver = self._connection.connection.dbapi_connection
        with self._time_limit.on(self._driver):  # the pool may have had it for long
            self._driver.autocommit = True
            if self._engine.dialect.driver == "psycopg":
                self._cursor = RawCursor(self._driver)
                self._cursor.execute(_PLAN_ONCE)
                self._driver.prepare_threshold = 0  # with the first execution
            else:
                self._cursor = self._driver.cursor()

    @contextmanager
    def _closing_on_failure(self) -> Iterator[None]:
        """End the session, and report the driver's errors as SQLAlchemy does."""
        used = self._engine.dialect
        drivers = used.loaded_dbapi
        try:
            yield
        except drivers.Error as error:
            is_lost = used.is_disconnect(error, self._driver, self._cursor)
            self._close()
            raise DBAPIError.instance(
                self._form.text, None, error, drivers.Error,
                hide_parameters=True, connection_invalidated=is_lost, dialect=used,
            ) from error  # fmt: skip
        except BaseException:
            self._close()
            raise

    def _note_disconnect(self, context: ExceptionContext) -> None:
        if context.is_disconnect:  # another thread may be waiting for it: it is not closed here
            self._is_gone = True

    def _end(self, _: Engine) -> None:
        self._is_gone = True
        if self._lock.acquire(blocking=False):  # else it is in use, and is not used again
            try:
                self._close()
            finally:
                self._lock.release()

    def _close(self) -> None:
        if self._driver is not None:
            self._driver.close()
        self._connection = self._driver = self._cursor = None


class _Form(NamedTuple):
    """The text of a statement, and what puts its parameters into the order of that text."""

    text: str
    arranged: Callable[[Values], object]


@cache
def _form(statement: Select[Any], driver: str) -> _Form:
    if driver != "psycopg":
        return _Form(str(statement.compile(dialect=dialect())), dict)
    compiled = statement.compile(dialect=dialect(paramstyle="numeric_dollar"))
    names = compiled.positiontup or []
    return _Form(str(compiled), lambda values: [values[name] for name in names])
