"""The connection to PostgreSQL: a small pool, and limits on how long anything may take."""

import logging

import sqlalchemy
from sqlalchemy import URL, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from flagpost.errors import BadConfiguration
from flagpost.postgres.recordset import to_json

EXAMPLE = "postgresql://user:password@host:5432/flagpost"

# A connection that was cut without a word is noticed after half a minute.
_LIBPQ = {
    "fallback_application_name": "flagpost",  # PGAPPNAME may say which process it is
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}
# A member that is frozen inside a transaction keeps its row locks until the server ends its
# session; a member that takes over waits for longer than that, then reports.
_SESSION = {
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "20s",
    "statement_timeout": "60s",
    "timezone": "UTC",
}


# What positions.py relies on, also where each statement is a transaction of its own.
_FENCE = "-c default_transaction_isolation=read\\ committed"


def create_engine(database_url: str) -> Engine:
    """Return an engine for a PostgreSQL URL; nothing connects yet.

    `postgresql://` uses psycopg 3, `postgresql+psycopg2://` the older driver. What the URL sets
    itself (`?connect_timeout=3`, `&options=-c%20lock_timeout=5s`) comes before the defaults here.

    Raises:
        BadConfiguration: this is not the URL of a PostgreSQL database. The URL is not repeated:
            it may hold a password.
    """
    url = _parse(database_url)
    session = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    options = f"{session} {url.query.get('options', '')} {_FENCE}"
    # What the pool logs, with a trace, its caller is told by an error.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    return sqlalchemy.create_engine(
        url.set(query={**_LIBPQ, **url.query, "options": options}),
        isolation_level="READ COMMITTED",
        pool_size=1,
        max_overflow=1,
        hide_parameters=True,
        json_serializer=to_json,  # knows times and decimals, and is fast
        use_insertmanyvalues=False,  # psycopg2 is faster with large segments one by one
        use_native_hstore=False,  # saves a look-up on every new connection
    )


def _parse(database_url: str) -> URL:
    if not database_url:
        raise _bad_url("is not set: run `flagpost up`, or set it")
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):
        raise _bad_url("cannot be read") from None  # the cause quotes parts of the URL
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("postgresql+psycopg", "postgresql+psycopg2"):
        raise _bad_url(f"names {url.drivername}")
    if "@" in (url.host or ""):
        raise _bad_url("has an @ in the password, which is written %40")
    return url


def _bad_url(problem: str) -> BadConfiguration:
    return BadConfiguration(f"FLAGPOST_DATABASE_URL {problem}; expected a URL such as {EXAMPLE}")
