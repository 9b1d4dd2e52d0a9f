import json
from copy import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from flagpost.core.features import FEATURE_NAMES
from flagpost.errors import BadConfiguration, ModelRefused
from fraud_model import FraudModel

Floats = NDArray[np.float64]


def some_features(n: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    matrix = np.column_stack([
        rng.integers(0, 2, n) if name.startswith("is_")
        else rng.poisson(2, n) if "count" in name
        else rng.gamma(2, 30, n)
        for name in FEATURE_NAMES
    ])  # fmt: skip
    return matrix.astype(np.float64)


def some_frauds(matrix: Floats, seed: int) -> NDArray[np.bool_]:
    amount = matrix[:, FEATURE_NAMES.index("amount")]
    return np.random.default_rng(seed).random(len(matrix)) < 0.02 + 0.3 * (amount > 150)


@pytest.fixture(scope="module")
def fitted() -> FraudModel:
    matrix = some_features(5_000, seed=1)
    return FraudModel().fit(matrix, some_frauds(matrix, seed=2))


def test_the_tables_score_as_scikit_learn_does_within_and_beyond_the_training_range(
    fitted: FraudModel,
) -> None:
    rows = np.concatenate([some_features(5_000, seed=3) * 1.5, np.zeros((1, len(FEATURE_NAMES)))])
    assert fitted.pipeline is not None
    expected = fitted.pipeline.predict_proba(rows)
    assert np.abs(fitted.predict_proba(rows) - expected).max() < 1e-12


def test_a_score_does_not_depend_on_the_rows_around_it(fitted: FraudModel) -> None:
    rows = some_features(1_001, seed=4)
    together = fitted.predict_proba(rows)[:, 1]
    alone = [fitted.predict_proba(rows[[i]])[0, 1] for i in range(len(rows))]
    assert np.array_equal(together, alone)


def test_terms_add_up_to_the_log_odds_and_average_to_zero(fitted: FraudModel) -> None:
    rows = some_features(5_000, seed=1)
    terms = fitted.scorer.terms(rows)
    probability = fitted.predict_proba(rows)[:, 1]
    log_odds = np.log(probability / (1 - probability))
    assert np.allclose(terms.sum(axis=1) + fitted.scorer.intercept, log_odds, atol=1e-9)
    assert np.abs(terms.mean(axis=0)).max() < 1e-9


def test_a_frame_may_have_its_columns_in_any_order_and_more_of_them(fitted: FraudModel) -> None:
    rows = some_features(10, seed=5)
    frame = pd.DataFrame(rows, columns=list(FEATURE_NAMES))[list(FEATURE_NAMES)[::-1]]
    frame["more"] = "ignored"
    assert np.array_equal(fitted.predict_proba(frame), fitted.predict_proba(rows))


def test_a_feature_that_never_varies_is_left_out() -> None:
    matrix = some_features(2_000, seed=6)
    matrix[:, FEATURE_NAMES.index("is_night")] = 0
    model = FraudModel().fit(matrix, some_frauds(matrix, seed=7))
    assert FEATURE_NAMES.index("is_night") not in model.scorer.columns


@pytest.mark.parametrize("wrong", [np.zeros((3, 2)), np.full((2, len(FEATURE_NAMES)), np.nan)])
def test_a_matrix_of_the_wrong_kind_is_refused(fitted: FraudModel, wrong: Floats) -> None:
    with pytest.raises(ValueError, match="features"):
        fitted.predict_proba(wrong)


def test_a_frame_without_a_column_is_refused_by_its_name(fitted: FraudModel) -> None:
    frame = pd.DataFrame(some_features(2, 1), columns=list(FEATURE_NAMES)).drop(columns="amount")
    with pytest.raises(ValueError, match="amount"):
        fitted.predict_proba(frame)


def test_an_unfitted_model_says_so() -> None:
    with pytest.raises(NotFittedError, match="fit"):
        FraudModel().predict_proba(some_features(1, 1))


def test_a_saved_model_scores_bit_for_bit_as_before(fitted: FraudModel, tmp_path: Path) -> None:
    fitted.threshold, fitted.population_mean_cents = 0.25, 4_321.0
    fitted.save(tmp_path / "m.joblib")
    loaded = FraudModel.load(tmp_path / "m.joblib")
    rows = some_features(1_000, seed=8)
    assert np.array_equal(loaded.predict_proba(rows), fitted.predict_proba(rows))
    assert (loaded.threshold, loaded.population_mean_cents) == (0.25, 4_321.0)
    assert loaded.version == fitted.version != "unsaved"


def change_manifest(path: Path, **changes: object) -> None:
    manifest = path.with_suffix(".manifest.json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))


def test_an_altered_file_is_refused_before_it_is_unpickled(
    fitted: FraudModel, tmp_path: Path
) -> None:
    path = tmp_path / "m.joblib"
    fitted.save(path)
    path.write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")  # a pickle that would run a command
    with pytest.raises(ModelRefused, match="SHA-256"):
        FraudModel.load(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"libraries": {"scikit-learn": "0.24.2"}}, "scikit-learn 0.24.2"),
        ({"format": 99}, "format 99"),
        ({"format": 2, "spread": []}, "format 2; this program reads format 3: retrain the model"),
        ({"matrix_columns": ["amount"]}, "retrain"),
        ({"threshold": "high"}, "not a model manifest"),
        ({"threshold": 0.9}, "altered"),
        ({"population_mean_cents": 1.0}, "altered"),
        ({"feature_names": ["amount"]}, "altered"),
        ({"spread": []}, "altered"),
        ({"libraries": {}}, "scikit-learn unknown"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    fitted: FraudModel, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    path = tmp_path / "m.joblib"
    fitted.save(path)
    change_manifest(path, **changes)
    with pytest.raises(ModelRefused, match=words):
        FraudModel.load(path)


def test_a_model_with_another_threshold_or_mean_has_another_version(
    fitted: FraudModel, tmp_path: Path
) -> None:
    versions = set()
    for fitted.threshold, fitted.population_mean_cents in ((0.2, 1.0), (0.3, 1.0), (0.2, 2.0)):
        fitted.save(tmp_path / "m.joblib")
        versions.add(fitted.version)
    assert len(versions) == 3


def test_an_impossible_threshold_is_refused(fitted: FraudModel, tmp_path: Path) -> None:
    impossible = copy(fitted)
    impossible.threshold = -5.0
    impossible.save(tmp_path / "m.joblib")
    with pytest.raises(ModelRefused, match="out of range"):
        FraudModel.load(tmp_path / "m.joblib")


@pytest.mark.parametrize("lack", [slice(1, None), slice(None, -1), slice(None, None, -1)])
def test_a_model_that_does_not_say_how_every_feature_spread_is_refused(
    fitted: FraudModel, tmp_path: Path, lack: slice
) -> None:
    unsaid = copy(fitted)
    unsaid.spread = fitted.spread[lack]
    unsaid.save(tmp_path / "m.joblib")
    with pytest.raises(ModelRefused, match="how each feature spread: retrain"):
        FraudModel.load(tmp_path / "m.joblib")


def test_a_saved_model_says_how_features_and_scores_spread_to_the_bit(
    fitted: FraudModel, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "m.joblib")
    loaded = FraudModel.load(tmp_path / "m.joblib")
    assert loaded.spread == fitted.spread
    assert [each.feature for each in loaded.spread] == [*fitted.feature_names, "fraud_probability"]
    rows = some_features(5_000, seed=1)
    amounts = rows[:, FEATURE_NAMES.index("amount")]
    assert loaded.spread[0].shares[0] == (amounts <= loaded.spread[0].edges[0]).mean()


def test_a_model_that_cannot_be_written_is_a_bad_setting(
    fitted: FraudModel, tmp_path: Path
) -> None:
    with pytest.raises(BadConfiguration, match="cannot write"):
        fitted.save(tmp_path / "nowhere" / "m.joblib")


def test_a_missing_model_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="absent"):
        FraudModel.load(tmp_path / "absent.joblib")
