"""Pipelines that share two servers and nothing else."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from tests.end_to_end.pipeline import Pipeline
from tests.stack import Servers, clone_of

NewPipeline = Callable[..., Pipeline]


@contextmanager
def pipelines_on(
    servers: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewPipeline]:
    """Yield a function that makes a pipeline; it takes settings that shall differ."""
    with ExitStack() as opened:

        def make(**chosen: object) -> Pipeline:
            name = f"test-{uuid.uuid4().hex}"
            settings = {
                "kafka_bootstrap": servers.kafka_bootstrap,
                "database_url": opened.enter_context(clone_of(template_database, name, servers)),
                "topic": name,
                "labels_topic": f"{name}.labels",
                "dead_letter_topic": f"{name}.dead",
                "group": name,
            }
            pipeline = Pipeline(tmp_path_factory.mktemp("pipeline"), settings | chosen)
            return opened.enter_context(closing(pipeline))

        yield make
