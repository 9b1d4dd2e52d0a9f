"""Sending dead letters again, each once, whatever ends the program in between.

1. A claim is stored: no other operator sends this dead letter from now on.
2. The message is sent, and the broker acknowledges it.
3. The claim is marked as replayed.

A crash between the first step and the third leaves a claim without a mark, and nobody knows whether
the message was sent. `finish` sends it (again) and marks it. That is harmless: a transaction that
arrives twice is recognised by its id, and one that never arrives would be lost.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import Engine

from flagpost.dead_letters.letter import DeadLetter, LetterId
from flagpost.errors import FlagpostError, OffsetLost
from flagpost.kafka.resending import Outgoing, Resender
from flagpost.postgres.replays import Edit, Replay, claim, find_replays, finish
from flagpost.process_name import process_name

AT_ONCE = 500

ReadValue = Callable[[LetterId], bytes | None]


@dataclass
class Outcome:
    """What became of the dead letters that were to be sent again."""

    replayed: list[LetterId] = field(default_factory=list)
    done_before: list[Replay] = field(default_factory=list)
    half_done: list[Replay] = field(default_factory=list)
    failures: list[FlagpostError] = field(default_factory=list)

    def note_claimed_before(self, replays: Iterable[Replay]) -> None:
        """Part what others have claimed into what is done and what may not be."""
        for each in replays:
            (self.half_done if each.replayed_at is None else self.done_before).append(each)


class Replaying:
    """Sends dead letters again; `read_value` fetches a value that was too large to be kept."""

    def __init__(self, engine: Engine, resender: Resender, read_value: ReadValue) -> None:
        self._engine = engine
        self._resender = resender
        self._read_value = read_value
        self.outcome = Outcome()

    def replay(self, letters: Iterable[DeadLetter], edit: Edit) -> None:
        """Claim, send and mark those that nobody has claimed. Blocks.

        Raises:
            Unavailable: the database does not answer; what was claimed may be half done.
        """
        for chunk in _chunks(letters):
            outgoing = {each.id: each for each in self._prepare(chunk, {}, edit)}
            ours = claim(self._engine, list(outgoing), process_name(), edit)
            claimed_before = find_replays(self._engine, outgoing.keys() - ours)
            self.outcome.note_claimed_before(claimed_before.values())
            self._send([each for letter, each in outgoing.items() if letter in ours])

    def finish(self, letters: Iterable[DeadLetter], half_done: Mapping[LetterId, Replay]) -> None:
        """Send and mark those that were claimed and not marked, edited as they were. Blocks.

        Raises:
            Unavailable: the database does not answer.
        """
        for chunk in _chunks(letter for letter in letters if letter.id in half_done):
            self._send(self._prepare(chunk, half_done, Edit()))

    def _prepare(
        self, chunk: Sequence[DeadLetter], half_done: Mapping[LetterId, Replay], edit: Edit
    ) -> list[Outgoing]:
        found = []
        for letter in chunk:
            claimed = half_done.get(letter.id)
            edit_of_it = Edit(claimed.edited_key, claimed.edited_value) if claimed else edit
            try:
                found.append(self._outgoing(letter, edit_of_it))
            except OffsetLost as error:
                self.outcome.failures.append(error)
        return found

    def _outgoing(self, letter: DeadLetter, edit: Edit) -> Outgoing:
        key = letter.key if edit.key is None else edit.key
        value = letter.value if edit.value is None else edit.value
        if value is None and letter.omitted_bytes is not None:
            value = self._read_value(letter.id)
        partition = letter.id.partition if edit.key is None else None
        return Outgoing(letter.id, partition, key, value, letter.headers_to_replay)

    def _send(self, outgoing: Sequence[Outgoing]) -> None:
        arrived, failure = self._resender.send(outgoing)
        finish(self._engine, arrived)
        self.outcome.replayed += arrived
        if failure is not None:
            self.outcome.failures.append(failure)


def _chunks(letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    remaining = iter(letters)
    while chunk := list(islice(remaining, AT_ONCE)):
        yield chunk
