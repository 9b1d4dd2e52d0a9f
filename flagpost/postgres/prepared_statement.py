"""One statement that is executed again and again, each time as a transaction of its own.

With a small batch, what SQLAlchemy and the driver do around a statement takes longer than what the
server does in it. So a session is taken from the pool and kept, where the statement is prepared and
the driver's own cursor executes it; with psycopg its parameters have numbers instead of names.
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

# As the worker's batches always bring the same, it is planned once and for all.
_PLAN_ONCE = "SET plan_cache_mode = force_generic_plan"


class PreparedStatement:
    """Has one session at a time; after any failure the next call opens another.

    The session is closed when the engine is disposed of, and given up when a server is gone for the
    engine. Threads that call wait for each other.
    """

    def __init__(self, engine: Engine, statement: Select[Any], time_limit: TimeLimit) -> None:
        """Take the engine of a database; nothing connects yet."""
        self._engine = engine
        self._form = _form(statement, engine.dialect.driver)
        self._time_limit = time_limit
        self._lock = Lock()
        self._session: _Session | None = None
        self._is_gone = False
        event.listen(engine, "handle_error", self._note_disconnect)
        event.listen(engine, "engine_disposed", self._close)

    def execute(self, values: Values) -> list[tuple[Any, ...]]:
        """Execute it, and return its rows. Blocks.

        Raises:
            DBAPIError: whether it took effect may be unknown.
        """
        with self._lock:
            if self._is_gone:
                self._close()
            session = self._session = self._session or _open(self._engine)
            try:
                with self._time_limit.on(session.connection), self._wrapped_errors():
                    session.cursor.execute(self._form.text, self._form.arranged(values))
                    rows: list[tuple[Any, ...]] = session.cursor.fetchall()
            except BaseException:
                self._close()
                raise
            return rows

    @contextmanager
    def _wrapped_errors(self) -> Iterator[None]:
        """Report errors of the driver as SQLAlchemy does, whichever driver it is."""
        drivers = self._engine.dialect.loaded_dbapi
        try:
            yield
        except drivers.Error as error:
            is_lost = isinstance(error, drivers.OperationalError | drivers.InterfaceError)
            raise DBAPIError(
                self._form.text, None, error, hide_parameters=True, connection_invalidated=is_lost
            ) from error

    def _note_disconnect(self, context: ExceptionContext) -> None:
        # Another thread may be waiting for it, so it is not closed here.
        self._is_gone |= context.is_disconnect

    def _close(self, *_: object) -> None:
        if self._session is not None:
            self._session.driver.close()
        self._session, self._is_gone = None, False


class _Form(NamedTuple):
    """The text of a statement, and what puts its parameters into the order of that text."""

    text: str
    arranged: Callable[[Values], object]


class _Session(NamedTuple):
    """A connection that belongs to no pool, the driver's own in it, and a cursor of that."""

    connection: Connection
    driver: Any
    cursor: Any


@cache
def _form(statement: Select[Any], driver: str) -> _Form:
    if driver != "psycopg":
        return _Form(str(statement.compile(dialect=dialect())), dict)
    compiled = statement.compile(dialect=dialect(paramstyle="numeric_dollar"))
    names = compiled.positiontup or []
    return _Form(str(compiled), lambda values: [values[name] for name in names])


def _open(engine: Engine) -> _Session:
    connection = engine.connect()
    connection.detach()
    driver: Any = connection.connection.dbapi_connection
    driver.autocommit = True
    if engine.dialect.driver == "psycopg":
        driver.prepare_threshold = 0
        cursor = RawCursor(driver)
    else:
        cursor = driver.cursor()
    cursor.execute(_PLAN_ONCE)
    return _Session(connection, driver, cursor)
