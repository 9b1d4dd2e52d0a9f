"""What Flink's own interpreter runs of the PyFlink program: it imports it, so it is a module."""

import time
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import msgspec
from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ValueStateDescriptor

from bench.peers.job import History, Scorer, decode
from bench.peers.task import calm_garbage_collector


class _Key(msgspec.Struct, gc=False):
    user_id: str


_decode_key = msgspec.json.Decoder(_Key).decode


def user_of(message: str) -> str:
    """Return whose history a message belongs to."""
    return _decode_key(message).user_id


class Score(KeyedProcessFunction):
    """The history of one customer after the other, in Flink's state; the flagged rows."""

    def __init__(self, threshold: float, begun: Path) -> None:
        self._threshold = threshold
        self._begun = begun
        self._is_first = True

    def open(self, context: RuntimeContext) -> None:
        """Begin; called where the messages are."""
        calm_garbage_collector()
        self._score = Scorer(self._threshold).score
        self._history = context.get_state(
            ValueStateDescriptor("history", Types.PICKLED_BYTE_ARRAY())
        )

    def process_element(self, message: str, _: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Score one transaction."""
        if self._is_first:
            self._is_first = False
            self._begun.write_text(str(time.perf_counter()))
        history = History.from_bytes(self._history.value())
        flagged = self._score(history, decode(message))
        self._history.update(history.to_bytes())
        if flagged:
            event_time = flagged.event_time.astimezone(UTC).replace(tzinfo=None)
            yield Row(*flagged._replace(event_time=event_time))
