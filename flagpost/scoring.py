"""Puts a worker together from the settings."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event

from sqlalchemy import Engine

from flagpost.clock import latest_event_time_us
from flagpost.core.decoding import MessageDecoder
from flagpost.core.store import Store
from flagpost.dead_share import DeadShare
from flagpost.events import TransactionDecoder, load_mapping
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.access_settings import kafka_access
from flagpost.kafka.dead_letters import DeadLetters
from flagpost.kafka.factory import open_source
from flagpost.kafka.pairing import GroupTopics
from flagpost.kafka.source import Source
from flagpost.kafka.topics import ensure_topics
from flagpost.merging import Merging
from flagpost.model_signature import model_key
from flagpost.postgres.engine import create_engine
from flagpost.postgres.migrations import check_schema
from flagpost.postgres.spread import introduce_model
from flagpost.postgres.store import PostgresStore
from flagpost.saved_model import load_saved_model
from flagpost.settings import Settings
from flagpost.warm_up import load_kernels
from flagpost.worker import Worker


@dataclass(frozen=True)
class Parts:
    """What a worker reads from and writes to; a test of it may put another in the place of each."""

    open_source: Callable[[Settings, GroupTopics], Source] = open_source
    open_store: Callable[[Engine, str], Store] = PostgresStore
    open_dead_letters: Callable[[KafkaAccess, str, str], DeadLetters] = DeadLetters


@contextmanager
def open_worker(settings: Settings, stop: Event, parts: Parts) -> Iterator[Worker]:
    """Connect to both servers; on leaving, the member leaves its group.

    Everything that can be wrong with the settings, the model or the tables is found here, before
    a message is touched. The topics of dead letters and of labels are created if they are missing.
    """
    access = kafka_access(settings)
    model = load_saved_model(settings.model, model_key(settings.model_key))
    rules = model.scoring_rules()
    decoder = MessageDecoder(
        TransactionDecoder(load_mapping(settings.mapping)), settings.labels_topic
    )
    database_url = settings.database_url.get_secret_value()
    engine, apart = create_engine(database_url), create_engine(database_url)
    try:
        check_schema(engine)
        introduce_model(engine, rules.model_version, model.manifest.spread)
        ensure_topics(
            access,
            {settings.dead_letter_topic: 1, settings.labels_topic: settings.topic_partitions},
            required=[settings.topic],  # or the group would hear of a member that cannot score
        )
        store = parts.open_store(engine, settings.group)
        store.rehearse()
        load_kernels(rules)
        with (
            ThreadPoolExecutor(1, "merger") as merger,
            closing(
                parts.open_dead_letters(access, settings.dead_letter_topic, settings.group)
            ) as letters,
            closing(
                parts.open_source(settings, GroupTopics(settings.topic, (settings.labels_topic,)))
            ) as source,
        ):
            yield Worker(
                source,
                store,
                letters,
                decoder,
                rules,
                DeadShare(settings.max_dead_share),
                Merging(parts.open_store(apart, settings.group), merger),
                stop,
                batch_messages=settings.batch_messages,
                latest_event_time_us=partial(latest_event_time_us, settings.max_future_days),
                keep_scores=settings.keep_scores,
            )
    finally:
        engine.dispose()
        apart.dispose()
