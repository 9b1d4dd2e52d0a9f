"""What psycopg and psycopg2 report, translated once into what the caller must do about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError

from flagpost.errors import BadConfiguration, FlagpostError, SchemaOutdated, Unavailable

# SQLSTATE codes, or the two digits of a whole class (PostgreSQL manual, appendix A).
_TRANSIENT = (
    "08",  # connection lost or refused
    "25006",  # read only: this server became a standby
    "25P03",  # idle in a transaction for too long
    "40",  # deadlock or serialization failure: rolled back
    "53",  # disk full, out of memory, too many connections
    "55P03",  # lock timeout
    "57",  # shutting down, starting up, statement timeout
    "58",  # input/output error of the server's system
)
_ACCESS = ("28", "3D000")  # no such role, password or database
_NO_RIGHT = "42501"
_MISSING = ("3F000", "42P01", "42703")  # no such schema, table or column

# A refused connection carries no SQLSTATE, only libpq's text. In another language than English
# these look transient: the program then waits and shows the reason, instead of ending with it.
_ACCESS_PHRASES = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "not permitted to log in",
    "permission denied",
    "does not exist",
    "does not support SSL",
    "certificate",  # missing, expired, of another authority or another host
    "private key file",
    "invalid ",
)


@contextmanager
def translated() -> Iterator[None]:
    """Translate the driver errors of the block.

    Raises:
        Unavailable: the server is away, busy, full or has rolled back; try again later.
        SchemaOutdated: a table or a column is missing.
        BadConfiguration: the server refuses the user, the password, the database or the access.
    """
    try:
        yield
    except DBAPIError as error:
        known = _translate(error)
        if known is None:  # a bug, not a condition of the server
            raise
        raise known from error


def _translate(error: DBAPIError) -> FlagpostError | None:
    state, reason = _sqlstate(error.orig), _reason(error.orig)
    if state is None:
        return _translate_connection(error, reason)
    if state.startswith(_TRANSIENT):
        return Unavailable(f"PostgreSQL is unavailable: {reason}")
    if state.startswith(_MISSING):
        return SchemaOutdated(
            f"the tables do not fit this program: {reason}; run: flagpost migrate"
        )
    if state == _NO_RIGHT:
        return _refused(f"{reason} (its rights are set by: flagpost roles)")
    if state.startswith(_ACCESS):
        return _refused(reason)
    return None


def _translate_connection(error: DBAPIError, reason: str) -> FlagpostError | None:
    connecting = error.statement is None
    bad_option = connecting and isinstance(error, ProgrammingError)
    if bad_option or (connecting and any(phrase in reason for phrase in _ACCESS_PHRASES)):
        return _refused(reason)
    if error.connection_invalidated or isinstance(error, OperationalError | InterfaceError):
        return Unavailable(f"PostgreSQL is unavailable: {reason}")
    return None


def _refused(reason: str) -> BadConfiguration:
    return BadConfiguration(f"PostgreSQL refuses access: {reason}; check FLAGPOST_DATABASE_URL")


def _sqlstate(error: Any) -> str | None:  # noqa: ANN401  (psycopg says sqlstate, psycopg2 pgcode)
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def _reason(error: Any) -> str:  # noqa: ANN401  (either driver's error)
    """Return the first line alone: a DETAIL may quote data."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return primary or (str(error).strip() or "the connection is closed").splitlines()[0]
