"""A log file through the same pipeline that the worker runs, for training and evaluation."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, compress
from pathlib import Path

import numpy as np
import pandas as pd

from flagpost.core.features import FEATURE_NAMES
from flagpost.core.history import Int64s
from flagpost.core.pipeline import Run, observe_transactions
from flagpost.core.scorer import Floats
from flagpost.core.state import State
from flagpost.events import Partition, Reason, TransactionDecoder, Transactions
from flagpost.logs import read_log
from flagpost.training.labels import LabelBook

LOG = Partition("log", 0)
"""A log counts as a stream of one partition."""


@dataclass(frozen=True, slots=True)
class DecodedLog:
    """A log's transactions in file order, batch by batch, and what else it holds."""

    batches: list[Transactions]
    labels: LabelBook
    dead: Counter[Reason]

    @property
    def mean_amount_cents(self) -> float:
        """Mean over all transactions, duplicates included; 0 without any."""
        total = sum(int(batch.amount_cents.sum()) for batch in self.batches)
        return total / max(sum(batch.amount_cents.size for batch in self.batches), 1)


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
    decoded = DecodedLog([], LabelBook(), Counter())
    for batch in read_log(path):
        decoded.labels.add(compress(batch.values, batch.is_label))
        messages = list(compress(batch.values, ~batch.is_label))
        transactions, bad = decoder.decode(messages, latest_event_time_us)
        decoded.batches.append(transactions)
        decoded.dead.update(message.reason for message in bad)
        on_progress(batch.fraction_done)
    return decoded


def observe_log(decoded: DecodedLog, population_mean_cents: float) -> OfflineFeatures:
    """Compute the features of every transaction from what the log held before it.

    The log is a stream of one partition, and what it has accepted so far is its journal.
    """
    state, accepted, matrices = State(), list[Transactions](), list[Floats]()
    reached_us: int | None = None

    def recall(_: Partition, first_us: int, last_us: int) -> Iterator[Transactions]:
        for batch in accepted:
            times = batch.event_time_us
            if times.size and times.max() >= first_us and times.min() <= last_us:
                yield batch

    for batch in decoded.batches:
        run = Run(LOG, slice(0, batch.event_time_us.size), reached_us)
        observed = observe_transactions(batch, [run], state, recall, population_mean_cents)
        keep = ~observed.is_duplicate
        accepted.append(batch.take(keep))
        matrices.append(observed.features[keep])
        reached_us = max(int(batch.event_time_us.max(initial=0)), reached_us or 0)
    return _joined(accepted, matrices, sum(batch.user_key.size for batch in decoded.batches))


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
