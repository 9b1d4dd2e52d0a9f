from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagpost.core.effects import Segment
from flagpost.core.features import AMOUNT_RATIO, HIGH_COUNT_14D
from flagpost.core.observe import Batch
from flagpost.core.observed import Observed
from flagpost.core.segment import Entries, LabelEntries, merge, pack, pack_each, unpack
from flagpost.core.state import State
from flagpost.core.stream_time import running_maximum
from flagpost.events import UNKNOWN_BALANCE, Partition

DAY = 86_400_000_000
int64 = st.integers(-(2**63), 2**63 - 1)


transactions = st.lists(st.tuples(*[int64] * 5, st.floats(), *[int64] * 2), min_size=1, max_size=20)
labels = st.lists(st.tuples(*[int64 | st.integers(0, 300)] * 5), min_size=1, max_size=20)


def as_columns(kind: Any, rows: list[tuple[float, ...]]) -> Any:  # noqa: ANN401  (either kind)
    columns = zip(kind._fields, zip(*rows, strict=True), strict=True)
    return kind(
        *(
            np.array(column, np.float64 if name == "amount_ratio" else np.int64)
            for name, column in columns
        )
    )


@settings(deadline=None)
@given(transactions)
def test_every_number_comes_back_with_its_bits(rows: list[tuple[float, ...]]) -> None:
    entries = as_columns(Entries, rows)
    again = unpack(pack(entries))
    for name, before, after in zip(Entries._fields, entries, again, strict=True):
        assert before.tobytes() == after.tobytes(), name


def test_times_in_whole_seconds_take_four_bytes() -> None:
    n = 1_000
    zeros = np.zeros(n, np.int64)
    times = 1_700_000_000_000_000 + np.arange(n) * 97_000_000
    entries = Entries(zeros, zeros, times, zeros, zeros, zeros.astype(np.float64), zeros, zeros)
    spread = pack(entries._replace(event_time_us=times + np.arange(n) % 2))
    assert len(spread) - len(pack(entries)) == n * (8 - 2)


@pytest.mark.parametrize("broken", [b"FPJ9\x01\0\0\0", b"FPJ1\xff\0\0\0abc"])
def test_bytes_of_another_kind_are_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"segment|buffer"):
        unpack(broken)


@settings(deadline=None)
@given(
    st.lists(transactions, min_size=1, max_size=6).map(lambda parts: (Entries, parts))
    | st.lists(labels, min_size=1, max_size=6).map(lambda parts: (LabelEntries, parts))
)
def test_merged_segments_are_what_would_have_been_packed_at_once(
    drawn: tuple[Any, list[list[tuple[float, ...]]]],
) -> None:
    kind, parts = drawn
    whole = as_columns(kind, [row for part in parts for row in part])

    assert merge(b"".join(pack(as_columns(kind, part)) for part in parts)) == pack(whole)


@settings(deadline=None)
@given(st.lists(labels | st.just([]), min_size=1, max_size=5))
def test_each_part_is_packed_by_itself(parts: list[list[tuple[float, ...]]]) -> None:
    whole = as_columns(LabelEntries, [row for part in parts for row in part] or [(0,) * 5])
    ends = np.cumsum([len(part) for part in parts])

    assert pack_each(whole.where(slice(0, ends[-1])), ends) == [
        pack(as_columns(LabelEntries, part)) if part else b"" for part in parts
    ]


ONE, LABEL = (
    pack(as_columns(kind, [(1,) * len(kind._fields)])) for kind in (Entries, LabelEntries)
)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"FPJ9" + ONE[4:],
        ONE[:-1],
        ONE + ONE[:7],
        ONE + ONE[:30],
        ONE + b"\0",
        ONE + LABEL,
        LABEL + ONE,
        ONE[:8] + b"\3" + ONE[9:],
        ONE[:4] + b"\xff\xff\xff\xff" + ONE[8:],
    ],
)
def test_what_is_broken_or_of_two_kinds_is_not_merged(broken: bytes) -> None:
    with pytest.raises(ValueError, match="segment"):
        merge(broken)


def live_batch(rng: np.random.Generator, n: int, start: int) -> Batch:
    times = start + np.sort(rng.integers(0, 5 * DAY, n)) - (rng.random(n) < 0.1) * 2 * DAY
    return Batch(
        rng.integers(1, 30, n), rng.integers(1, 9, n), np.zeros(n, np.int64),
        times.astype(np.int64),
        rng.integers(0, 30_000, n), np.full(n, UNKNOWN_BALANCE), rng.integers(0, 50, n),
        running_maximum(times.astype(np.int64), start),
    )  # fmt: skip


def without_terminals(batch: Batch) -> Batch:
    return batch._replace(terminal_key=np.zeros_like(batch.terminal_key))


def observe(state: State, batch: Batch, mean_cents: float = 1.0) -> Observed:
    return state.observe(batch, mean_cents, np.zeros(batch.user_key.size, np.bool_))


def test_a_state_folded_from_its_segments_goes_on_as_the_state_that_wrote_them() -> None:
    rng, lived, partition = np.random.default_rng(5), State(), Partition("t", 0)
    folded, mean = State(), 5_000.0
    for step in range(14):
        batch = live_batch(rng, 200, (20_000 + 5 * step) * DAY)
        observed = observe(lived, batch, mean)
        kept = ~observed.is_duplicate
        entries = Entries(
            batch.user_key, batch.terminal_key, batch.event_time_us, batch.amount_cents,
            batch.transaction_key, observed.features[:, AMOUNT_RATIO],
            observed.features[:, HIGH_COUNT_14D].astype(np.int64),
            observed.is_high.astype(np.int64),
        ).where(kept)  # fmt: skip
        if step >= 4:  # 50 days are enough
            folded.fold(Segment(partition, step, step + 1, 0, 0, pack(entries)))
    last = live_batch(rng, 500, 20_070 * DAY)
    expected, got = observe(lived, last, mean), observe(folded, last, mean)
    for before, after in zip(expected, got, strict=True):
        assert np.array_equal(before, after)


def test_forgetting_a_partition_leaves_the_others() -> None:
    rng = np.random.default_rng(6)
    both, alone = State(), State()
    mine, yours = Partition("t", 0), Partition("t", 1)
    assert (both.owner_of(mine), both.owner_of(yours)) == (0, 1)
    first, second = live_batch(rng, 300, 20_000 * DAY), live_batch(rng, 300, 20_000 * DAY)
    first, second = without_terminals(first), without_terminals(second)
    second = second._replace(user_key=second.user_key + 1_000, owner=second.owner + 1)
    observe(both, first)
    observe(both, second)
    observe(alone, second)
    both.forget(mine)
    assert not observe(both, first).is_duplicate.all()
    again = live_batch(rng, 100, 20_003 * DAY)
    again = without_terminals(again)
    again = again._replace(user_key=again.user_key + 1_000, owner=again.owner + 1)
    assert np.array_equal(observe(both, again).features, observe(alone, again).features)
