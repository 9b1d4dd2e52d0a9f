"""Members with one planted defect each, as people write them; the harness has to catch every one.

`python -m tests.torture.broken_member DEFECT DIRECTORY`
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from confluent_kafka import TopicPartition
from sqlalchemy import Connection, Engine, insert, text

from flagpost import event_order, peers
from flagpost import merging as merging_of_member
from flagpost.core import alignment
from flagpost.core.calendar import HOUR_US
from flagpost.core.effects import Advance, Counts, Effects, FlaggedTransaction, Segment
from flagpost.core.segment import Entries, merge, pack, unpack
from flagpost.errors import Fenced, Unavailable
from flagpost.events import BadMessage, Partition
from flagpost.kafka.confluent_source import ConfluentSource
from flagpost.kafka.dead_letters import DeadLetters
from flagpost.kafka.pairing import GroupTopics
from flagpost.kafka.source import Chunk, Headers, Poll, Record, Source
from flagpost.member import run_member
from flagpost.postgres import (
    batch,
    checkpoints,
    decisions,
    journal,
    labels,
    merging,
    spread,
    totals,
)
from flagpost.postgres.batch import Written
from flagpost.postgres.store import PostgresStore
from flagpost.postgres.tables import FraudTransaction
from flagpost.postgres.times import to_datetime
from flagpost.scoring import Parts
from flagpost.settings import Settings
from flagpost.torture.dying_member import DyingStore
from flagpost.torture.member import NotingStore, obey, parts_in, telling_when_begun

_ADVANCE = """
UPDATE stream.positions SET next_offset = :next_offset,
       event_time = greatest(event_time, :event_time),
       n_in = n_in + :n_in, n_clean = n_clean + :n_clean, n_flagged = n_flagged + :n_flagged,
       n_duplicate = n_duplicate + :n_duplicate, n_dead = n_dead + :n_dead
 WHERE topic = :topic AND partition = :partition AND "group" = :group AND {condition}
"""

_COUNT_AGAIN = """
UPDATE stream.positions SET n_clean = n_clean - 1, n_duplicate = n_duplicate + 1
 WHERE topic = :topic AND partition = :partition AND "group" = :group
"""
ALWAYS = text("true")


def write_where(condition: str, connection: Connection, group: str, effects: Effects) -> Written:
    """Write a batch with only a part of the fence."""
    advance_where(condition, connection, group, effects.advances)
    for insertion, parameters in (
        (journal.insertion(ALWAYS), journal.parameters(group, effects.segments)),
        (decisions.insertion(ALWAYS), decisions.parameters(effects.flagged)),
        (spread.insertion(ALWAYS), spread.parameters(group, effects.spread)),
        (totals.insertion(ALWAYS), totals.parameters(group, effects.totals)),
    ):
        connection.execute(insertion, parameters)
    known = Counter(label.partition for label in effects.labels)
    known.subtract(
        Partition(*row)
        for row in connection.execute(labels.insertion(ALWAYS), labels.parameters(effects.labels))
    )
    for topic, number in known.elements():
        where = {"topic": topic, "partition": number, "group": group}
        connection.execute(text(_COUNT_AGAIN), where)
    return Written(known.total(), 0)


def advance_where(
    condition: str, connection: Connection, group: str, advances: Sequence[Advance]
) -> None:
    """Move positions on with only a part of the fence."""
    for step in advances:
        time = None if step.event_time_us is None else to_datetime(step.event_time_us)
        values = {
            "topic": step.partition.topic,
            "partition": step.partition.number,
            "group": group,
            "epoch": step.epoch,
            "start_offset": step.start_offset,
            "next_offset": step.next_offset,
            "event_time": time,
            **step.counts.by_name,
        }
        if not connection.execute(text(_ADVANCE.format(condition=condition)), values).rowcount:
            raise Fenced({step.partition})


def write_in_transactions(write: Callable[[Connection, str, Effects], Written]) -> None:
    """Have another function write batches, between BEGIN and COMMIT."""
    batch.write = write  # type: ignore[assignment]  # its arguments have no names

    def commit_at_once(store: PostgresStore, effects: Effects) -> Callable[[], Counts]:
        counts = store._commit_in_transaction(effects)
        return lambda: counts

    for store in (PostgresStore, DyingStore):
        store._send = commit_at_once  # type: ignore[method-assign,assignment]


def without_epoch(directory: Path) -> Parts:
    write_in_transactions(partial(write_where, "next_offset = :start_offset"))
    return parts_in(directory)


def without_next_offset(directory: Path) -> Parts:
    """It tries again what may have been committed, and relies on the rows' keys."""
    write_in_transactions(partial(write_where, "epoch = :epoch"))
    return replace(parts_in(directory), open_store=store_in(directory, StubbornStore))


class StubbornStore(NotingStore):
    def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
        try:
            counts = super().begin_commit(effects)()
        except Unavailable:
            absent = [segment for segment in effects.segments if not self._holds(segment)]
            counts = super().begin_commit(replace(effects, segments=absent))()
        return lambda: counts

    def _holds(self, segment: Segment) -> bool:
        offsets = {segment.partition: segment.start_offset}
        return any(
            found.start_offset == segment.start_offset for found in self.segments_from(offsets)
        )


def with_plain_insert(directory: Path) -> Parts:
    """Flagged rows have a transaction of their own, and nothing tells that they are there.

    Without a key there is no conflict either, and PostgreSQL refuses a statement that names one.
    """
    batch._TEXT = batch._TEXT.replace("ON CONFLICT (transaction_id) DO NOTHING", "")
    write_in_transactions(batch.write)
    return replace(parts_in(directory), open_store=store_in(directory, SeparateStore))


class SeparateStore(NotingStore):
    def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
        with self._transaction() as connection:
            insert_all(connection, effects.flagged)
        return super().begin_commit(replace(effects, flagged=[]))


def insert_all(connection: Connection, flagged: Sequence[FlaggedTransaction]) -> None:
    rows: list[dict[str, Any]] = [decisions._as_row(each) for each in flagged]
    if rows:
        connection.execute(insert(FraudTransaction), rows)


def with_totals_of_their_own(directory: Path) -> Parts:
    """Totals have a transaction of their own, before the fence."""
    return replace(parts_in(directory), open_store=store_in(directory, EarlyTotalsStore))


class EarlyTotalsStore(NotingStore):
    def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
        with self._transaction() as connection:
            connection.execute(
                totals.insertion(ALWAYS), totals.parameters(self._group, effects.totals)
            )
        return super().begin_commit(replace(effects, totals=[]))


def with_spread_of_its_own(directory: Path) -> Parts:
    """Features are counted when the rest is done, in a transaction that may never come."""
    return replace(parts_in(directory), open_store=store_in(directory, LateSpreadStore))


class LateSpreadStore(NotingStore):
    def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
        await_counts = super().begin_commit(replace(effects, spread=[]))

        def await_and_count_features() -> Counts:
            counts = await_counts()
            with self._transaction() as connection:
                added = spread.parameters(self._group, effects.spread)
                connection.execute(spread.insertion(ALWAYS), added)
            return counts

        return await_and_count_features


def telling_kafka_before_writing(directory: Path) -> Parts:
    opened = list[ConfluentSource]()

    def open_source(settings: Settings, topics: GroupTopics) -> Source:
        opened.append(open_confluent(settings, topics))
        return opened[0]

    class EagerStore(NotingStore):
        def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
            tell_kafka(opened[0], {step.partition: step.next_offset for step in effects.advances})
            return super().begin_commit(effects)

    return replace(
        parts_in(directory), open_source=open_source, open_store=store_in(directory, EagerStore)
    )


def telling_kafka_before_committing(directory: Path) -> Parts:
    """Kafka is told when the position has moved, in a transaction that may never be committed."""
    opened = list[ConfluentSource]()
    write = batch.write

    def open_source(settings: Settings, topics: GroupTopics) -> Source:
        opened.append(open_confluent(settings, topics))
        return opened[0]

    def write_and_tell(connection: Connection, group: str, effects: Effects) -> Written:
        written = write(connection, group, effects)
        if effects.advances:  # it is rehearsed before there is a source
            tell_kafka(opened[0], {step.partition: step.next_offset for step in effects.advances})
        return written

    write_in_transactions(write_and_tell)
    return replace(parts_in(directory), open_source=open_source)


def with_auto_commit(directory: Path) -> Parts:
    def open_source(settings: Settings, topics: GroupTopics) -> Source:
        source = open_confluent(settings, topics)
        poll = source.poll

        def poll_and_tell(max_messages: int, timeout_seconds: float) -> Poll:
            polled = poll(max_messages, timeout_seconds)
            tell_kafka(source, {chunk.partition: chunk.next_offset for chunk in polled.chunks})
            return polled

        source.poll = poll_and_tell  # type: ignore[method-assign]  # that is the defect
        return source

    return replace(parts_in(directory), open_source=open_source)


def tell_kafka(source: ConfluentSource, offsets: Mapping[Partition, int]) -> None:
    if offsets:
        told = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        source._consumer.commit(offsets=told, asynchronous=False)


def with_latest_reset(directory: Path) -> Parts:
    """Whoever takes a partition over begins at its end, wherever the position is."""

    def open_source(settings: Settings, topics: GroupTopics) -> Source:
        source = open_confluent(settings, topics)
        seek = source.seek

        def seek_end(offsets: Mapping[Partition, int]) -> None:
            seek({p: end for p, (_, end) in source.bounds(offsets).items()})

        source.seek = seek_end  # type: ignore[method-assign]  # that is the defect
        return source

    return replace(parts_in(directory), open_source=open_source)


def with_little_slack(directory: Path) -> Parts:
    """Whoever is four hours of event time ahead waits, also for a member that is silent."""
    for module in (alignment, event_order, peers):
        module.ALIGNED_WITHIN_US = 4 * HOUR_US  # type: ignore[attr-defined]  # that is the defect
    return parts_in(directory)


def merging_often(directory: Path) -> Parts:
    """No defect: rows are merged while anything goes wrong."""
    merging_of_member.MERGED_ROWS = 3
    return parts_in(directory)


def with_merges_that_drop(directory: Path) -> Parts:
    merging.merge = without_first  # type: ignore[attr-defined]  # that is the defect
    return merging_often(directory)


def without_first(segments: bytes) -> bytes:
    entries = unpack(merge(segments))
    assert isinstance(entries, Entries)
    is_kept = entries.event_time_us.cumsum() != entries.event_time_us[0]
    return pack(entries.where(is_kept))


def without_dead_letters(directory: Path) -> Parts:
    return replace(parts_in(directory), open_dead_letters=MuteDeadLetters)


class MuteDeadLetters(DeadLetters):
    def send(self, chunk: Chunk, index: int, bad: BadMessage) -> None:
        pass


def never_telling_kafka(directory: Path) -> Parts:
    """Lag tools see a group that stands still."""

    def open_source(settings: Settings, topics: GroupTopics) -> Source:
        source = open_confluent(settings, topics)
        source.commit = lambda _: None  # type: ignore[method-assign, assignment]  # the defect
        return source

    return replace(parts_in(directory), open_source=open_source)


def without_checkpoints(directory: Path) -> Parts:
    """There is nothing to rewind to."""
    checkpoints.keep = lambda *_: None
    return parts_in(directory)


def with_wrong_levels(directory: Path) -> Parts:
    """Every score is right, and what people look at is not."""
    as_row = decisions._as_row
    decisions._as_row = lambda flagged: as_row(flagged) | {"risk_level": "LOW", "reasons": []}
    return parts_in(directory)


def with_anonymous_labels(directory: Path) -> Parts:
    as_row = labels._as_row
    labels._as_row = lambda label: as_row(label) | {"user_id": None, "source": None}
    return parts_in(directory)


def with_empty_dead_letters(directory: Path) -> Parts:
    return replace(parts_in(directory), open_dead_letters=EmptyDeadLetters)


class EmptyDeadLetters(DeadLetters):
    """They say that a message was bad, and no longer what it was."""

    def _produce(self, record: Record, headers: Headers) -> None:
        super()._produce(record._replace(key=None, value=None), headers)


def open_confluent(settings: Settings, topics: GroupTopics) -> ConfluentSource:
    source = Parts().open_source(settings, topics)
    assert isinstance(source, ConfluentSource)
    return source


def store_in(directory: Path, kind: type[NotingStore]) -> Callable[[Engine, str], NotingStore]:
    return partial(kind, directory / "attempts", partial(obey, directory / "order"))


DEFECTS: dict[str, Callable[[Path], Parts]] = {
    "no epoch": without_epoch,
    "no next_offset condition": without_next_offset,
    "plain INSERT": with_plain_insert,
    "totals of their own": with_totals_of_their_own,
    "spread of its own": with_spread_of_its_own,
    "commit before write": telling_kafka_before_writing,
    "commit before COMMIT": telling_kafka_before_committing,
    "auto-commit": with_auto_commit,
    "latest reset": with_latest_reset,
    "little slack": with_little_slack,
    "frequent merges": merging_often,
    "merges that drop": with_merges_that_drop,
    "dropped dead letters": without_dead_letters,
    "empty dead letters": with_empty_dead_letters,
    "silence towards Kafka": never_telling_kafka,
    "no checkpoints": without_checkpoints,
    "wrong levels": with_wrong_levels,
    "anonymous labels": with_anonymous_labels,
}


def main(
    defect: Annotated[str, typer.Argument(help="One of DEFECTS.")],
    directory: Annotated[Path, typer.Argument(help="Where its files are.")],
) -> None:
    """Score with a planted defect, in many small batches, however busy the machine."""
    os.environ["FLAGPOST_BATCH_MESSAGES"] = "40"
    run_member(telling_when_begun(directory, DEFECTS[defect](directory)), until_caught_up=False)


if __name__ == "__main__":
    typer.run(main)
