"""The table of `flagpost status`."""

from datetime import datetime
from pathlib import Path

from rich.box import SIMPLE
from rich.filesize import decimal
from rich.table import Table

from flagpost.local.ports import LOOPBACK
from flagpost.local.record import Record, read_record
from flagpost.local.stack import Server, servers_of

FACTS = ("address", "pid", "up since", "data", "log")


def overview(home: Path) -> Table:
    """Build a table with a column for each server of a home directory, running or not."""
    servers, record = servers_of(home), read_record(home)
    table = Table("", *(f"{server.name} {server.version}" for server in servers), box=SIMPLE)
    columns = [(*_life(server, record), *_files(server, home)) for server in servers]
    for row in zip(FACTS, *columns, strict=True):
        table.add_row(*row)
    return table


def _life(server: Server, record: Record | None) -> tuple[str, str, str]:
    process = server.process()
    if process is None or record is None:
        return ("-", "-", "not running")
    started = datetime.fromtimestamp(process.create_time()).astimezone()
    address = f"{LOOPBACK}:{getattr(record, server.ports[0])}"
    return (address, str(process.pid), f"{started:%Y-%m-%d %H:%M:%S}")


def _files(server: Server, home: Path) -> tuple[str, str]:
    """Return what the data take on disk and where the log is, as one may type it here."""
    taken_bytes = sum(map(_bytes_on_disk, server.data.rglob("*")))
    return (decimal(taken_bytes), str(home / server.log.name))


def _bytes_on_disk(path: Path) -> int:
    try:
        return path.lstat().st_blocks * 512
    except FileNotFoundError:  # its server removed it meanwhile
        return 0
