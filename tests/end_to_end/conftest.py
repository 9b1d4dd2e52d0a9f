"""Pipelines of real processes, and what they have to find."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pandas as pd
import pytest

from tests.end_to_end.pipeline import LOG, Pipeline, Scores, evaluated, flagged_in
from tests.stack import Servers, clone_of


@pytest.fixture(scope="session")
def new_pipeline(
    stack: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Pipeline]]:
    """A function that makes a pipeline; it takes settings that shall differ."""
    with ExitStack() as opened:

        def make(**chosen: object) -> Pipeline:
            name = f"test-{uuid.uuid4().hex}"
            settings = {
                "kafka_bootstrap": stack.kafka_bootstrap,
                "database_url": opened.enter_context(clone_of(template_database, name, stack)),
                "topic": name,
                "labels_topic": f"{name}.labels",
                "dead_letter_topic": f"{name}.dead",
                "group": name,
            }
            pipeline = Pipeline(tmp_path_factory.mktemp("pipeline"), settings | chosen)
            return opened.enter_context(closing(pipeline))

        yield make


@pytest.fixture(scope="session")
def offline_rows(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What `fraud_model.py evaluate logFraud.json` writes: features and score of each row."""
    return evaluated(LOG, tmp_path_factory.mktemp("offline"))


@pytest.fixture(scope="session")
def offline(offline_rows: pd.DataFrame) -> Scores:
    """What it flags, and with what probability."""
    return flagged_in(offline_rows)
