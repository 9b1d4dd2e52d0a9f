"""Which of the messages that are held may go, so that partitions stay near in event time."""

from dataclasses import dataclass

import numpy as np

from flagpost.core.alignment import ALIGNED_WITHIN_US, Alignment
from flagpost.core.calendar import DAY_US
from flagpost.core.piece import Piece
from flagpost.events import Partition, TransactionDecoder

NO_TIMES = np.zeros(0, np.int64)
A, B = Partition("transactions", 0), Partition("transactions", 1)


@dataclass(frozen=True)
class Chunk:
    partition: Partition
    values: list[bytes | None]

    @property
    def next_offset(self) -> int:
        return len(self.values)

    def offset(self, index: int) -> int:
        return index


def piece(partition: Partition, *days: int) -> Piece[Chunk]:
    """A transaction on each of the days; what they say plays no part."""
    value = b'{"transaction_id":"t","timestamp":0,"user_id":"u","amount":1}'
    chunk = Chunk(partition, [value] * len(days))
    rows, bad = TransactionDecoder().decode(chunk.values, DAY_US)
    return Piece((chunk,), 0, len(days), rows, bad, np.array(days, np.int64) * DAY_US)


def released(
    alignment: Alignment[Chunk], until_us: int | None, at_once: int = 1
) -> dict[Partition, list[int]]:
    return {
        each.partition: (each.stream_time_us // DAY_US).tolist()
        for each in alignment.release(until_us, at_once)
    }


def held(*pieces: Piece[Chunk]) -> Alignment[Chunk]:
    alignment: Alignment[Chunk] = Alignment()
    for each in pieces:
        alignment.hold(each)
    return alignment


def test_what_is_held_goes_up_to_a_time_and_the_rest_later() -> None:
    alignment = held(piece(A, 1, 2, 9), piece(B, 2, 3))

    assert released(alignment, 2 * DAY_US) == {A: [1, 2], B: [2]}
    assert released(alignment, None) == {A: [9], B: [3]}
    assert alignment.is_empty


def test_nobody_goes_far_beyond_what_stays_behind_a_piece() -> None:
    alignment = held(piece(A, 1), piece(A, 3, 4), piece(B, 1, 3, 5, 9))

    assert released(alignment, None) == {A: [1], B: [1, 3]}
    assert released(alignment, None) == {A: [3, 4], B: [5, 9]}


def test_small_pieces_of_a_partition_go_together() -> None:
    alignment = held(piece(A, 1), piece(A, 2, 3), piece(A, 4), piece(B, 1), piece(B, 3, 5))

    assert released(alignment, 3 * DAY_US, at_once=6) == {A: [1, 2, 3], B: [1, 3]}
    assert released(alignment, None, at_once=6) == {A: [4], B: [5]}
    assert alignment.is_empty


def test_a_partition_that_holds_little_leaves_its_share_to_the_others() -> None:
    alignment = held(*(piece(A, 1) for _ in range(9)), *(piece(B, 1) for _ in range(2)))

    assert released(alignment, None, at_once=8) == {A: [1] * 8, B: [1, 1]}
    assert released(alignment, None, at_once=8) == {A: [1]}


def test_partitions_that_hold_much_give_the_same() -> None:
    alignment = held(*(piece(p, 1) for p in (A, B) for _ in range(9)))

    assert released(alignment, None, at_once=8) == {A: [1] * 4, B: [1] * 4}


def test_many_partitions_give_a_quarter_of_a_batch_each() -> None:
    five = [Partition("transactions", number) for number in range(5)]
    alignment = held(*(piece(p, 1) for p in five for _ in range(9)))

    assert released(alignment, None, at_once=8) == {p: [1, 1] for p in five}


def test_united_pieces_know_their_messages() -> None:
    tombstone = Piece((Chunk(A, [None]),), 0, 1, *TransactionDecoder().decode([None], 0), NO_TIMES)
    alignment = held(piece(A, 1, 2, 3), tombstone, piece(A, 3, 4), tombstone)
    alignment.release(DAY_US, at_once=9)

    [united] = alignment.release(3 * DAY_US, at_once=9)

    assert (united.first, united.end, united.n_messages) == (1, 5, 4)
    assert united.rows.message_index.tolist() == [1, 2, 4]
    assert [bad.message_index for bad in united.bad] == [3]
    assert [united.locate(index) for index in (2, 3, 4)] == [
        (united.chunks[0], 2),
        (united.chunks[1], 0),
        (united.chunks[2], 0),
    ]
    assert united.next_offset == united.chunks[2].offset(1)


def test_a_piece_without_a_good_message_holds_nobody_back() -> None:
    alignment = held(piece(A, 1), piece(A), piece(B, 1, 9))

    assert released(alignment, None) == {A: [1], B: [1, 9]}


def test_others_wait_for_a_partition_that_is_more_than_some_hours_behind() -> None:
    alignment = held(piece(A, 9))
    near_us = 9 * DAY_US - ALIGNED_WITHIN_US

    assert alignment.laggards([(A, 0), (B, near_us)]) == set()
    assert alignment.laggards([(A, 0), (B, near_us - 1)]) == {B}
    assert alignment.laggards([(A, 0), (B, None)]) == {B}
