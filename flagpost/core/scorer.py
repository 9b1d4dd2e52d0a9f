"""Scoring: a logistic regression over piecewise-linear terms, compiled to look-up tables.

The log-odds are a sum of one term a feature,

    log_odds(x) = intercept + f_1(x_1) + ... + f_k(x_k),

where f_j is linear between its knots and constant beyond the outer ones (a generalized additive
model; Hastie and Tibshirani, Generalized Additive Models, 1990). So each term is that feature's
exact share in the decision. Terms are centred: f_j is 0 on average over the training data.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled
from flagpost.core.history import Int64s

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scorer:
    """The tables of k terms, one behind the other: term j has knots[starts[j]:starts[j + 1]].

    `columns[j]` is its column in the feature matrix. `slopes` belongs to the interval that begins
    at a knot; it is 0 at each term's last one.
    """

    intercept: float
    columns: Int64s  # (k,)
    starts: Int64s  # (k + 1,)
    knots: Floats
    values: Floats
    slopes: Floats

    def fraud_probabilities(self, features: Floats) -> Floats:
        """Score a matrix of shape (n, features); a row's score never depends on other rows."""
        scores = np.empty(features.shape[0])
        _score(
            features, self.intercept, self.columns, self.starts,
            self.knots, self.values, self.slopes, scores,
        )  # fmt: skip
        return scores

    def terms(self, features: Floats) -> Floats:
        """Return each term's share of the log-odds, shape (n, k)."""
        terms = np.empty((features.shape[0], self.columns.size))
        _terms(
            features, self.columns, self.starts, self.knots, self.values, self.slopes, terms
        )  # fmt: skip
        return terms


def tabulate(
    intercept: float, columns: list[int], knots: list[Floats], values: list[Floats]
) -> Scorer:
    """Make a scorer of each term's values at its own ascending knots."""
    slopes = [
        np.append(np.diff(v) / np.diff(k), 0.0) for k, v in zip(knots, values, strict=True)
    ]  # fmt: skip
    return Scorer(
        intercept=intercept,
        columns=np.array(columns, np.int64),
        starts=np.cumsum([0, *map(len, knots)]).astype(np.int64),
        knots=np.concatenate(knots),
        values=np.concatenate(values),
        slopes=np.concatenate(slopes),
    )


@compiled
def _score(
    features: Floats, intercept: float, columns: Int64s, starts: Int64s,
    knots: Floats, values: Floats, slopes: Floats, scores: Floats,
) -> None:  # fmt: skip
    for row in range(features.shape[0]):
        log_odds = intercept
        for term in range(columns.size):
            x = features[row, columns[term]]
            log_odds += _term(x, starts[term], starts[term + 1], knots, values, slopes)
        scores[row] = 1.0 / (1.0 + math.exp(-log_odds))


@compiled
def _terms(
    features: Floats, columns: Int64s, starts: Int64s,
    knots: Floats, values: Floats, slopes: Floats, terms: Floats,
) -> None:  # fmt: skip
    for row in range(features.shape[0]):
        for term in range(columns.size):
            x = features[row, columns[term]]
            terms[row, term] = _term(x, starts[term], starts[term + 1], knots, values, slopes)


@compiled
def _term(x: float, start: int, end: int, knots: Floats, values: Floats, slopes: Floats) -> float:
    if x <= knots[start]:
        return values[start]
    knot = end - 1
    while knots[knot] > x:
        knot -= 1
    return values[knot] + (x - knots[knot]) * slopes[knot]
