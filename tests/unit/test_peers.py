"""What a member hears of the others through the journal."""

import numpy as np
import pytest
from structlog.testing import capture_logs

from flagpost.core.calendar import DAY_US
from flagpost.core.effects import Advance, Counts, Effects, Segment
from flagpost.core.segment import LabelEntries, pack
from flagpost.core.state import State
from flagpost.events import Partition
from flagpost.kafka.source import Record
from flagpost.peers import Peers
from tests.contract.memory_source import Log, MemorySource
from tests.contract.memory_store import Database, MemoryStore

OURS, THEIRS = Partition("transactions", 0), Partition("labels", 0)
KNOWN_US, NOW_US = 100 * DAY_US, 130 * DAY_US


def label_segment() -> Segment:
    columns = (np.array([number], np.int64) for number in (1, 99 * DAY_US, 2, KNOWN_US, 1))
    return Segment(THEIRS, 0, 1, KNOWN_US, KNOWN_US, pack(LabelEntries(*columns)))


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore(Database(), "scorers")
    store.acquire({THEIRS: 0})
    advance = Advance(THEIRS, 1, 0, 1, KNOWN_US, Counts(1, 1, 0, 0, 0))
    store.commit(Effects([advance], [label_segment()]))
    return store


def test_a_newcomer_hears_what_counts_now_of_a_partition_that_waits_far_ahead(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Segment] = []
    monkeypatch.setattr(State, "overhear", lambda _, segment: heard.append(segment))
    store.announce({THEIRS: 300 * DAY_US}, {THEIRS: 1})
    log: Log = {OURS: [], THEIRS: [Record(None, b"", [], None)] * 2}
    peers = Peers(MemorySource(log), store, State())
    peers.meet([OURS])

    assert peers.limit_us(NOW_US, NOW_US + DAY_US) == 300 * DAY_US + DAY_US // 2
    assert heard == [label_segment()]


def test_what_is_added_to_a_partition_that_is_new_is_heard_too(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Segment] = []
    monkeypatch.setattr(State, "overhear", lambda _, segment: heard.append(segment))
    source = MemorySource({OURS: [], Partition("transactions", 1): []})
    peers = Peers(source, store, State())
    peers.meet([OURS])
    source.log[THEIRS] = [Record(None, b"", [], None)]

    with capture_logs() as logs:
        for days in (1, 2):
            peers.limit_us(NOW_US, NOW_US + days * DAY_US)

    assert heard == [label_segment()]
    [warning] = [entry for entry in logs if entry["log_level"] == "warning"]
    assert warning["added"] == ["labels[0]"]
