"""What became known about transactions: the label lines of a log."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from flagpost.errors import UnreadableInput


class LabelLine(msgspec.Struct, frozen=True):
    """The part of a label that training needs; an integer id stands for its decimal text."""

    transaction_id: str | int
    is_fraud: bool
    known_at: Annotated[datetime, msgspec.Meta(tz=True)]


class LabelBook:
    """The last thing known about each transaction."""

    def __init__(self) -> None:
        self._known: dict[str, LabelLine] = {}
        self._decoder = msgspec.json.Decoder(LabelLine)

    def add(self, lines: Iterable[bytes]) -> None:
        """Take label lines in any order; a later `known_at` corrects an earlier one.

        Raises:
            UnreadableInput: a line lacks a field or has one of the wrong type.
        """
        for line in lines:
            try:
                label = self._decoder.decode(line)
            except msgspec.MsgspecError as error:
                msg = f"a label line cannot be read: {error}: {line[:200]!r}"
                raise UnreadableInput(msg) from error
            transaction_id = str(label.transaction_id)
            before = self._known.get(transaction_id)
            if before is None or before.known_at <= label.known_at:
                self._known[transaction_id] = label

    def frauds(self, transaction_ids: Iterable[str]) -> NDArray[np.bool_]:
        """Say for each transaction whether it is known as fraud; without a label it is genuine."""
        fraud_ids = {name for name, label in self._known.items() if label.is_fraud}
        return np.array([each in fraud_ids for each in transaction_ids], np.bool_)

    def __len__(self) -> int:
        return len(self._known)
