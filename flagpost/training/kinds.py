"""The kinds of model that are compared, and what they look at."""

import time
from enum import StrEnum
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from flagpost.core.features import FEATURE_NAMES
from flagpost.core.scorer import Floats
from flagpost.model import FraudModel
from flagpost.training.metrics import Bools

SEED = 0


class FeatureSet(StrEnum):
    """Which columns of the feature matrix a model looks at."""

    STREAMING = "streaming"
    BOOK = "book"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return _NAMES[self]


_NAMES = {
    FeatureSet.STREAMING: (
        "amount", "amount_ratio", "customer_high_count_7d", "customer_high_count_14d",
        "ratio_if_recent_high", "terminal_run", "terminal_run_plain", "terminal_run_age_days",
        "terminal_run_min_ratio", "terminal_days_since_genuine", "terminal_quiet_days",
    ),
    FeatureSet.BOOK: (
        "amount", "is_weekend", "is_night",
        "customer_tx_count_24h", "customer_tx_count_7d", "customer_tx_count_30d",
        "customer_avg_amount_24h", "customer_avg_amount_7d", "customer_avg_amount_30d",
        "terminal_tx_count_1d", "terminal_tx_count_7d", "terminal_tx_count_30d",
        "terminal_risk_1d", "terminal_risk_7d", "terminal_risk_30d",
    ),
}  # fmt: skip


class Kind(StrEnum):
    """A kind of model."""

    LOGISTIC_REGRESSION = "logistic-regression"
    RANDOM_FOREST = "random-forest"
    GRADIENT_BOOSTING = "gradient-boosting"
    SVC = "svc"
    MLP = "mlp"


MOST_ROWS = {Kind.SVC: 20_000}
"""Kernels take time and memory with the square of the rows; the others take all rows."""


class Classifier(Protocol):
    """What a model must do; matrices have a column for each of `FEATURE_NAMES`."""

    def fit(self, features: ArrayLike | pd.DataFrame, is_fraud: ArrayLike, /) -> object:
        """Fit on n transactions."""

    def predict_proba(self, features: ArrayLike | pd.DataFrame, /) -> Floats:
        """Return the probabilities of genuine and fraud, shape (n, 2)."""


class Trained(NamedTuple):
    """A model, how many rows it was fitted on and how long that took."""

    classifier: Classifier
    n_rows: int
    seconds: float


def train(kind: Kind, features: FeatureSet, matrix: Floats, is_fraud: Bools) -> Trained:
    """Fit a model of a kind on n transactions; blocks.

    Args:
        kind: of model.
        features: the columns that it looks at.
        matrix: shape (n, len(FEATURE_NAMES)).
        is_fraud: shape (n,); both must occur.
    """
    if kind in MOST_ROWS:
        rows = sampled_rows(is_fraud, MOST_ROWS[kind])
        matrix, is_fraud = matrix[rows], is_fraud[rows]
    classifier = new_classifier(kind, features)
    began = time.perf_counter()
    classifier.fit(matrix, is_fraud)
    return Trained(classifier, is_fraud.size, time.perf_counter() - began)


def sampled_rows(is_fraud: Bools, most: int) -> NDArray[np.int64]:
    """Choose at most so many rows: frauds first, as there are few, then random genuine ones."""
    shuffled = np.random.default_rng(SEED).permutation(is_fraud.size)
    frauds_first = shuffled[np.argsort(~is_fraud[shuffled], kind="stable")]
    rows: NDArray[np.int64] = np.sort(frauds_first[:most])
    return rows


def new_classifier(kind: Kind, features: FeatureSet) -> Classifier:
    """Build an unfitted model; a logistic regression is plain on the book's features.

    Settings are scikit-learn's own but for the size of the leaves and of the network, which were
    chosen on splits before those that results are given for.
    """
    if kind == Kind.LOGISTIC_REGRESSION and features == FeatureSet.STREAMING:
        return FraudModel(features.names)
    columns = [FEATURE_NAMES.index(name) for name in features.names]
    chosen = ColumnTransformer([("chosen", "passthrough", columns)])
    model: Classifier = make_pipeline(chosen, _ESTIMATORS[kind]())
    return model


def _scaled(estimator: BaseEstimator) -> Pipeline:
    return make_pipeline(StandardScaler(), estimator)


_ESTIMATORS = {
    Kind.LOGISTIC_REGRESSION: lambda: _scaled(
        LogisticRegression(solver="newton-cholesky", tol=1e-8)
    ),
    Kind.RANDOM_FOREST: lambda: RandomForestClassifier(
        min_samples_leaf=5, n_jobs=-1, random_state=SEED
    ),
    Kind.GRADIENT_BOOSTING: lambda: HistGradientBoostingClassifier(random_state=SEED),
    Kind.SVC: lambda: CalibratedClassifierCV(_scaled(SVC()), ensemble=False, cv=3),
    Kind.MLP: lambda: _scaled(
        MLPClassifier((64,), batch_size=1_000, early_stopping=True, random_state=SEED)
    ),
}
