"""What every peer must flag, calculated in the plainest way from the log itself.

No search, no running totals, nothing forgotten: each transaction is compared with all those of its
customer that came before it. The coefficients are those of the peers; the code is not.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.peers.job import LogisticRegression
from flagpost.event_times import parse_times
from flagpost.logs import read_log

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOLERANCE = 1e-9

_HOUR_US = 3_600_000_000
_WINDOWS_US = [hours * _HOUR_US for hours in (1, 24, 7 * 24, 30 * 24)]


class _Message(msgspec.Struct):
    """Not the struct of the peers: the time is read by Flagpost."""

    transaction_id: str
    user_id: str
    timestamp: str
    amount: float


class Reference(NamedTuple):
    """The rows that are right: the probability of each flagged transaction, by its id.

    Of those that are undecided, the order of floating-point additions decides.
    """

    flagged: Mapping[str, float]
    undecided: AbstractSet[str]

    @classmethod
    def of(cls, probabilities: Mapping[str, float], threshold: float) -> Self:
        """Decide on every transaction."""
        return cls(
            {id_: found for id_, found in probabilities.items() if found >= threshold},
            {id_ for id_, found in probabilities.items() if abs(found - threshold) < TOLERANCE},
        )

    def count_differing(self, rows: Mapping[str, float]) -> int:
        """Count the rows of a peer that are missing, too many or of another probability."""
        one_sided = (self.flagged.keys() ^ rows.keys()) - self.undecided
        both = self.flagged.keys() & rows.keys()
        return len(one_sided) + sum(abs(self.flagged[id_] - rows[id_]) > TOLERANCE for id_ in both)


def calculate_reference(log: Path) -> Reference:
    """Score a log, of which the order is that of offsets for every customer.

    About 10 s for a million transactions.
    """
    decode = msgspec.json.Decoder(_Message).decode
    by_customer: defaultdict[str, list[_Message]] = defaultdict(list)
    for batch in read_log(log):
        for value, is_label in zip(batch.values, batch.is_label, strict=True):
            if not is_label:
                message = decode(value)
                by_customer[message.user_id].append(message)
    regression = LogisticRegression.load()
    probabilities = {
        message.transaction_id: probability
        for messages in by_customer.values()
        for message, probability in zip(messages, _score(regression, messages), strict=True)
    }
    return Reference.of(probabilities, regression.threshold)


def _score(regression: LogisticRegression, messages: Sequence[_Message]) -> list[float]:
    times_us = parse_times([message.timestamp for message in messages])
    amounts = np.array([message.amount for message in messages])
    matrix = window_features(times_us, np.rint(100 * amounts).astype(np.int64))
    log_odds = matrix @ np.array(regression.coefficients) + regression.intercept
    probabilities: list[float] = (1 / (1 + np.exp(-log_odds))).tolist()
    return probabilities


def window_features(times_us: Ints, cents: Ints) -> Floats:
    """Compute the features of one customer's n transactions, in order of offset; shape (n, 10)."""
    age_us = times_us[:, None] - times_us[None, :]  # of column j at the time of row i
    is_known = np.tri(len(times_us), dtype=np.bool_)  # j came no later than i
    is_in = [is_known & (age_us >= 0) & (age_us < window_us) for window_us in _WINDOWS_US]
    counts = [inside.sum(axis=1) for inside in is_in]
    totals = [inside @ cents / 100 for inside in is_in]
    averages = [total / count for total, count in zip(totals, counts, strict=True)]
    return np.column_stack([cents / 100, *counts, *totals[:2], *averages[1:]])
