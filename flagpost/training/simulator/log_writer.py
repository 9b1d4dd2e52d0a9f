"""The log of a simulation: a line for each transaction, and for each label when it is known."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa

from flagpost.errors import BadConfiguration
from flagpost.training.simulator.json_lines import (
    Piece,
    chosen,
    identifier,
    lines,
    money,
    number,
    text,
    timestamp,
)
from flagpost.training.simulator.labels import SOURCES
from flagpost.training.simulator.population import CATEGORIES, TOWNS, Ints
from flagpost.training.simulator.simulation import Simulation

CHUNK_TRANSACTIONS = 100_000
_CATEGORY_NAMES = tuple(category.name for category in CATEGORIES)
_TRANSACTION_TYPES = tuple(category.transaction_type for category in CATEGORIES)


def write_log(
    simulation: Simulation, path: Path, on_written: Callable[[int], object] = lambda _: None
) -> int:
    """Write the log and return its size in bytes.

    The file has another name until it is whole. `on_written` is called after each chunk with the
    number of its transactions.

    Raises:
        BadConfiguration: the file cannot be written.
    """
    size_bytes = 0
    with whole_or_nothing(path) as file:
        for rows, labels in chunks(simulation):
            size_bytes += file.write(log_lines(simulation, rows, labels))
            on_written(len(rows))
    return size_bytes


def chunks(simulation: Simulation) -> Iterator[tuple[Ints, Ints]]:
    """Cut the log into pieces: the transactions of each, and the labels to be merged into them.

    Labels known after the last transaction belong to the last piece.
    """
    second, known_at_second = simulation.payments.second, simulation.labels.known_at_second
    first_rows = np.arange(0, len(second), CHUNK_TRANSACTIONS)
    first_labels = np.searchsorted(known_at_second, second[first_rows])
    rows = pairwise([*first_rows, len(second)])
    labels = pairwise([*first_labels, len(known_at_second)])
    return ((np.arange(*r), np.arange(*known)) for r, known in zip(rows, labels, strict=True))


def log_lines(simulation: Simulation, rows: Ints, labels: Ints) -> pa.Buffer:
    """The lines of some transactions (at least one) and labels, in order of time.

    A label stands after all transactions until the second in which it was known.
    """
    second = simulation.payments.second[rows]
    known_at_second = simulation.labels.known_at_second[labels]
    in_order = np.argsort(np.concatenate([second, known_at_second]), kind="stable")
    lines_by_kind = [_transaction_lines(simulation, rows), _label_lines(simulation, labels)]
    _validity, _ends, line_bytes = pa.concat_arrays(lines_by_kind).take(in_order).buffers()
    return cast("pa.Buffer", line_bytes)  # None only where no line is


def _transaction_lines(simulation: Simulation, rows: Ints) -> pa.StringArray:
    payments, terminals = simulation.payments, simulation.population.terminals
    terminal = payments.terminal[rows]
    category = terminals.category[terminal]
    return lines(
        transaction_id=_transaction_id(rows),
        timestamp=timestamp(simulation.start, payments.second[rows]),
        user_id=_user_id(payments.customer[rows]),
        terminal_id=_terminal_id(terminal),
        amount=money(payments.amount_cents[rows]),
        currency=text("EUR"),
        account_balance=money(simulation.balance_cents[rows]),
        transaction_type=chosen(_TRANSACTION_TYPES, category),
        merchant_category=chosen(_CATEGORY_NAMES, category),
        location=chosen(TOWNS, terminals.town[terminal]),
        location_distance_km=number(simulation.distance_km[rows]),
        is_online=number(simulation.is_online[rows]),
    )


def _label_lines(simulation: Simulation, labels: Ints) -> pa.StringArray:
    payments, known = simulation.payments, simulation.labels
    rows = known.transaction[labels]
    return lines(
        type=text("label"),
        transaction_id=_transaction_id(rows),
        user_id=_user_id(payments.customer[rows]),
        terminal_id=_terminal_id(payments.terminal[rows]),
        timestamp=timestamp(simulation.start, payments.second[rows]),
        is_fraud=number(known.is_fraud[labels]),
        known_at=timestamp(simulation.start, known.known_at_second[labels]),
        source=chosen(SOURCES, known.source[labels]),
    )


def _transaction_id(transaction: Ints) -> tuple[Piece, ...]:
    return identifier("TX", transaction, digits=7)


def _user_id(customer: Ints) -> tuple[Piece, ...]:
    return identifier("C", customer, digits=5)


def _terminal_id(terminal: Ints) -> tuple[Piece, ...]:
    return identifier("T", terminal, digits=5)


@contextmanager
def whole_or_nothing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name only when it is whole.

    Raises:
        BadConfiguration: it cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
