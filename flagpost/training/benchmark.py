"""One run of the Handbook's protocol: train, score the test week, measure."""

from typing import NamedTuple

from flagpost.core.scorer import Floats
from flagpost.training.kinds import FeatureSet, Kind, Trained, train
from flagpost.training.metrics import Bools
from flagpost.training.protocol import Population, Split, check_days, in_test_week, measure


class Outcome(NamedTuple):
    """A trained model and the scores of its test week.

    `is_tested` marks m of n transactions; `fraud_probability` has shape (m,).
    """

    trained: Trained
    is_tested: Bools
    fraud_probability: Floats
    metrics: dict[str, float]


def run_split(
    matrix: Floats, population: Population, split: Split, features: FeatureSet, kind: Kind
) -> Outcome:
    """Train a model on a split and measure it on the split's test week; blocks.

    Args:
        matrix: features of n transactions, shape (n, len(FEATURE_NAMES)).
        population: the same transactions.
        split: what to train on and what to test on.
        features: the columns that the model looks at.
        kind: of model.

    Raises:
        BadConfiguration: the transactions do not cover the split.
    """
    check_days(population, split)
    fitted, is_tested = split.trained(population.day), in_test_week(population, split.test_day)
    trained = train(kind, features, matrix[fitted], population.is_fraud[fitted])
    fraud_probability = trained.classifier.predict_proba(matrix[is_tested])[:, 1]
    metrics = measure(population.where(is_tested), fraud_probability)
    return Outcome(trained, is_tested, fraud_probability, metrics)
