"""A log file through the same pipeline that the worker runs, for training and evaluation."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress, pairwise
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flagpost.core.calendar import DAY_US
from flagpost.core.features import FEATURE_NAMES
from flagpost.core.history import Int64s
from flagpost.core.micro_batch import label_entries
from flagpost.core.piece import between, joined
from flagpost.core.pipeline import Run, observe_transactions
from flagpost.core.scorer import Floats
from flagpost.core.state import State
from flagpost.core.stream_time import running_maximum
from flagpost.events import BadMessage, Partition, TransactionDecoder, Transactions
from flagpost.label_events import LabelDecoder, Labels
from flagpost.logs import LogBatch, read_log
from flagpost.training.labels import in_order_of_knowing

LOG = Partition("log", 0)
"""A log counts as a stream of one partition."""


class BadLine(NamedTuple):
    """A line of a log that is neither a transaction nor a label."""

    number: int  # from 1; of a Parquet file the row
    is_label: bool  # it says that it is one
    problem: BadMessage


@dataclass(frozen=True, slots=True)
class DecodedLog:
    """A log's transactions in file order, batch by batch, its labels in the order of knowing."""

    batches: list[Transactions]
    labels: Labels
    bad_lines: list[BadLine]

    @property
    def event_time_us(self) -> Int64s:
        """The times of all transactions, duplicates included."""
        return np.concatenate([batch.event_time_us for batch in self.batches])

    def mean_amount_cents(self, until_us: int) -> float:
        """Mean over the transactions before a time, duplicates included; 0 without any."""
        amounts = np.concatenate([
            batch.amount_cents[batch.event_time_us < until_us] for batch in self.batches
        ])  # fmt: skip
        return float(amounts.mean()) if amounts.size else 0.0


@dataclass(frozen=True, slots=True)
class OfflineFeatures:
    """n transactions in file order; duplicates are left out, as the worker leaves them out.

    `is_duplicate` says which of all that were read those are.
    """

    transaction_id: list[str]
    event_time_us: Int64s  # (n,)
    amount_cents: Int64s  # (n,)
    account_balance_cents: Int64s  # (n,)
    matrix: Floats  # (n, len(FEATURE_NAMES))
    is_duplicate: NDArray[np.bool_]  # (transactions of the log,)

    @property
    def n_duplicate(self) -> int:
        """How many were left out."""
        return int(self.is_duplicate.sum())

    def frame(self) -> pd.DataFrame:
        """Return `transaction_id` and the features."""
        frame = pd.DataFrame(self.matrix, columns=list(FEATURE_NAMES), copy=False)
        frame.insert(0, "transaction_id", self.transaction_id)
        return frame


def decode_log(
    path: Path,
    decoder: TransactionDecoder,
    latest_event_time_us: int,
    on_progress: Callable[[float], None] = lambda _: None,
) -> DecodedLog:
    """Read and decode a whole log; `on_progress` is told how much of it is done, from 0 to 1.

    Raises:
        UnreadableInput: it is not a log.
    """
    batches, labels, bad_lines = list[Transactions](), list[Labels](), list[BadLine]()
    label_decoder = LabelDecoder()
    for batch in read_log(path):
        said, bad = label_decoder.decode(
            list(compress(batch.values, batch.is_label)), latest_event_time_us
        )
        labels.append(said)
        bad_lines += _lines_of(bad, batch, is_label=True)
        messages = list(compress(batch.values, ~batch.is_label))
        transactions, bad = decoder.decode(messages, latest_event_time_us)
        batches.append(transactions)
        bad_lines += _lines_of(bad, batch, is_label=False)
        on_progress(batch.fraction_done)
    bad_lines.sort(key=attrgetter("number"))
    return DecodedLog(batches, in_order_of_knowing(joined(labels)), bad_lines)


def _lines_of(bad: Sequence[BadMessage], batch: LogBatch, *, is_label: bool) -> list[BadLine]:
    """Find the lines of bad messages among the labels of a batch, or among all others."""
    numbers = batch.line_numbers[batch.is_label == is_label].tolist()
    return [BadLine(numbers[message.message_index], is_label, message) for message in bad]


def observe_log(decoded: DecodedLog, population_mean_cents: float) -> OfflineFeatures:
    """Compute the features of every transaction from what the log held before it.

    The log is a stream of one partition, what it has accepted so far is its journal, and a label is
    learned on the day when it is known.
    """
    state, accepted, matrices = State(), list[Transactions](), list[Floats]()
    duplicates = list[NDArray[np.bool_]]()
    reached_us: int | None = None

    def recall(_: Partition, first_us: int, last_us: int) -> Iterator[Transactions]:
        for batch in accepted:
            times = batch.event_time_us
            if times.size and times.max() >= first_us and times.min() <= last_us:
                yield batch

    known = label_entries(decoded.labels)
    n_learned = 0
    for batch in decoded.batches:
        stream_time_us = running_maximum(batch.event_time_us, reached_us)
        for rows in _days(stream_time_us):
            first_us, reached_us = (
                int(stream_time_us[rows.start]),
                int(stream_time_us[rows.stop - 1]),
            )
            n_known = int(np.searchsorted(known.known_at_us, reached_us, side="right"))
            state.learn(known.where(slice(n_learned, n_known)), first_us)
            n_learned = n_known
            day, n = between(batch, rows), rows.stop - rows.start
            run = Run(LOG, slice(0, n), stream_time_us[rows])
            observed = observe_transactions(day, [run], state, recall, population_mean_cents)
            keep = ~observed.is_duplicate
            accepted.append(day.take(keep))
            matrices.append(observed.features[keep])
            duplicates.append(observed.is_duplicate)
    return _joined(accepted, matrices, duplicates)


def _days(stream_time_us: Int64s) -> list[slice]:
    """Part rows by the day of their stream time."""
    days = stream_time_us // DAY_US
    starts = [*np.flatnonzero(np.diff(days, prepend=-1)).tolist(), days.size]
    return [slice(*pair) for pair in pairwise(starts)]


def _joined(
    accepted: list[Transactions], matrices: list[Floats], duplicates: list[NDArray[np.bool_]]
) -> OfflineFeatures:
    none = np.empty(0, np.int64)
    return OfflineFeatures(
        transaction_id=list(chain.from_iterable(batch.transaction_id for batch in accepted)),
        event_time_us=np.concatenate([none, *(each.event_time_us for each in accepted)]),
        amount_cents=np.concatenate([none, *(each.amount_cents for each in accepted)]),
        account_balance_cents=np.concatenate(
            [none, *(each.account_balance_cents for each in accepted)]
        ),
        matrix=np.concatenate([np.empty((0, len(FEATURE_NAMES))), *matrices]),
        is_duplicate=np.concatenate([np.empty(0, np.bool_), *duplicates]),
    )
