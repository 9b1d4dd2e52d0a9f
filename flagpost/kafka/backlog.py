"""Records that kafka-python has fetched and the worker has not taken yet."""

from collections.abc import Callable, Iterable

from kafka.consumer.fetcher import ConsumerRecord

from flagpost.events import Partition


class Backlog:
    """Keeps what a fetch brought until it is taken, in the order of each partition.

    The client could keep it as well, but a partition that is paused while the client has part of
    its records at hand may never flow again: they block its next fetch, and resuming does not
    reliably bring them back. So everything is taken out of the client at once.
    """

    def __init__(self) -> None:
        self._records: dict[Partition, list[ConsumerRecord]] = {}

    def add(self, partition: Partition, records: Iterable[ConsumerRecord]) -> None:
        """Append what was fetched."""
        self._records.setdefault(partition, []).extend(records)

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget the records of `partitions`."""
        for partition in partitions:
            self._records.pop(partition, None)

    def first_offset(self, partition: Partition) -> int | None:
        """The offset that is taken next, or None where nothing is kept."""
        records = self._records.get(partition)
        return int(records[0].offset) if records else None

    def size(self, flows: Callable[[Partition], bool]) -> int:
        """How many records can be taken now."""
        return sum(len(records) for p, records in self._records.items() if flows(p))

    def take(
        self, limit: int, flows: Callable[[Partition], bool]
    ) -> dict[Partition, list[ConsumerRecord]]:
        """Take up to `limit` records of the partitions that flow, evenly where all have enough."""
        taken: dict[Partition, list[ConsumerRecord]] = {}
        flowing = sorted(
            (p for p in self._records if flows(p)), key=lambda p: len(self._records[p])
        )
        for place, partition in enumerate(flowing):
            share = -(-limit // (len(flowing) - place))
            records = self._records[partition]
            taken[partition], self._records[partition] = records[:share], records[share:]
            limit -= len(taken[partition])
            if not self._records[partition]:
                del self._records[partition]
        return {partition: records for partition, records in taken.items() if records}
