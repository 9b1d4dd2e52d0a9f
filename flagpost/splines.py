"""The scikit-learn side of the model: knots, the pipeline that is fitted, its look-up tables."""

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer

from flagpost.core.features import FEATURE_NAMES, FEATURES
from flagpost.core.scorer import Floats, Scorer, tabulate

QUANTILES = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 0.99, 0.997, 0.999)
ROUND_COUNTS = np.array([0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200.0])

EVERY_FIVE_DAYS = np.arange(0.0, 61.0, 5.0)


def knots_of(name: str, column: Floats) -> Floats:
    """Choose ascending knots for a feature: round values for counts and days, else quantiles.

    Fewer than two knots mean that the feature never varied and has nothing to say.
    """
    unit = FEATURES[FEATURE_NAMES.index(name)].unit
    if unit == "count":
        return ROUND_COUNTS[(column.min() <= ROUND_COUNTS) & (column.max() >= ROUND_COUNTS)]
    if unit.startswith("days"):
        inner = EVERY_FIVE_DAYS[(column.min() < EVERY_FIVE_DAYS) & (column.max() > EVERY_FIVE_DAYS)]
        return np.unique([column.min(), *inner, column.max()])
    if unit == "0 or 1":
        return np.unique(column)
    return np.unique(np.quantile(column, QUANTILES))


def spline_regression(matrix: Floats, names: tuple[str, ...], c: float) -> Pipeline:
    """Build the unfitted pipeline: linear splines of each feature, then a logistic regression.

    Args:
        matrix: training features, shape (n, len(FEATURE_NAMES)); only the knots are taken from it.
        names: features to use, a subset of `FEATURE_NAMES`.
        c: inverse strength of the L2 regularization.
    """
    columns = {name: FEATURE_NAMES.index(name) for name in names}
    knots = {name: knots_of(name, matrix[:, column]) for name, column in columns.items()}
    splines = [
        (name, _linear_spline(places), [columns[name]])
        for name, places in knots.items()
        if places.size > 1
    ]
    return Pipeline([
        ("splines", ColumnTransformer(splines, sparse_threshold=1.0)),
        ("logistic", LogisticRegression(C=c, solver="newton-cholesky", max_iter=100)),
    ])  # fmt: skip


def _linear_spline(knots: Floats) -> Pipeline:
    """Build a spline that is constant beyond its outer knots.

    `SplineTransformer` can do that by itself, but takes ten times as long over sparse output.
    """
    clip = FunctionTransformer(np.clip, kw_args={"a_min": knots[0], "a_max": knots[-1]})
    spline = SplineTransformer(
        degree=1, knots=knots[:, None], extrapolation="error", sparse_output=True
    )
    return make_pipeline(clip, spline, FunctionTransformer(packed_columns, accept_sparse=True))


def packed_columns(basis: csr_matrix) -> csc_matrix:
    """Return the same matrix without stored zeros, by columns; the argument loses its zeros too.

    A third of what a spline stores is zero. And columns, unlike rows, are joined to those of the
    other features by copying. Together this saves a quarter of the time of a fit.
    """
    basis.eliminate_zeros()
    return basis.tocsc()


def compile_regression(pipeline: Pipeline, matrix: Floats) -> Scorer:
    """Turn a fitted pipeline into tables, centred so that each term is 0 on average over `matrix`.

    A linear spline is linear between its knots, so its values there say everything.
    """
    coefficients = pipeline["logistic"].coef_[0]
    columns, knots, values, used = [], [], [], 0
    for name, spline, column in pipeline["splines"].transformers_:
        if name == "remainder":
            continue
        places = np.asarray(spline["splinetransformer"].knots)
        basis = spline.transform(places)
        columns += column
        knots.append(places[:, 0])
        values.append(basis @ coefficients[used : used + basis.shape[1]])
        used += basis.shape[1]
    raw = tabulate(0.0, columns, knots, values)
    means = raw.terms(matrix).mean(axis=0)
    return tabulate(
        float(pipeline["logistic"].intercept_[0] + means.sum()),
        columns, knots, [v - mean for v, mean in zip(values, means, strict=True)],
    )  # fmt: skip
