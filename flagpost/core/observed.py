"""What was seen of a batch: one row of features a transaction, and marks."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Observed(NamedTuple):
    """Features of n transactions; rows of duplicates are zero."""

    features: NDArray[np.float64]  # (n, features)
    is_high: NDArray[np.bool_]  # (n,) the amount is far above this customer's habit
    is_duplicate: NDArray[np.bool_]  # (n,) delivered before; neither scored nor remembered
    terminal_key: NDArray[np.int64]  # (n,) where the terminal shows it; NO_TERMINAL where none does
