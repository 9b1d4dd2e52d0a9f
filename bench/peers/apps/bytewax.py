"""Bytewax: one logic a customer in `stateful_batch`, a batching sink, recovery in SQLite.

An epoch's snapshots, offsets among them, are kept after its rows have been written.
"""

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Any

import bytewax.operators as op
import psycopg
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.inputs import StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from bench.peers.job import UPSERT, Flagged, History, Scorer, Transaction, columns, decode
from bench.peers.task import COMMIT_SECONDS, Stopwatch, Task

Keyed = tuple[str, Any]

LIVE_EPOCH_SECONDS = 0.1
"""Nothing goes on while an epoch ends, and a short one has less to keep."""


class Customer(StatefulBatchLogic[Transaction, Flagged, bytes]):
    """The history of one customer."""

    def __init__(self, scorer: Scorer, snapshot: bytes | None) -> None:
        self._score = scorer.score
        self._history = History.from_bytes(snapshot)

    def on_batch(self, batch: list[Transaction]) -> tuple[Iterable[Flagged], bool]:
        scored = [self._score(self._history, transaction) for transaction in batch]
        return [flagged for flagged in scored if flagged], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        return self._history.to_bytes()


Messages = list[KafkaSourceMessage[bytes, bytes]]


class WatchedSource(KafkaSource):
    """Bytewax's own; a stopwatch begins when the first messages have come."""

    def __init__(self, task: Task, stopwatch: Stopwatch) -> None:
        super().__init__(
            [task.bootstrap],
            [task.topic],
            tail=task.is_live,
            batch_size=20_000,
            add_config={
                "max.partition.fetch.bytes": 16 << 20,
                "queued.max.messages.kbytes": 64 << 10,
            },
        )
        self._stopwatch = stopwatch

    def build_part(
        self, step_id: str, for_part: str, resume_state: int | None
    ) -> StatefulSourcePartition[KafkaSourceMessage[bytes, bytes], int | None]:
        partition = super().build_part(step_id, for_part, resume_state)
        poll = partition.next_batch

        def next_batch() -> Messages:
            messages: Messages = poll()
            if messages:
                self._stopwatch.begin()
            return messages

        partition.next_batch = next_batch
        return partition


class PostgresPartition(StatelessSinkPartition[Keyed]):
    """A worker's connection."""

    def __init__(self, database_url: str) -> None:
        self._database = psycopg.connect(database_url, autocommit=True)

    def write_batch(self, items: list[Keyed]) -> None:
        self._database.execute(UPSERT, columns([flagged for _, flagged in items]))

    def close(self) -> None:
        self._database.close()


class PostgresSink(DynamicSink[Keyed]):
    """Writes the rows of each batch in one statement."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    def build(self, step_id: str, worker_index: int, worker_count: int) -> PostgresPartition:  # noqa: ARG002
        return PostgresPartition(self._database_url)


def main() -> None:
    """Score everything in the topic."""
    task, stopwatch = Task.from_environment(), Stopwatch()

    def decode_batch(messages: Messages) -> list[Keyed]:
        transactions = [decode(message.value) for message in messages]
        return [(transaction.user_id, transaction) for transaction in transactions]

    flow = Dataflow("peer")
    messages = op.input("topic", flow, WatchedSource(task, stopwatch))
    transactions = op.flat_map_batch("decode", messages, decode_batch)
    flagged = op.stateful_batch("score", transactions, partial(Customer, Scorer(task.threshold)))
    op.output("rows", flagged, PostgresSink(task.database_url))
    init_db_dir(task.state_folder, 1)
    cli_main(
        flow,
        epoch_interval=timedelta(seconds=LIVE_EPOCH_SECONDS if task.is_live else COMMIT_SECONDS),
        recovery_config=RecoveryConfig(task.state_folder),
    )
    stopwatch.finish()


if __name__ == "__main__":
    main()
