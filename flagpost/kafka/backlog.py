"""Records that kafka-python has fetched and the worker has not taken yet."""

from collections.abc import Callable, Iterable

from flagpost.events import Partition
from flagpost.kafka.record_batches import Records


class Backlog:
    """Keeps what a fetch brought until it is taken, in the order of each partition.

    The client could keep it as well, but a partition that is paused while the client has part of
    its records at hand may never flow again: they block its next fetch, and resuming does not
    reliably bring them back. So everything is taken out of the client at once.
    """

    def __init__(self) -> None:
        self._batches: dict[Partition, list[Records]] = {}

    def add(self, partition: Partition, batches: Iterable[Records]) -> None:
        """Append what was fetched."""
        self._batches.setdefault(partition, []).extend(batches)

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget the records of `partitions`."""
        for partition in partitions:
            self._batches.pop(partition, None)

    def first_offset(self, partition: Partition) -> int | None:
        """The offset that is taken next, or None where nothing is kept."""
        batches = self._batches.get(partition)
        return int(batches[0].offsets[0]) if batches else None

    def size(self, flows: Callable[[Partition], bool]) -> int:
        """How many records can be taken now."""
        return sum(self._sizes(flows).values())

    def take(
        self, limit: int, flows: Callable[[Partition], bool]
    ) -> dict[Partition, list[Records]]:
        """Take up to `limit` records of the partitions that flow, evenly where all have enough."""
        sizes = self._sizes(flows)
        taken: dict[Partition, list[Records]] = {}
        for place, partition in enumerate(sorted(sizes, key=sizes.__getitem__)):
            share = min(sizes[partition], -(-limit // (len(sizes) - place)))
            limit -= share
            batches = self._batches.pop(partition)
            taken[partition], rest = _parted(batches, share)
            if rest:
                self._batches[partition] = rest
        return {partition: batches for partition, batches in taken.items() if batches}

    def _sizes(self, flows: Callable[[Partition], bool]) -> dict[Partition, int]:
        return {
            partition: sum(map(len, batches))
            for partition, batches in self._batches.items()
            if flows(partition)
        }


def _parted(batches: list[Records], n: int) -> tuple[list[Records], list[Records]]:
    """Part the first `n` records from the others."""
    for i, batch in enumerate(batches):
        if n < len(batch):
            cut = [batch.part(slice(n))] if n else []
            return batches[:i] + cut, [batch.part(slice(n, None)), *batches[i + 1 :]]
        n -= len(batch)
    return batches, []
