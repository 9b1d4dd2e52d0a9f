"""Bytewax: one logic a customer in `stateful_batch`, a batching sink, recovery in SQLite.

An epoch's snapshots, offsets among them, are kept after its rows have been written.
"""

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Any

import bytewax.operators as op
import psycopg
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from bench.peers.job import UPSERT, Flagged, History, Scorer, Transaction, columns, decode
from bench.peers.task import COMMIT_SECONDS, Stopwatch, Task, calm_garbage_collector

Keyed = tuple[str, Any]

BATCH_MESSAGES, POLL_SECONDS = 20_000, 0.001
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


class KafkaPartition(StatefulSourcePartition[bytes, int]):
    """The values of one partition's messages; its snapshot is the next offset."""

    def __init__(self, consumer: Consumer, offset: int, stopwatch: Stopwatch) -> None:
        self._consumer = consumer
        self._offset = offset
        self._stopwatch = stopwatch
        self._is_at_end = False

    def next_batch(self) -> list[bytes]:
        if self._is_at_end:
            raise StopIteration
        messages = self._consumer.consume(BATCH_MESSAGES, POLL_SECONDS)
        if messages and (error := messages[-1].error()):
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its name in the client
                raise KafkaException(error)
            self._is_at_end = True
            del messages[-1]
        if messages:
            self._stopwatch.begin()
            self._offset = (messages[-1].offset() or 0) + 1
        return [value for message in messages if (value := message.value())]

    def snapshot(self) -> int:
        return self._offset

    def close(self) -> None:
        self._consumer.close()


class Source(FixedPartitionedSource[bytes, int]):
    """Reads values alone: Bytewax's own source makes an object with all fields of each message."""

    def __init__(self, task: Task, stopwatch: Stopwatch) -> None:
        self._task = task
        self._stopwatch = stopwatch

    def list_parts(self) -> list[str]:
        admin = AdminClient({"bootstrap.servers": self._task.bootstrap})
        return [str(number) for number in admin.list_topics().topics[self._task.topic].partitions]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> KafkaPartition:  # noqa: ARG002
        consumer = Consumer(
            {
                "bootstrap.servers": self._task.bootstrap,
                "group.id": self._task.group,
                "enable.auto.commit": False,
                "enable.partition.eof": not self._task.is_live,
                "max.partition.fetch.bytes": 4 << 20,
                "queued.max.messages.kbytes": 64 << 10,
            }
        )
        offset = resume_state or 0
        consumer.assign([TopicPartition(self._task.topic, int(for_part), offset)])
        return KafkaPartition(consumer, offset, self._stopwatch)


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
    calm_garbage_collector()

    def decode_batch(messages: list[bytes]) -> list[Keyed]:
        transactions = [decode(message) for message in messages]
        return [(transaction.user_id, transaction) for transaction in transactions]

    flow = Dataflow("peer")
    messages = op.input("topic", flow, Source(task, stopwatch))
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
