"""`python -m bench.peers.train`: fits the regression that all peers use. Its result is in git."""

import msgspec
import numpy as np
from sklearn.linear_model import LogisticRegression as SklearnRegression
from sklearn.preprocessing import StandardScaler

from bench.messages import CUSTOMERS, FIRST_DAY, TERMINALS
from bench.peers.job import FEATURES, MODEL_FILE, History, LogisticRegression
from flagpost.training.simulator import Simulation, simulate
from flagpost.training.simulator.payments import DAY_SECONDS

SEED = 1789
"""Draws another population than that of the benchmark."""
DAYS, FIRST_FITTED_DAY = 60, 31
FLAGGED_SHARE = 0.008
"""About what Flagpost's own model flags of the benchmark's messages."""


def main() -> None:
    """Write bench/peers/logistic_regression.json. About half a minute."""
    simulation = simulate(CUSTOMERS, TERMINALS, DAYS, FIRST_DAY, SEED)
    is_fitted = simulation.payments.second >= FIRST_FITTED_DAY * DAY_SECONDS
    matrix = _features(simulation)[is_fitted]
    scaler = StandardScaler().fit(matrix)
    fitted = SklearnRegression().fit(scaler.transform(matrix), simulation.is_fraud[is_fitted])
    coefficients = fitted.coef_[0] / scaler.scale_
    regression = LogisticRegression(
        features=FEATURES,
        coefficients=tuple(coefficients.tolist()),
        intercept=float(fitted.intercept_[0] - coefficients @ scaler.mean_),
        threshold=0.0,
    )
    probabilities = [regression.probability(row) for row in matrix.tolist()]
    threshold = float(np.quantile(probabilities, 1 - FLAGGED_SHARE))
    regression = msgspec.structs.replace(regression, threshold=threshold)
    MODEL_FILE.write_bytes(msgspec.json.format(msgspec.json.encode(regression)) + b"\n")


def _features(simulation: Simulation) -> np.typing.NDArray[np.float64]:
    """The features of all transactions; shape (transactions, features)."""
    histories: dict[int, History] = {}
    payments = simulation.payments
    columns = (payments.customer, 1000 * payments.second, payments.amount_cents)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return np.array(
        [
            histories.setdefault(customer, History()).observe(time_ms, cents)
            for customer, time_ms, cents in rows
        ]
    )


if __name__ == "__main__":
    main()
