"""The totals of each hour: how many transactions, of what amount, how suspicious, and why.

They are kept by the hour in which a transaction happened and by what was found in it, so everything
else is a sum of them: days, flagged ones, all of them. All sums are of integers, and so the same in
whatever batches the transactions came.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled
from flagpost.core.calendar import HOUR_US
from flagpost.core.effects import FlaggedTransaction, HourlyTotals
from flagpost.core.features import ReasonCode
from flagpost.core.history import Int64s
from flagpost.core.micro_batch import ScoredBatch
from flagpost.core.piece import M
from flagpost.core.pipeline import ScoringRules
from flagpost.core.scorer import Floats

NORMAL = "NORMAL"
"""What is found in a transaction that is not flagged."""

UNEXPLAINED = "UNEXPLAINED"
"""In a flagged one without a reason: its threshold is below what an average transaction has."""

FRAUD_REASONS = (NORMAL, *(code.value for code in ReasonCode), UNEXPLAINED)

_HOUR, _REASON, _COUNT, _CENTS, _MILLIONTHS = range(5)


def hourly_totals(
    batch: ScoredBatch[M], flagged: Sequence[FlaggedTransaction], rules: ScoringRules
) -> Iterator[HourlyTotals]:
    """Add up what each partition brings; duplicates are left out.

    Args:
        batch: n transactions.
        flagged: those that are, in their order: their strongest reasons say what was found.
        rules: of the model that scored them.
    """
    is_duplicate = batch.observed.is_duplicate
    reason = np.zeros(is_duplicate.size, np.int64)
    reason[batch.decisions.is_flagged & ~is_duplicate] = [
        FRAUD_REASONS.index(strongest_reason(each)) for each in flagged
    ]
    sums = sum_by_hour(
        batch.transactions.event_time_us,
        is_duplicate,
        reason,
        batch.transactions.amount_cents,
        batch.decisions.fraud_probability,
        batch.ends,
    )
    for run, cells in zip(batch.runs, sums, strict=True):
        if cells:
            hours, reasons, counts, cents, millionths = map(list, zip(*cells, strict=True))
            yield HourlyTotals(
                partition=run.partition,
                counted_in_us=int(run.stream_time_us[-1]) // HOUR_US * HOUR_US,
                model_version=rules.model_version,
                hour=hours,
                fraud_reason=[FRAUD_REASONS[each] for each in reasons],
                tx_count=counts,
                amount_cents=cents,
                fraud_probability_millionths=millionths,
            )


def strongest_reason(flagged: FlaggedTransaction) -> str:
    """Return the code of the first reason."""
    return str(flagged.reasons[0]["code"]) if flagged.reasons else UNEXPLAINED


def sum_by_hour(
    event_time_us: Int64s,
    is_duplicate: NDArray[np.bool_],
    reason: Int64s,
    amount_cents: Int64s,
    fraud_probability: Floats,
    ends: Int64s,
) -> list[list[list[int]]]:
    """Add n transactions up by hour and reason; shape (n,) each.

    Those up to each of `ends`, shape (k,), are added up by themselves.

    Returns:
        The sums of each of the k parts. One is the hour, counted from 1970, the reason, the number
        of transactions, their cents, and their fraud probabilities, each rounded to a millionth.
    """
    cells, cell_ends = np.empty((event_time_us.size, 5), np.int64), np.empty(ends.size, np.int64)
    _sum_by_hour(
        event_time_us, is_duplicate, reason, amount_cents, fraud_probability, ends, cells, cell_ends
    )
    bounds = pairwise([0, *cell_ends.tolist()])
    return [cells[start:end].tolist() for start, end in bounds]


@compiled
def _sum_by_hour(
    event_time_us: Int64s, is_duplicate: NDArray[np.bool_], reason: Int64s,
    amount_cents: Int64s, fraud_probability: Floats, ends: Int64s,
    cells: Int64s, cell_ends: Int64s,
) -> None:  # fmt: skip
    first, n_cells = 0, 0
    for part in range(ends.size):
        first_cell = n_cells
        for row in range(first, ends[part]):
            if is_duplicate[row]:
                continue
            hour = event_time_us[row] // HOUR_US
            cell = n_cells - 1  # nearly always one of the last: they come in the order of time
            while cell >= first_cell and (
                cells[cell, _HOUR] != hour or cells[cell, _REASON] != reason[row]
            ):
                cell -= 1
            if cell < first_cell:
                cell = n_cells
                n_cells += 1
                cells[cell, _HOUR] = hour
                cells[cell, _REASON] = reason[row]
                cells[cell, _COUNT] = cells[cell, _CENTS] = cells[cell, _MILLIONTHS] = 0
            cells[cell, _COUNT] += 1
            cells[cell, _CENTS] += amount_cents[row]
            cells[cell, _MILLIONTHS] += int(np.rint(1e6 * fraud_probability[row]))
        first, cell_ends[part] = ends[part], n_cells
