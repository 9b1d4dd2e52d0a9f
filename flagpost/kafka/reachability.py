"""Says once that the brokers are away, and once that they are back."""

import time

import structlog

AWAY_AFTER_SECONDS = 2.0
"""A broker that restarts or hands over drops connections for a moment; that is no news."""


class Reachability:
    """Turns many sightings into two log lines."""

    def __init__(self, bootstrap: str) -> None:
        self._log = structlog.get_logger().bind(bootstrap=bootstrap)
        self._last_seen = time.monotonic()
        self._away = False

    @property
    def in_doubt(self) -> bool:
        """Whether the brokers have not been seen for a while."""
        return time.monotonic() - self._last_seen > AWAY_AFTER_SECONDS

    def seen(self) -> None:
        """A broker answered."""
        self._last_seen = time.monotonic()
        if self._away:
            self._away = False
            self._log.warning("kafka back")

    def unseen(self) -> None:
        """No broker answers at the moment."""
        if self.in_doubt and not self._away:
            self._away = True
            self._log.warning("kafka away")
