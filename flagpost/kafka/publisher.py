"""Writing messages to topics in order, with an honest count of what arrived."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

MAX_UNACKNOWLEDGED = 100_000
"""How far a publisher runs ahead of the broker: some 30 MB, and at most a second of sending."""

DELIVERY_SECONDS = 30
"""How long the broker may take to acknowledge a message before it counts as failed."""


@dataclass
class Receipt:
    """What became of the messages, by topic.

    A message is acknowledged when all in-sync replicas of its partition have it.
    """

    sent: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    first_failure: str | None = None

    @property
    def failed(self) -> int:
        """How many messages were sent and not acknowledged."""
        return self.sent.total() - self.acknowledged.total()


class Publisher(Protocol):
    """An idempotent producer: in each partition the messages arrive once and in order."""

    def publish(self, topic: str, keys: Sequence[bytes | None], values: Sequence[bytes]) -> None:
        """Queue messages; blocks while the broker is `MAX_UNACKNOWLEDGED` behind.

        Raises:
            Undelivered: the broker failed earlier messages for another reason than their size;
                nothing of this call was queued.
        """

    def settle(self) -> None:
        """Wait until each message so far is acknowledged or failed."""

    def finish(self) -> Receipt:
        """Wait until each message is acknowledged or failed, and close."""
