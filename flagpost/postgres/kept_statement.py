"""A statement that one connection executes again and again, with as little of the driver as can be.

psycopg's cursor runs hundreds of lines of Python for each execution, and psycopg2's looks for the
names of parameters in the whole text. The text is SQLAlchemy's either way.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from psycopg import Connection
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many, send
from psycopg.pq import ExecStatus, Format
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.psycopg import dialect

Rows = list[tuple[Any, ...]]
Values = Mapping[str, str | bytes]
"""The parameters of a statement, by their names; there is at least one."""

# The server plans a prepared statement anew for its first five executions, to compare. Here the
# plan does not depend on the parameters: they are JSON, of which it knows nothing.
_PLAN_ONCE = "SET plan_cache_mode = force_generic_plan"
_AS_UTF_8 = "SET client_encoding = 'UTF8'"  # a database may have another one
_NAME = b"kept"
_UNKNOWN, _BYTEA = 0, 17
"""Types of parameters, as PostgreSQL numbers them; it finds out what is unknown here."""


class KeptStatement(Protocol):
    """Executes a statement on a connection in autocommit mode; raises the driver's errors."""

    def send(self, values: Values) -> None:
        """Have it executed; may wait for the server."""

    def rows(self) -> Rows:
        """Return the rows of what was sent, once; blocks."""


def keep(statement: Select[Any], driver: Any) -> KeptStatement:  # noqa: ANN401  (either driver's)
    """Take a connection for a statement; may wait for the server."""
    kind = _Prepared if isinstance(driver, Connection) else _Named
    return kind(statement, driver)


class _Prepared:
    """With psycopg: prepared by the first execution, and executed without a cursor."""

    def __init__(self, statement: Select[Any], driver: Connection[Any]) -> None:
        driver.execute(_PLAN_ONCE)
        driver.execute(_AS_UTF_8)
        self._text, self._names = _numbered(statement)
        self._driver = driver
        self._results = Transformer(driver)
        self._is_prepared = False

    def send(self, values: Values) -> None:
        ordered = [values[name] for name in self._names]
        if not self._is_prepared:
            self._prepare(ordered)
        self._driver.pgconn.send_query_prepared(
            _NAME,
            [value.encode() if isinstance(value, str) else value for value in ordered],
            [Format.TEXT if isinstance(value, str) else Format.BINARY for value in ordered],
        )
        self._driver.wait(send(self._driver.pgconn))

    def _prepare(self, values: list[str | bytes]) -> None:
        types = [_UNKNOWN if isinstance(value, str) else _BYTEA for value in values]
        self._driver.pgconn.send_prepare(_NAME, self._text, types)
        self._driver.wait(send(self._driver.pgconn))
        self.rows()
        self._is_prepared = True

    def rows(self) -> Rows:
        """Wait for the answer, as the driver waits for any: it heeds signals and lost servers."""
        results = self._driver.wait(fetch_many(self._driver.pgconn))
        for result in results:  # rows may come first, and then what prevents their transaction
            if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
                raise error_from_result(result)
        self._results.set_pgresult(results[0])
        return self._results.load_rows(0, results[0].ntuples, tuple)


class _Named:
    """With psycopg2: the text is sent each time, and the answer awaited at once."""

    def __init__(self, statement: Select[Any], driver: Any) -> None:  # noqa: ANN401  (untyped)
        self._text = str(statement.compile(dialect=dialect()))
        self._cursor = driver.cursor()

    def send(self, values: Values) -> None:
        self._cursor.execute(self._text, values)

    def rows(self) -> Rows:
        rows: Rows = self._cursor.fetchall()
        return rows


@cache
def _numbered(statement: Select[Any]) -> tuple[bytes, list[str]]:
    """Return the text with numbered parameters, and their names in this order."""
    compiled = statement.compile(dialect=dialect(paramstyle="numeric_dollar"))
    return str(compiled).encode(), compiled.positiontup or []
