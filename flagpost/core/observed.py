"""What was seen of a batch: one row of features a transaction, and marks."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray


class Observed(NamedTuple):
    """Features of n transactions; rows of duplicates are zero."""

    features: NDArray[np.float64]  # (n, features)
    is_high: NDArray[np.bool_]  # (n,) the amount is far above this customer's habit
    is_duplicate: NDArray[np.bool_]  # (n,) delivered before; neither scored nor remembered

    @classmethod
    def blank(cls, n: int, width: int) -> Self:
        """Make room for n rows."""
        return cls(np.zeros((n, width)), np.zeros(n, np.bool_), np.zeros(n, np.bool_))
