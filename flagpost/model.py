"""FraudModel: fitted by scikit-learn, scored by tables that say the same."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import joblib
import msgspec
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from flagpost.core.features import FEATURE_NAMES
from flagpost.core.scorer import Floats, Scorer
from flagpost.core.spread import TrainedSpread, spread_of_training
from flagpost.model_manifest import (
    FORMAT,
    Manifest,
    Training,
    installed_libraries,
    version_of,
    write_model,
)
from flagpost.model_signature import ModelKey
from flagpost.saved_model import dump_model, load_saved_model
from flagpost.splines import compile_regression, spline_regression

MODEL_FEATURES = (
    "amount", "is_night", "customer_tx_count_1h", "customer_tx_count_24h",
    "customer_total_amount_24h", "customer_avg_amount_7d", "seconds_since_last",
    "amount_ratio", "customer_high_count_7d", "customer_high_count_14d",
    "ratio_if_recent_high", "amount_to_balance",
    "terminal_run", "terminal_run_plain", "terminal_run_age_days", "terminal_run_min_ratio",
    "terminal_days_since_genuine", "terminal_quiet_days",
)  # fmt: skip
"""What the pretrained model looks at; any subset of `FEATURE_NAMES` can be fitted."""


class FraudModel:
    """Logistic regression over piecewise-linear features.

    Feature matrices have a column for each of `FEATURE_NAMES`, in that order; a DataFrame needs
    those columns in any order.

    Attributes:
        threshold: a transaction with this fraud probability or more is flagged.
        population_mean_cents: mean amount of the training data, a prior for new customers' habits.
        version: 12 hex digits of a SHA-256 over the file and the numbers that decide beside it.
        pipeline: the fitted scikit-learn pipeline; None before `fit`.
        training: what it was fitted on, when that is known.
        metrics: by name, measured on held-out data.
        calibration: on the same data, see `training.metrics.calibration`.
        spread: of each feature and of the score over the fitted rows; empty before `fit`.
    """

    def __init__(
        self, feature_names: Sequence[str] = MODEL_FEATURES, *, inverse_regularization: float = 3.0
    ) -> None:
        self.feature_names = tuple(feature_names)
        self.inverse_regularization = inverse_regularization
        self.threshold = 0.5
        self.population_mean_cents = 0.0
        self.version = "unsaved"
        self.pipeline: Pipeline | None = None
        self.training: Training | None = None
        self.metrics: dict[str, float] = {}
        self.calibration: list[dict[str, float]] = []
        self.spread: list[TrainedSpread] = []
        self._scorer: Scorer | None = None

    @property
    def scorer(self) -> Scorer:
        """The compiled tables.

        Raises:
            NotFittedError: there is nothing to score with yet.
        """
        if self._scorer is None:
            msg = "this FraudModel is not fitted: call fit(), or FraudModel.load()"
            raise NotFittedError(msg)
        return self._scorer

    def fit(self, features: ArrayLike | pd.DataFrame, is_fraud: ArrayLike) -> Self:
        """Fit on n transactions; blocks.

        Args:
            features: shape (n, len(FEATURE_NAMES)).
            is_fraud: shape (n,), 0 or 1; both must occur.

        Raises:
            ValueError: wrong shapes, a number that is not finite, or only one class.
        """
        matrix = as_matrix(features)
        self.pipeline = spline_regression(matrix, self.feature_names, self.inverse_regularization)
        self.pipeline.fit(matrix, np.asarray(is_fraud, np.int8))
        self._scorer = compile_regression(self.pipeline, matrix)
        fraud_probability = self._scorer.fraud_probabilities(matrix)
        self.spread = spread_of_training(self.feature_names, matrix, fraud_probability)
        return self

    def predict_proba(self, features: ArrayLike | pd.DataFrame) -> Floats:
        """Return the probabilities of genuine and fraud, shape (n, 2)."""
        fraud_probability = self.scorer.fraud_probabilities(as_matrix(features))
        return np.column_stack([1.0 - fraud_probability, fraud_probability])

    def save(self, path: Path | str, key: ModelKey | None = None) -> None:
        """Write the joblib file and its manifest, signed if there is a key; sets `version`.

        Raises:
            NotFittedError: there is nothing to save yet.
            BadConfiguration: the files cannot be written there.
        """
        path, content = Path(path), dump_model(self.scorer, self.pipeline)
        manifest = Manifest(
            format=FORMAT,
            version="",
            sha256=hashlib.sha256(content).hexdigest(),
            libraries=installed_libraries(),
            feature_names=list(self.feature_names),
            matrix_columns=list(FEATURE_NAMES),
            population_mean_cents=self.population_mean_cents,
            threshold=self.threshold,
            training=self.training,
            metrics=self.metrics,
            calibration=self.calibration,
            spread=self.spread,
        )
        self.version = version_of(manifest)
        manifest = msgspec.structs.replace(manifest, version=self.version)
        write_model(path, content, key.sign(manifest) if key else manifest)

    @classmethod
    def load(cls, path: Path | str, key: ModelKey | None = None) -> Self:
        """Read a saved model; its hash, and with a key its signature, come before any unpickling.

        Raises:
            ModelRefused: the file is missing, altered, made by other versions, or not signed by
                `key`.
        """
        saved = load_saved_model(Path(path), key)
        manifest, model = saved.manifest, cls(saved.manifest.feature_names)
        model.pipeline, model._scorer = joblib.load(io.BytesIO(saved.pipeline)), saved.scorer
        model.inverse_regularization = model.pipeline["logistic"].C
        model.threshold = manifest.threshold
        model.population_mean_cents = manifest.population_mean_cents
        model.version, model.training = manifest.version, manifest.training
        model.metrics, model.calibration = manifest.metrics, manifest.calibration
        model.spread = manifest.spread
        return model


def as_matrix(features: ArrayLike | pd.DataFrame) -> Floats:
    """Bring features into the shape (n, len(FEATURE_NAMES)).

    Raises:
        ValueError: a column is missing or one too many, or a number is not finite.
    """
    if isinstance(features, pd.DataFrame):
        missing = [name for name in FEATURE_NAMES if name not in features]
        if missing:
            msg = f"features lacks the columns {', '.join(missing)}"
            raise ValueError(msg)
        features = features[list(FEATURE_NAMES)]
    matrix = np.ascontiguousarray(features, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != len(FEATURE_NAMES):
        msg = f"features must have shape (n, {len(FEATURE_NAMES)}), not {matrix.shape}"
        raise ValueError(msg)
    if not np.isfinite(matrix).all():
        msg = "features holds numbers that are not finite"
        raise ValueError(msg)
    return matrix
