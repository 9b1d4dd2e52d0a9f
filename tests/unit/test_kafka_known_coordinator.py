"""kafka-python's coordinator as Flagpost has it: when it looks for the group's coordinator."""

from dataclasses import dataclass, field

import pytest

from flagpost.kafka.known_coordinator import KnownCoordinator

BROKER = 1


@dataclass
class Brokers:
    """The client, as far as it is asked which brokers it has a connection to."""

    connected: set[int] = field(default_factory=set)

    def is_disconnected(self, node_id: int) -> bool:
        return node_id not in self.connected


class CoordinatorAlone(KnownCoordinator):
    """Without a group; it counts how often the client's other thread is asked to look."""

    def __init__(self, coordinator_id: int | None, brokers: Brokers) -> None:
        self.coordinator_id = coordinator_id
        self._client = brokers
        self._net = self
        self.asked: list[float | None] = []

    def run(self, _: object, timeout_ms: float | None) -> bool:
        self.asked.append(timeout_ms)
        return False


def test_one_that_is_known_and_connected_is_ready() -> None:
    coordinator = CoordinatorAlone(BROKER, Brokers({BROKER}))

    assert coordinator.ensure_coordinator_ready(timeout_ms=5)
    assert coordinator.asked == []


@pytest.mark.parametrize("coordinator_id", [None, BROKER], ids=["unknown", "disconnected"])
def test_another_is_looked_for(coordinator_id: int | None) -> None:
    coordinator = CoordinatorAlone(coordinator_id, Brokers())

    assert not coordinator.ensure_coordinator_ready(timeout_ms=5)
    assert coordinator.asked == [5]
