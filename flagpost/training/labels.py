"""What labels tell about transactions, at some time."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from flagpost.core.piece import reordered
from flagpost.label_events import Labels


def in_order_of_knowing(labels: Labels) -> Labels:
    """Sort labels by `known_at`; of two of the same time the one that says fraud is the later."""
    order = np.lexsort((labels.is_fraud, labels.known_at_us))
    return reordered(labels, order)


def find_frauds(
    labels: Labels, transaction_ids: Iterable[str], known_by_us: int | None = None
) -> NDArray[np.bool_]:
    """Say for each transaction whether it is known as fraud; without a label it is genuine.

    Args:
        labels: in the order of knowing; a later one corrects an earlier one.
        transaction_ids: n ids.
        known_by_us: labels that became known later are left out, as they were not known then.
    """
    n = len(labels.transaction_id)
    if known_by_us is not None:
        n = int(np.searchsorted(labels.known_at_us, known_by_us, side="right"))
    latest = dict(zip(labels.transaction_id[:n], labels.is_fraud[:n].tolist(), strict=True))
    return np.array([latest.get(each, False) for each in transaction_ids], np.bool_)
