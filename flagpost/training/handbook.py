"""Files with the columns of the Fraud Detection Handbook, through the project's own features.

The columns are those of the data of Le Borgne, Siblini, Lebichot and Bontempi, *Reproducible
Machine Learning for Credit Card Fraud Detection - Practical Handbook* (2022), with amounts in
cents. A transaction's label is known as soon as it happens and so counts seven days later, as it
does in the book.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flagpost.core.features import FEATURES
from flagpost.core.history import Int64s
from flagpost.core.observe import Batch
from flagpost.core.scorer import Floats
from flagpost.core.segment import LabelEntries
from flagpost.core.state import State
from flagpost.errors import UnreadableInput
from flagpost.event_keys import read_ids
from flagpost.events import UNKNOWN_BALANCE, Partition

COLUMNS = (
    "TRANSACTION_ID", "TX_TIME_SECONDS", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT_CENTS",
    "TX_FRAUD_SCENARIO",
)  # fmt: skip
FIRST_DAY = date(2018, 4, 1)
"""`TX_TIME_SECONDS` counts from its midnight, UTC."""

DAY_SECONDS = 86_400
_FIRST_DAY_US = (FIRST_DAY - date(1970, 1, 1)) // timedelta(microseconds=1)
_FILE = Partition("handbook", 0)
_BATCH_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class HandbookTransactions:
    """n transactions in order of time, those of the same second by id; columns of shape (n,)."""

    transaction_id: Int64s
    time_seconds: Int64s
    customer_id: Int64s
    terminal_id: Int64s
    amount_cents: Int64s
    is_fraud: NDArray[np.bool_]

    @property
    def day(self) -> Int64s:
        """Days since the first."""
        return self.time_seconds // DAY_SECONDS

    @property
    def event_time_us(self) -> Int64s:
        """Microseconds since 1970."""
        return _FIRST_DAY_US + self.time_seconds * 1_000_000

    def mean_amount_cents(self, until_day: int) -> float:
        """Mean over the transactions before a day; 0 without any."""
        amounts = self.amount_cents[self.day < until_day]
        return float(amounts.mean()) if amounts.size else 0.0


def is_handbook_file(path: Path) -> bool:
    """Say whether a Parquet file has the Handbook's clock, which no log has."""
    if path.suffix != ".parquet":
        return False
    with _opened(path) as file:
        return "TX_TIME_SECONDS" in file.schema_arrow.names


def read_handbook(path: Path) -> HandbookTransactions:
    """Read a whole file; blocks.

    Raises:
        UnreadableInput: it is missing, empty or not Parquet; a column is missing, has empty cells
            or holds something else than whole numbers; an id repeats.
    """
    with _opened(path) as file:
        _check_types(path, file.schema_arrow)
        table = file.read(columns=list(COLUMNS))
    _check_cells(path, table)
    ids, seconds, customers, terminals, cents, scenario = (
        table[name].to_numpy().astype(np.int64) for name in COLUMNS
    )
    in_order = np.lexsort((ids, seconds))
    return HandbookTransactions(
        transaction_id=ids[in_order],
        time_seconds=seconds[in_order],
        customer_id=customers[in_order],
        terminal_id=terminals[in_order],
        amount_cents=cents[in_order],
        is_fraud=scenario[in_order] > 0,
    )


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with path.open("rb") as stored, pq.ParquetFile(stored) as file:
            yield file
    except OSError as error:
        reason = error.strerror or str(error).split("\n", 1)[0]
        raise UnreadableInput(f"{path} cannot be read: {reason}") from error
    except pa.ArrowInvalid as error:
        raise UnreadableInput(f"{path} is not a Parquet file") from error


def _check_types(path: Path, schema: pa.Schema) -> None:
    for name in COLUMNS:
        if name not in schema.names:
            raise UnreadableInput(
                f"{path} lacks the column {name}; needed are {', '.join(COLUMNS)}"
            )
        kind = schema.field(name).type
        if not pa.types.is_integer(kind):
            raise UnreadableInput(f"{path}: {name} must hold whole numbers, but its type is {kind}")


def _check_cells(path: Path, table: pa.Table) -> None:
    if not table.num_rows:
        raise UnreadableInput(f"{path} is empty: it holds no transactions")
    for name in COLUMNS:
        if table[name].null_count:
            raise UnreadableInput(f"{path}: {name} has {table[name].null_count} empty cells")
    if np.unique(table["TRANSACTION_ID"]).size < table.num_rows:
        raise UnreadableInput(f"{path}: TRANSACTION_ID holds the same id twice")


def observe_handbook(
    transactions: HandbookTransactions,
    population_mean_cents: float,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Floats:
    """Compute the features of n transactions, shape (n, len(FEATURES)), in one pass.

    `on_progress` is told how much is done, from 0 to 1. Blocks for 2 to 3 seconds a million.
    """
    state, n = State(), transactions.transaction_id.size
    stream = _as_stream(transactions, state.owner_of(_FILE))
    frauds = _as_labels(stream, transactions.is_fraud)
    matrix, n_learned = np.empty((n, len(FEATURES))), 0
    for first in range(0, n, _BATCH_ROWS):
        rows = slice(first, first + _BATCH_ROWS)
        batch = Batch(*(column[rows] for column in stream))
        first_us, last_us = int(batch.event_time_us[0]), int(batch.event_time_us[-1])
        n_known = int(np.searchsorted(frauds.known_at_us, last_us, side="right"))
        state.learn(frauds.where(slice(n_learned, n_known)), first_us)
        n_learned = n_known
        is_redelivered = np.zeros(batch.event_time_us.size, np.bool_)
        matrix[rows] = state.observe(batch, population_mean_cents, is_redelivered).features
        on_progress(min(rows.stop, n) / n)
    return matrix


def _as_stream(transactions: HandbookTransactions, owner: int) -> Batch:
    """Take the ids themselves as transaction keys: terminals order those of a second by them."""
    n, event_time_us = transactions.transaction_id.size, transactions.event_time_us
    return Batch(
        user_key=keys_of(transactions.customer_id),
        terminal_key=keys_of(transactions.terminal_id),
        owner=np.full(n, owner),
        event_time_us=event_time_us,
        amount_cents=transactions.amount_cents,
        account_balance_cents=np.full(n, UNKNOWN_BALANCE),
        transaction_key=transactions.transaction_id,
        stream_time_us=event_time_us,
    )


def _as_labels(stream: Batch, is_fraud: NDArray[np.bool_]) -> LabelEntries:
    return LabelEntries(
        terminal_key=stream.terminal_key[is_fraud],
        event_time_us=stream.event_time_us[is_fraud],
        transaction_key=stream.transaction_key[is_fraud],
        known_at_us=stream.event_time_us[is_fraud],
        is_fraud=np.ones(int(is_fraud.sum()), np.int64),
    )


def keys_of(ids: Int64s) -> Int64s:
    """Hash numbers as the stream hashes ids."""
    distinct, place = np.unique(ids, return_inverse=True)
    return read_ids(distinct.tolist()).keys[place]
