"""The messages that cannot be used: why, and how that is told."""

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import NamedTuple


class Reason(StrEnum):
    """Why a message cannot be used; docs/events.md has an example of each."""

    TOMBSTONE = auto()
    EMPTY = auto()
    TOO_LARGE = auto()
    NOT_UTF8 = auto()
    NOT_JSON = auto()
    NOT_AN_OBJECT = auto()
    TOO_DEEP = auto()
    DUPLICATE_FIELD = auto()
    NOT_A_TRANSACTION = auto()
    NOT_A_LABEL = auto()
    MISSING_FIELD = auto()
    WRONG_TYPE = auto()
    OUT_OF_RANGE = auto()
    BAD_TEXT = auto()
    EMPTY_ID = auto()
    ID_TOO_LONG = auto()
    NEGATIVE_AMOUNT = auto()
    FINER_THAN_A_CENT = auto()
    BAD_TIMESTAMP = auto()
    BEFORE_1970 = auto()
    IN_THE_FUTURE = auto()
    KNOWN_TOO_EARLY = auto()


@dataclass(frozen=True, slots=True)
class BadMessage:
    """A message that goes to the dead letters.

    Attributes:
        message_index: its place in the batch.
        reason: the code, for counting and routing.
        field: the field as the sender names it; None if it is not about one.
        detail: a sentence for people. It shows at most a short piece of an amount or a time, and
            no digits that could be a card number.
    """

    message_index: int
    reason: Reason
    field: str | None
    detail: str


class Problem(NamedTuple):
    """The first thing that is wrong with a message; see `BadMessage`."""

    reason: Reason
    field: str | None
    detail: str
