"""I3: what Kafka was told."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator

from flagpost.events import Partition
from flagpost.postgres.times import to_us
from flagpost.torture.invariants.positions import Standing
from flagpost.torture.invariants.violations import Harm, Violation
from flagpost.torture.kafka_commits import KafkaCommit
from flagpost.torture.ledger import Step


def check_kafka(commits: Iterable[KafkaCommit], steps: Iterable[Step]) -> Iterator[Violation]:
    """I3: whenever Kafka was told an offset, the commit of a step that far had begun.

    Compared are the broker's time and that of COMMIT, to the millisecond, as both clocks are one.
    A worker that has waited for the reply to COMMIT is always later.
    """
    reached = defaultdict[Partition, list[tuple[int, int]]](lambda: [(0, 0)])
    for step in steps:
        if step.next_offset > reached[step.partition][-1][0]:
            reached[step.partition].append((step.next_offset, to_us(step.at) // 1000))
    for commit in commits:
        so_far = reached[commit.partition]
        place = bisect_left(so_far, (commit.offset, 0))
        if place == len(so_far) or so_far[place][1] > commit.at_ms:
            text = f"Kafka was told {commit.offset} before the position was there"
            yield Violation("I3", Harm.OTHER, text, commit.partition, commit.offset)


def check_told(
    commits: Iterable[KafkaCommit], positions: Iterable[Standing]
) -> Iterator[Violation]:
    """I3: Kafka was told of every partition that went on, and in the end of nothing beyond it.

    It need not be the last position: who loses a partition lets go of what it would have told.
    """
    told = {commit.partition: commit.offset for commit in commits}
    for position in positions:
        partition, end = position.partition, position.next_offset
        if end and not 0 < told.get(partition, 0) <= end:
            text = f"Kafka was told {told.get(partition, 'nothing')} in the end, of {end}"
            yield Violation("I3", Harm.OTHER, text, partition)
