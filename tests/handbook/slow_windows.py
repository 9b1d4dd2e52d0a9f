"""The book's windows once more, from their definition, without history or order of arrival."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]

DAY_SECONDS = 86_400
LONG_AGO_SECONDS = 10**9  # more than any file covers


class Grouped(NamedTuple):
    """Rows sorted by group, time and id, with one number a row that sorts by group and time."""

    order: Int64s
    clock: Int64s

    @classmethod
    def by(cls, group: Int64s, time_seconds: Int64s) -> "Grouped":
        clock = group * LONG_AGO_SECONDS + time_seconds
        order = np.argsort(clock, kind="stable")
        return cls(order, clock[order])

    def count_until(self, seconds_back: int) -> Int64s:
        """Count the rows that lie so far back or further, for each row, groups before included."""
        return np.searchsorted(self.clock, self.clock - seconds_back, side="right")

    def unsorted(self, column: Floats) -> Floats:
        result = np.empty(column.size)
        result[self.order] = column
        return result


def customer_windows(
    customer: Int64s, time_seconds: Int64s, amount: Floats, days: int
) -> tuple[Floats, Floats]:
    """Count and mean amount over (t - days, t] up to and including each transaction."""
    grouped = Grouped.by(customer, time_seconds)
    begin, end = grouped.count_until(days * DAY_SECONDS), np.arange(1, customer.size + 1)
    spent = np.concatenate([[0], np.cumsum(np.rint(100 * amount[grouped.order]).astype(np.int64))])
    count = (end - begin).astype(np.float64)
    mean = (spent[end] - spent[begin]) / 100 / count
    return grouped.unsorted(count), grouped.unsorted(mean)


def terminal_windows(
    terminal: Int64s, time_seconds: Int64s, is_fraud: NDArray[np.bool_], days: int
) -> tuple[Floats, Floats]:
    """Count and share of fraud over (t - 7 days - days, t - 7 days]."""
    grouped = Grouped.by(terminal, time_seconds)
    begin = grouped.count_until((7 + days) * DAY_SECONDS)
    end = grouped.count_until(7 * DAY_SECONDS)
    frauds = np.concatenate([[0], np.cumsum(is_fraud[grouped.order])])
    count = (end - begin).astype(np.float64)
    risk = (frauds[end] - frauds[begin]) / np.maximum(count, 1)
    return grouped.unsorted(count), grouped.unsorted(risk)
