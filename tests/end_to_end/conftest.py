"""Pipelines of real processes, and what they have to find."""

from collections.abc import Iterator

import pandas as pd
import pytest

from tests.end_to_end.new_pipelines import NewPipeline, pipelines_on
from tests.end_to_end.pipeline import LOG, Scores, evaluated, flagged_in
from tests.stack import Servers


@pytest.fixture(scope="session")
def new_pipeline(
    stack: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewPipeline]:
    """A function that makes a pipeline; it takes settings that shall differ."""
    with pipelines_on(stack, template_database, tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="session")
def offline_rows(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What `fraud_model.py evaluate logFraud.json` writes: features and score of each row."""
    return evaluated(LOG, tmp_path_factory.mktemp("offline"))


@pytest.fixture(scope="session")
def offline(offline_rows: pd.DataFrame) -> Scores:
    """What it flags, and with what probability."""
    return flagged_in(offline_rows)
