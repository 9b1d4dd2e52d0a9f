"""Faults of the whole pipeline. Most wait more than they work, so some are under way at a time."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from tests.end_to_end.new_pipelines import NewPipeline, pipelines_on
from tests.faults.faultless import Faultless, write_faultless
from tests.stack import Servers

AT_ONCE = 4

Outcomes = dict[str, "Future[None]"]


@pytest.fixture(scope="session")
def faultless(tmp_path_factory: pytest.TempPathFactory) -> Faultless:
    return write_faultless(tmp_path_factory.mktemp("faultless"))


@pytest.fixture(scope="module")
def new_pipeline(
    stack: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewPipeline]:
    with pipelines_on(stack, template_database, tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, new_pipeline: NewPipeline, faultless: Faultless
) -> Iterator[Outcomes]:
    """What became of each of the module's faults."""
    faults: dict[str, Callable[[NewPipeline, Faultless], None]] = request.module.FAULTS
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: pool.submit(partial(fault, new_pipeline, faultless))
            for name, fault in faults.items()
        }
