"""Quix Streams: a stateful function over a RocksDB store, rows through its own PostgreSQL sink.

A checkpoint writes the sink's rows first, then the changelog, then the offsets.
"""

from urllib.parse import urlsplit

from quixstreams import Application, State
from quixstreams.sinks.community.postgresql import PostgreSQLSink

from bench.peers.job import TABLE, Flagged, History, Scorer, decode
from bench.peers.task import Stopwatch, Task, calm_garbage_collector

_HISTORY = "history"


def main() -> None:
    """Score everything in the topic."""
    task, stopwatch = Task.from_environment(), Stopwatch()
    scorer = Scorer(task.threshold)
    calm_garbage_collector()

    def score(value: bytes, state: State) -> Flagged | None:
        history = History.from_bytes(state.get_bytes(_HISTORY))
        flagged = scorer.score(history, decode(value))
        state.set_bytes(_HISTORY, history.to_bytes())
        return flagged

    def count(topic: str, partition: int, offset: int) -> None:  # noqa: ARG001 - Quix names them
        if stopwatch.count() == task.events:
            app.stop()

    app = Application(
        broker_address=task.bootstrap,
        consumer_group=task.group,
        auto_offset_reset="earliest",
        commit_interval=task.flush_seconds,
        consumer_extra_config={
            "fetch.queue.backoff.ms": 10,
            "max.partition.fetch.bytes": 4 << 20,
            "queued.max.messages.kbytes": 32 << 10,
        },
        producer_extra_config={"compression.type": "lz4", "linger.ms": 20},
        state_dir=task.state_folder,
        on_message_processed=count,
        loglevel="ERROR",
    )
    transactions = app.topic(task.topic, key_deserializer="str", value_deserializer="bytes")
    flagged = app.dataframe(transactions).apply(score, stateful=True).filter(is_flagged)
    flagged.apply(Flagged._asdict).sink(postgres_sink(task.database_url))
    app.run()
    stopwatch.finish()


def is_flagged(flagged: Flagged | None) -> bool:
    return flagged is not None


def postgres_sink(database_url: str) -> PostgreSQLSink:
    url = urlsplit(database_url)
    return PostgreSQLSink(
        host=url.hostname,
        port=url.port,
        dbname=url.path.removeprefix("/"),
        user=url.username,
        password=url.password,
        table_name=TABLE,
        schema_auto_update=False,
        primary_key_columns="transaction_id",
        upsert_on_primary_key=True,
        include_metadata=False,
    )


if __name__ == "__main__":
    main()
