"""What the local stack remembers between runs: its ports and the database password."""

import os
import secrets
from pathlib import Path
from typing import Self

import msgspec

from flagpost.errors import BadConfiguration
from flagpost.local.ports import LOOPBACK, choose_free_port

DATABASE = "flagpost"
DATABASE_USER = "flagpost"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The facts in `stack.json`; the file is readable by its owner alone."""

    kafka_port: int
    controller_port: int
    postgres_port: int
    password: str

    @classmethod
    def new(cls) -> Self:
        """Choose free ports and a password."""
        return cls(
            kafka_port=choose_free_port(),
            controller_port=choose_free_port(),
            postgres_port=choose_free_port(),
            password=secrets.token_urlsafe(24),
        )

    @property
    def kafka_bootstrap(self) -> str:
        """The broker's `host:port`."""
        return f"{LOOPBACK}:{self.kafka_port}"

    @property
    def database_url(self) -> str:
        """The database's URL, with its password."""
        server = f"{LOOPBACK}:{self.postgres_port}"
        return f"postgresql://{DATABASE_USER}:{self.password}@{server}/{DATABASE}"


def read_record(home: Path) -> Record | None:
    """Read the record of the stack in `home`, None when there never was one.

    Raises:
        BadConfiguration: the file is damaged.
    """
    path = home / "stack.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        msg = f"{path} is damaged ({error}); run `flagpost down`, remove {home} and start again"
        raise BadConfiguration(msg) from error


def write_record(home: Path, record: Record) -> None:
    """Write the record, and `env` with the addresses as every command reads them."""
    write_private(home / "stack.json", msgspec.json.format(msgspec.json.encode(record)))
    lines = (
        f"FLAGPOST_KAFKA_BOOTSTRAP={record.kafka_bootstrap}\n"
        f"FLAGPOST_DATABASE_URL={record.database_url}\n"
    )
    write_private(home / "env", lines.encode())


def write_private(path: Path, content: bytes) -> None:
    """Put a file in place as a whole, readable by its owner alone."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
