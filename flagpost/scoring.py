"""Puts a worker together from the settings."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from flagpost.core.pipeline import ScoringRules
from flagpost.dead_share import DeadShare
from flagpost.events import TransactionDecoder
from flagpost.field_mapping import load_mapping
from flagpost.kafka.dead_letters import DeadLetters
from flagpost.kafka.factory import open_source, require_bootstrap
from flagpost.kafka.topics import ensure_topics
from flagpost.model import FraudModel
from flagpost.postgres.engine import create_engine
from flagpost.postgres.migrations import check_schema
from flagpost.postgres.store import PostgresStore
from flagpost.settings import Settings
from flagpost.worker import Worker


def scoring_rules(model: FraudModel) -> ScoringRules:
    """Take from a model what the pipeline needs of it."""
    return ScoringRules(
        scorer=model.scorer,
        threshold=model.threshold,
        population_mean_cents=model.population_mean_cents,
        model_version=model.version,
    )


@contextmanager
def open_worker(settings: Settings) -> Iterator[Worker]:
    """Connect to both servers; on leaving, the member leaves its group.

    Everything that can be wrong with the settings, the model or the tables is found here, before
    a message is touched. The dead-letter topic is created if it is missing.
    """
    model = FraudModel.load(settings.model)
    decoder = TransactionDecoder(load_mapping(settings.mapping))
    engine = create_engine(settings.database_url.get_secret_value())
    check_schema(engine)
    bootstrap = require_bootstrap(settings)
    ensure_topics(bootstrap, {settings.dead_letter_topic: 1})
    with (
        closing(DeadLetters(bootstrap, settings.dead_letter_topic, settings.group)) as letters,
        closing(open_source(settings, [settings.topic])) as source,
    ):
        yield Worker(
            source,
            PostgresStore(engine, settings.group),
            letters,
            decoder,
            scoring_rules(model),
            DeadShare(settings.max_dead_share),
            batch_messages=settings.batch_messages,
            max_future_us=round(settings.max_future_days * 86_400_000_000),
        )
    engine.dispose()
