"""How kafka-python finds the group's coordinator: it looks only when it does not know it."""

from kafka.coordinator.consumer import ConsumerCoordinator


class KnownCoordinator(ConsumerCoordinator):
    """Takes the place of the client's coordinator.

    By itself the client has its other thread look at every poll, which costs a small one some
    tenths of a millisecond, and waits for the answer that there is nothing to do.
    """

    def ensure_coordinator_ready(self, timeout_ms: float | None = None) -> bool:
        """Return whether the coordinator is known, or comes to be within the time. Blocks then."""
        is_known = self.coordinator_id is not None
        if is_known and not self._client.is_disconnected(self.coordinator_id):
            return True
        return bool(super().ensure_coordinator_ready(timeout_ms))
