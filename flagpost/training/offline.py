"""A log file through the same pipeline that the worker runs, for training and evaluation."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, compress, pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from flagpost.core.calendar import DAY_US
from flagpost.core.features import FEATURE_NAMES
from flagpost.core.history import Int64s
from flagpost.core.micro_batch import label_entries
from flagpost.core.piece import between, joined
from flagpost.core.pipeline import Run, observe_transactions
from flagpost.core.scorer import Floats
from flagpost.core.state import State
from flagpost.core.stream_time import running_maximum
from flagpost.events import Partition, Reason, TransactionDecoder, Transactions
from flagpost.label_events import LabelDecoder, Labels
from flagpost.logs import read_log
from flagpost.training.labels import in_order_of_knowing

LOG = Partition("log", 0)
"""A log counts as a stream of one partition."""


@dataclass(frozen=True, slots=True)
class DecodedLog:
    """A log's transactions in file order, batch by batch, its labels in the order of knowing."""

    batches: list[Transactions]
    labels: Labels
    dead: Counter[Reason]

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
    """n transactions in file order; duplicates are left out, as the worker leaves them out."""

    transaction_id: list[str]
    event_time_us: Int64s  # (n,)
    amount_cents: Int64s  # (n,)
    account_balance_cents: Int64s  # (n,)
    matrix: Floats  # (n, len(FEATURE_NAMES))
    n_duplicate: int

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
    batches, labels, dead = list[Transactions](), list[Labels](), Counter[Reason]()
    label_decoder = LabelDecoder()
    for batch in read_log(path):
        said, bad = label_decoder.decode(
            list(compress(batch.values, batch.is_label)), latest_event_time_us
        )
        labels.append(said)
        dead.update(message.reason for message in bad)
        messages = list(compress(batch.values, ~batch.is_label))
        transactions, bad = decoder.decode(messages, latest_event_time_us)
        batches.append(transactions)
        dead.update(message.reason for message in bad)
        on_progress(batch.fraction_done)
    return DecodedLog(batches, in_order_of_knowing(joined(labels)), dead)


def observe_log(decoded: DecodedLog, population_mean_cents: float) -> OfflineFeatures:
    """Compute the features of every transaction from what the log held before it.

    The log is a stream of one partition, what it has accepted so far is its journal, and a label is
    learned on the day when it is known.
    """
    state, accepted, matrices = State(), list[Transactions](), list[Floats]()
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
    return _joined(accepted, matrices, sum(batch.user_key.size for batch in decoded.batches))


def _days(stream_time_us: Int64s) -> list[slice]:
    """Part rows by the day of their stream time."""
    days = stream_time_us // DAY_US
    starts = [*np.flatnonzero(np.diff(days, prepend=-1)).tolist(), days.size]
    return [slice(*pair) for pair in pairwise(starts)]


def _joined(accepted: list[Transactions], matrices: list[Floats], n_read: int) -> OfflineFeatures:
    matrix = np.concatenate(matrices) if matrices else np.empty((0, len(FEATURE_NAMES)))
    return OfflineFeatures(
        transaction_id=list(chain.from_iterable(batch.transaction_id for batch in accepted)),
        event_time_us=np.concatenate([batch.event_time_us for batch in accepted]),
        amount_cents=np.concatenate([batch.amount_cents for batch in accepted]),
        account_balance_cents=np.concatenate([batch.account_balance_cents for batch in accepted]),
        matrix=matrix,
        n_duplicate=n_read - matrix.shape[0],
    )
