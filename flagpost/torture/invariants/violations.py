"""What is wrong, and what that does to somebody's decisions."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from flagpost.events import Partition
from flagpost.torture.truth import Truth

Truths = Mapping[Partition, Truth]

Place = tuple[Partition, int]
"""The partition and the offset of a message."""


class Harm(StrEnum):
    """What a violation does to somebody's decisions."""

    LOST = "lost"
    DOUBLED = "doubled"
    CHANGED = "changed"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, and where, as far as that can be said."""

    invariant: str
    harm: Harm
    text: str
    partition: Partition | None = None
    offset: int | None = None


def harm_of(n_found: int, n_expected: int) -> Harm:
    """Say what it means that so many were found."""
    if n_found == n_expected:
        return Harm.CHANGED
    return Harm.LOST if n_found < n_expected else Harm.DOUBLED
