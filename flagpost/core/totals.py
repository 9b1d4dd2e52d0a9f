"""The totals of each hour: how many transactions, of what amount, how suspicious, and why.

They are kept by the hour in which a transaction happened and by what was found in it, so everything
else is a sum of them: days, flagged ones, all of them. All sums are of integers, and so the same in
whatever batches the transactions came.
"""

from collections.abc import Iterator, Sequence

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
    for run in batch.runs:
        cells = sum_by_hour(
            batch.transactions.event_time_us[run.rows],
            is_duplicate[run.rows],
            reason[run.rows],
            batch.transactions.amount_cents[run.rows],
            batch.decisions.fraud_probability[run.rows],
        )
        if cells.size:
            hours, reasons, counts, cents, millionths = cells.T.tolist()
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
) -> Int64s:
    """Add n transactions up by hour and reason; shape (n,) each.

    Returns:
        Shape (cells, 5): the hour, counted from 1970, the reason, the number of transactions, their
        cents, and their fraud probabilities, each rounded to a millionth.
    """
    cells = np.empty((event_time_us.size, 5), np.int64)
    n_cells = _sum_by_hour(
        event_time_us, is_duplicate, reason, amount_cents, fraud_probability, cells
    )
    return cells[:n_cells]


@compiled
def _sum_by_hour(
    event_time_us: Int64s, is_duplicate: NDArray[np.bool_], reason: Int64s,
    amount_cents: Int64s, fraud_probability: Floats, cells: Int64s,
) -> int:  # fmt: skip
    n_cells = 0
    for row in range(event_time_us.size):
        if is_duplicate[row]:
            continue
        hour = event_time_us[row] // HOUR_US
        cell = n_cells - 1  # nearly always one of the last: they come in the order of time
        while cell >= 0 and (cells[cell, _HOUR] != hour or cells[cell, _REASON] != reason[row]):
            cell -= 1
        if cell < 0:
            cell = n_cells
            n_cells += 1
            cells[cell, _HOUR] = hour
            cells[cell, _REASON] = reason[row]
            cells[cell, _COUNT] = cells[cell, _CENTS] = cells[cell, _MILLIONTHS] = 0
        cells[cell, _COUNT] += 1
        cells[cell, _CENTS] += amount_cents[row]
        cells[cell, _MILLIONTHS] += int(np.rint(1e6 * fraud_probability[row]))
    return n_cells
