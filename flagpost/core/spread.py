"""How features and scores spread: counts in bins that each held a tenth of the training data.

Only one transaction in `SAMPLE_EVERY` is counted. Which ones its key decides, so that neither the
size of a batch nor a replay changes the choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled
from flagpost.core.calendar import DAY_US, HOUR_US
from flagpost.core.features import FEATURE_NAMES
from flagpost.core.history import Int64s
from flagpost.core.scorer import Floats

FRAUD_PROBABILITY = "fraud_probability"
"""Counted like a feature, behind the last one."""

SAMPLE_EVERY = 16
"""A power of two."""

MOST_BINS = 10

_COLUMNS = (*FEATURE_NAMES, FRAUD_PROBABILITY)


@dataclass(frozen=True, slots=True)
class TrainedSpread:
    """How one feature spread over the training data.

    Bin i holds values x with edges[i - 1] < x <= edges[i]; the first and the last are open. So
    there is one more share than there are edges. The shares add up to 1.
    """

    feature: str
    edges: list[float]
    shares: list[float]

    @property
    def is_sound(self) -> bool:
        """Whether the edges ascend and each bin has a share."""
        ascends = all(lower < upper for lower, upper in pairwise(self.edges))
        return ascends and len(self.shares) == len(self.edges) + 1

    def stability_index(self, values: Floats) -> float:
        """Return how far n values, at least one, are from the training data."""
        places = np.searchsorted(self.edges, values)
        counts = np.bincount(places, minlength=len(self.shares))
        return population_stability_index(counts, np.array(self.shares))


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of k features, one behind the other: feature j has edges[starts[j]:starts[j + 1]].

    `columns[j]` is its column in the feature matrix, or the number of columns for the probability.
    """

    columns: Int64s  # (k,)
    starts: Int64s  # (k + 1,)
    edges: Floats

    @property
    def n_bins(self) -> int:
        """The bins of all features together."""
        return self.edges.size + self.columns.size

    def count(
        self,
        transaction_key: Int64s,
        is_duplicate: NDArray[np.bool_],
        features: Floats,
        fraud_probability: Floats,
        ends: Int64s,
    ) -> Int64s:
        """Count the sampled ones of n transactions, in parts; duplicates are left out.

        Args:
            transaction_key: (n,) as everything of a transaction.
            is_duplicate: whether it is left out.
            features: (n, features).
            fraud_probability: what the model says.
            ends: (k,) the row behind each part.

        Returns:
            Shape (k, n_bins): the counts of the features one behind the other.
        """
        counts = np.zeros((ends.size, self.n_bins), np.int64)
        _count(
            transaction_key, is_duplicate, features, fraud_probability, ends,
            self.columns, self.starts, self.edges, counts,
        )  # fmt: skip
        return counts


def population_stability_index(counts: Int64s, training_shares: Floats) -> float:
    """Return the sum of (p - q) ln(p / q) over bins, for shares p now and q in training.

    An empty bin counts as half a value, or as what was expected if that is less; a bin that was
    empty in training, as one in 10,000. PostgreSQL's function of this name does the same.

    Source: Siddiqi, *Credit Risk Scorecards*, 2006.
    """
    total, q = counts.sum(), np.maximum(training_shares, 0.0001)
    p = np.maximum(counts / total, np.minimum(0.5 / total, q))
    return float(((p - q) * np.log(p / q)).sum())


def bins_of(spreads: Sequence[TrainedSpread]) -> Bins:
    """Put the bins of several features behind each other, in the given order."""
    return Bins(
        columns=np.array([_COLUMNS.index(each.feature) for each in spreads], np.int64),
        starts=np.cumsum([0, *(len(each.edges) for each in spreads)]).astype(np.int64),
        edges=np.array([edge for each in spreads for edge in each.edges], np.float64),
    )


def first_bins(spreads: Sequence[TrainedSpread]) -> list[int]:
    """Return the place of each feature's first bin among all of them."""
    return list(accumulate((len(each.shares) for each in spreads[:-1]), initial=0))


def spread_of_training(
    names: Sequence[str], features: Floats, fraud_probability: Floats
) -> list[TrainedSpread]:
    """Choose bins on the training data, of the named features and of the probability.

    Args:
        names: a subset of `FEATURE_NAMES`.
        features: shape (n, len(FEATURE_NAMES)).
        fraud_probability: shape (n,), what the model says of these rows.
    """
    spreads = [_spread(name, features[:, FEATURE_NAMES.index(name)]) for name in names]
    return [*spreads, _spread(FRAUD_PROBABILITY, fraud_probability)]


def _spread(feature: str, column: Floats) -> TrainedSpread:
    ordered = np.sort(column)
    edges = _choose_edges(ordered)
    ends = np.searchsorted(ordered, edges, side="right")
    n_inside = np.diff(ends, prepend=0, append=ordered.size)
    return TrainedSpread(feature, edges.tolist(), (n_inside / ordered.size).tolist())


def _choose_edges(ordered: Floats) -> Floats:
    """Give each value a bin of its own while there are few of them, else each tenth of the rows.

    No edge is the largest value, behind which nothing could be; but a feature that never varied
    gets two bins, so that it is seen when it begins to.
    """
    distinct = ordered[np.diff(ordered, prepend=-np.inf) > 0]
    if distinct.size <= MOST_BINS:
        return distinct[: max(distinct.size - 1, 1)]
    tenths = ordered[np.arange(1, MOST_BINS) * ordered.size // MOST_BINS]
    return np.unique(np.minimum(tenths, distinct[-2]))


def each_day(stream_time_us: Int64s) -> list[slice]:
    """Part n rows, in the order of the stream's time, by its days; days without rows are left out.

    In real time all rows of a batch are of one day, and nearly always of one hour.
    """
    if not stream_time_us.size:
        return []
    first, last = int(stream_time_us[0]) // DAY_US, int(stream_time_us[-1]) // DAY_US
    if first == last:
        return [slice(0, stream_time_us.size)]
    midnights = np.arange(first, last + 2) * DAY_US
    places = np.unique(np.searchsorted(stream_time_us, midnights)).tolist()
    return [slice(start, end) for start, end in pairwise(places)]


def opens_hour(stream_time_us: Int64s, reached_us: int | None) -> bool:
    """Say whether n rows are all counted in later hours than anything before them.

    Only there what was counted can be parted into before and after. `reached_us` is the stream time
    before the rows; None when there was none.
    """
    if reached_us is None:
        return True
    days = each_day(stream_time_us)
    return bool(days) and int(stream_time_us[days[0].stop - 1]) // HOUR_US > reached_us // HOUR_US


@compiled
def is_sampled(transaction_key: int) -> bool:
    """Say whether the transaction with this key is counted."""
    return transaction_key & (SAMPLE_EVERY - 1) == 0


@compiled
def _count(
    transaction_key: Int64s, is_duplicate: NDArray[np.bool_],
    features: Floats, fraud_probability: Floats, ends: Int64s,
    columns: Int64s, starts: Int64s, edges: Floats, counts: Int64s,
) -> None:  # fmt: skip
    part = 0
    for row in range(transaction_key.size):
        while row >= ends[part]:
            part += 1
        if is_duplicate[row] or not is_sampled(transaction_key[row]):
            continue
        for place in range(columns.size):
            column = columns[place]
            is_feature = column < features.shape[1]
            x = features[row, column] if is_feature else fraud_probability[row]
            edge = starts[place]
            while edge < starts[place + 1] and edges[edge] < x:
                edge += 1
            counts[part, edge + place] += 1
