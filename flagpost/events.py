"""The messages of the stream: what a transaction is, and what is wrong with a bad one."""

from typing import NamedTuple


class Partition(NamedTuple):
    """A partition of a Kafka topic."""

    topic: str
    number: int
