from collections import defaultdict
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagpost.core.features import FEATURE_NAMES
from flagpost.core.history import new_arena
from flagpost.core.state import State
from flagpost.events import UNKNOWN_BALANCE
from tests.unit.observing import MEAN_CENTS, Row, observe
from tests.unit.slow_features import DAY, HOUR, SlowCustomer, slow_features

START = 20_000 * DAY


def feature(state: State, row: Row, name: str, balance: int) -> float:
    observed = observe(state, [row], balance)
    return float(observed.features[0, FEATURE_NAMES.index(name)])


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


steps = st.one_of(
    st.integers(0, 3 * HOUR), st.sampled_from([0, HOUR, DAY, 7 * DAY, 30 * DAY, 45 * DAY]),
    st.integers(-45 * DAY, 45 * DAY),
)  # fmt: skip
rows = st.lists(
    st.tuples(st.integers(1, 3), steps, st.integers(0, 40_000), st.integers(1, 6)),
    min_size=1, max_size=60,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(rows, st.integers(1, 20))
def test_windows_equal_a_plain_reference_for_late_and_duplicate_events_in_any_batches(
    drawn: list[Row], batch_rows: int
) -> None:
    time_us, events = START, []
    for user, step, cents, key in drawn:
        time_us = max(time_us + step, START)
        events.append((user, time_us, cents, key))
    reached = list(accumulate((at for _, at, _, _ in events), max))
    state = State()
    observed = [
        observe(state, events[first : first + batch_rows], reached_us=reached[first])
        for first in range(0, len(events), batch_rows)
    ]
    matrix = np.concatenate([part.features for part in observed])
    duplicate = np.concatenate([part.is_duplicate for part in observed])
    customers: dict[int, SlowCustomer] = defaultdict(SlowCustomer)
    for row, (user, at, cents, key) in enumerate(events):
        customer = customers[user]
        if customer.touched <= reached[row] - 45 * DAY:
            customer.past.clear()
        horizon = max([at, *(p[0] for p in customer.past)]) - 45 * DAY
        known = at > horizon and (at, key) in {(p[0], p[3]) for p in customer.past}
        assert duplicate[row] == known
        if known:
            continue
        expected, high = slow_features(customer.past, at, cents, MEAN_CENTS)
        for name, value in expected.items():
            assert matrix[row, FEATURE_NAMES.index(name)] == value, name
        customer.past.append((at, cents, high, key))
        customer.touched = reached[row]


def test_a_customer_with_many_transactions_and_many_customers_outgrow_the_first_arena(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flagpost.core.state.new_arena", partial(new_arena, slots=16, rows=256))
    rng = np.random.default_rng(1)
    n = 60_000
    users = np.where(rng.random(n) < 0.5, 7, rng.integers(100, 9_000, n))
    times = START + np.arange(n) * 1_000_000
    state = State()
    rows = list(zip(users.tolist(), times.tolist(), [100] * n, range(n), strict=True))
    matrix = observe(state, rows).features
    counts = matrix[:, FEATURE_NAMES.index("customer_tx_count_24h")]
    mine = users == 7
    assert np.array_equal(counts[mine], np.arange(1, mine.sum() + 1))
    for user in (101, 555, 8_999):
        assert np.array_equal(counts[users == user], np.arange(1, (users == user).sum() + 1))


def test_memory_is_bounded_when_time_goes_on() -> None:
    state = State()
    n, sizes = 20_000, []
    for year in range(6):
        times = START + (np.arange(n) + year * n) * (365 * DAY // n)
        rows = [(i % 50, int(time_us), 100, i) for i, time_us in enumerate(times)]
        observe(state, rows)
        sizes.append(state.n_bytes)
    assert sizes[-1] == sizes[1]


@pytest.mark.parametrize(
    ("when", "weekend", "night"),
    [
        ("2025-01-03T23:59:59", 0, 0),  # a Friday
        ("2025-01-04T00:00:00", 1, 1),
        ("2025-01-05T06:59:59", 1, 1),
        ("2025-01-05T07:00:00", 1, 0),
        ("2025-01-06T00:00:00", 0, 1),
    ],
)
def test_weekend_and_night_follow_the_calendar_in_utc(when: str, weekend: int, night: int) -> None:
    row = (1, us(when), 100, 1)
    assert feature(State(), row, "is_weekend", int(UNKNOWN_BALANCE)) == weekend
    assert feature(State(), row, "is_night", int(UNKNOWN_BALANCE)) == night


@pytest.mark.parametrize(
    ("cents", "balance", "share"),
    [(5_000, 10_000, 0.5), (5_000, int(UNKNOWN_BALANCE), 0), (5_000, 0, 10), (5_000, -1, 10),
     (0, 0, 0), (9_999_999, 1, 10)],
)  # fmt: skip
def test_the_share_of_the_balance_is_bounded(cents: int, balance: int, share: float) -> None:
    assert feature(State(), (1, START, cents, 1), "amount_to_balance", balance) == share
