"""Records of the broker's log of offsets: commits of a group, and what else is there."""

import struct

import pytest

from flagpost.events import Partition
from flagpost.torture.kafka_commits import KafkaCommit, commit_of


def text(value: str) -> bytes:
    return struct.pack(">h", len(value.encode())) + value.encode()


def key(version: int = 1, group: str = "scorers") -> bytes:
    return struct.pack(">h", version) + text(group) + text("zahlung-ü") + struct.pack(">i", 3)


VALUE = struct.pack(">hqi", 3, 70_000_000_000, -1) + text("") + struct.pack(">q", 5)


def test_a_commit_says_the_offset_of_a_partition() -> None:
    commit = commit_of(key(), VALUE, 17, "scorers")

    assert commit == KafkaCommit(Partition("zahlung-ü", 3), 70_000_000_000, 17)


@pytest.mark.parametrize(
    ("of", "value"),
    [
        (key(group="others"), VALUE),
        (key(version=2), VALUE),
        (struct.pack(">h", 2) + text("scorers"), b"\0\3"),
        (key(), None),
        (None, VALUE),
    ],
    ids=["another group", "another key", "a group", "deleted", "no key"],
)
def test_what_is_no_commit_of_the_group_is_passed_over(
    of: bytes | None, value: bytes | None
) -> None:
    assert commit_of(of, value, 17, "scorers") is None
