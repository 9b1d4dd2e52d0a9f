"""A dead letter as operators see it: which message was bad, why, and what it was. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Self

from flagpost.core.calendar import EPOCH
from flagpost.errors import Refused

Headers = list[tuple[str, bytes | None]]

REPLAY_OF = "flagpost.replay.of"
"""The header of a message that was sent again: the id of its dead letter."""

_OMITTED = "flagpost.value.omitted.bytes"
_REASON, _FIELD = "flagpost.reason", "flagpost.field"
_CONNECT = "__connect.errors."
_MESSAGE = f"{_CONNECT}exception.message"


class LetterId(NamedTuple):
    """Where the bad message was: the same place is the same dead letter, however often it came."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read TOPIC/PARTITION/OFFSET.

        Raises:
            Refused: it is something else.
        """
        topic, *numbers = text.rsplit("/", 2)
        if not topic or len(numbers) != 2 or not all(each.isdecimal() for each in numbers):
            raise Refused(f"{text!r} is no id: expected TOPIC/PARTITION/OFFSET, as `list` shows it")
        return cls(topic, *map(int, numbers))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A bad message and what is wrong with it.

    Attributes:
        id: where it was.
        sent_at: the time that the bad message carried, if any.
        reason: the code, see `bad_messages.Reason`.
        field: the field that is wrong; empty if it is not about one.
        message: a sentence for people.
        key: as it was.
        value: as it was; None also when it was omitted, see below.
        headers: as they were, without those of the dead letter.
        omitted_bytes: the size of a value that was too large to be kept; it is at the source.
    """

    id: LetterId
    sent_at: datetime | None
    reason: str
    field: str
    message: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    omitted_bytes: int | None = None

    @property
    def headers_to_replay(self) -> Headers:
        """Those of the bad message, and which dead letter it was."""
        kept = [header for header in self.headers if header[0] != REPLAY_OF]
        return [*kept, (REPLAY_OF, str(self.id).encode())]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant; what is None does not matter."""

    reason: str | None = None
    topic: str | None = None
    since: datetime | None = None

    def __contains__(self, letter: DeadLetter) -> bool:
        if self.since and (letter.sent_at is None or letter.sent_at < self.since):
            return False
        return self.reason in (None, letter.reason) and self.topic in (None, letter.id.topic)


def read_letter(
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
    timestamp_ms: int | None,
) -> DeadLetter | None:
    """Understand a message of the dead-letter topic; None if Flagpost did not write it."""
    kept, ours = _part(headers)
    place = [ours.get(f"{_CONNECT}{name}", "") for name in ("topic", "partition", "offset")]
    if not place[0] or not all(number.isdecimal() for number in place[1:]):
        return None
    omitted = ours.get(_OMITTED)
    return DeadLetter(
        id=LetterId(place[0], int(place[1]), int(place[2])),
        sent_at=None if timestamp_ms is None else EPOCH + timedelta(milliseconds=timestamp_ms),
        reason=ours.get(_REASON, ""),
        field=ours.get(_FIELD, ""),
        message=ours.get(_MESSAGE, ""),
        key=key,
        value=value,
        headers=kept,
        omitted_bytes=None if omitted is None else int(omitted),
    )


def _part(headers: Sequence[tuple[str, bytes | None]]) -> tuple[Headers, dict[str, str]]:
    """Part the headers of the bad message from those that were added behind them, each once."""
    kept, ours = list(headers), dict[str, str]()
    while kept and _is_ours(kept[-1][0]) and kept[-1][0] not in ours:
        name, content = kept.pop()
        ours[name] = (content or b"").decode(errors="replace")
    return kept, ours


def _is_ours(name: str) -> bool:
    return name.startswith(_CONNECT) or name in (_REASON, _FIELD, _OMITTED)
