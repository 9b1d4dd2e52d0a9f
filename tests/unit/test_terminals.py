from functools import partial
from itertools import accumulate
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagpost.core.features import AMOUNT_RATIO, FEATURE_NAMES, HIGH_COUNT_14D
from flagpost.core.history import new_arena
from flagpost.core.state import State
from tests.unit.observing import label, observe
from tests.unit.slow_terminals import DAY, At, Said, slow_terminal_features

START = 20_000 * DAY
HOUR = DAY // 24

moments = st.integers(0, 60 * 24).map(lambda hour: START + hour * HOUR)
visits = st.lists(
    st.tuples(st.integers(1, 4), moments, st.sampled_from([500, 5_000, 90_000]), st.integers(1, 9)),
    min_size=1, max_size=50, unique_by=lambda visit: (visit[1], visit[3]),
)  # fmt: skip
delays = st.sampled_from([0, DAY, 6 * DAY, 7 * DAY, 12 * DAY])
verdicts = st.lists(st.tuples(st.integers(0, 49), delays, st.booleans()), max_size=40)


@settings(max_examples=300, deadline=None)
@given(visits, verdicts)
def test_windows_and_runs_equal_a_plain_reference(
    drawn: list[tuple[int, int, int, int]], verdicts: list[tuple[int, int, bool]]
) -> None:
    rows = sorted(drawn, key=lambda visit: visit[1])
    said = [
        Said(time_us, key, time_us + delay, fraud)
        for place, delay, fraud in verdicts
        for _, time_us, _, key in [rows[place % len(rows)]]
    ]
    state, past = State(), list[At]()
    for row in rows:
        _, time_us, _, key = row
        for s in said:
            if s.known_at_us <= time_us:  # again and again: a label is learned once
                label(state, (7, s.time_us, s.key, s.known_at_us, int(s.is_fraud)))
        features = observe(state, [row], terminals=[7]).features[0]
        for name, value in slow_terminal_features(past, said, time_us).items():
            assert features[FEATURE_NAMES.index(name)] == value, name
        past.append(At(time_us, key, float(features[AMOUNT_RATIO]), int(features[HIGH_COUNT_14D])))


@settings(max_examples=100, deadline=None)
@given(visits, verdicts, st.randoms(use_true_random=False))
def test_the_order_in_which_members_hear_of_a_terminal_changes_nothing(
    drawn: list[tuple[int, int, int, int]],
    verdicts: list[tuple[int, int, bool]],
    random: Random,
) -> None:
    """Customers of two partitions; one member sees them interleaved, the other in two pieces."""
    rows = sorted(((key, t, c, key) for _, t, c, key in drawn), key=lambda visit: visit[1])
    labels = [
        (7, time_us, key, time_us + delay, int(fraud))
        for place, delay, fraud in verdicts
        for _, time_us, _, key in [rows[place % len(rows)]]
    ]
    last = [(99, START + 61 * DAY, 100, 1)]
    in_order, shuffled = State(), State()
    observe(in_order, rows, terminals=[7] * len(rows))
    if labels:
        label(in_order, *labels)
        random.shuffle(labels)
        label(shuffled, *labels, *labels)
    reached = list(accumulate((t for _, t, _, _ in rows), max))
    for parity in (1, 0):
        mine = [row for row in rows if row[0] % 2 == parity]
        if mine:
            observe(shuffled, mine, terminals=[7] * len(mine), reached_us=reached[0])
    expected = observe(in_order, last, terminals=[7]).features
    assert np.array_equal(observe(shuffled, last, terminals=[7]).features, expected)


def terminal_run(state: State, now_us: int) -> float:
    row = observe(state, [(99, now_us, 100, now_us)], terminals=[7]).features[0]
    return float(row[FEATURE_NAMES.index("terminal_run")])


def test_a_label_counts_from_seven_days_on_and_a_late_one_a_day_after_it_is_known() -> None:
    state = State()
    observe(state, [(1, START, 100, 5)], terminals=[7])
    label(state, (7, START, 5, START + 9 * DAY, 1))
    assert terminal_run(state, START + 10 * DAY - 1) == 0
    assert terminal_run(state, START + 10 * DAY) == 1
    on_time = State()
    observe(on_time, [(1, START, 100, 5)], terminals=[7])
    label(on_time, (7, START, 5, START + DAY, 1))
    assert terminal_run(on_time, START + 7 * DAY - 1) == 0
    assert terminal_run(on_time, START + 7 * DAY) == 1


def test_a_correction_counts_from_its_own_time() -> None:
    state = State()
    observe(state, [(1, START, 100, 5)], terminals=[7])
    label(state, (7, START, 5, START + 8 * DAY, 0), (7, START, 5, START + DAY, 1))
    assert terminal_run(state, START + 9 * DAY - 1) == 1
    assert terminal_run(state, START + 9 * DAY) == 0


def test_a_label_of_an_unknown_transaction_says_nothing() -> None:
    state = State()
    observe(state, [(1, START, 100, 5)], terminals=[7])
    label(state, (7, START, 6, START, 1), (7, START + 1, 5, START, 1))
    row = observe(state, [(99, START + 8 * DAY, 100, 1)], terminals=[7]).features[0]
    assert row[FEATURE_NAMES.index("terminal_risk_30d")] == 0
    assert row[FEATURE_NAMES.index("terminal_run")] == 0


def test_terminals_and_labels_outgrow_the_first_arena(monkeypatch: pytest.MonkeyPatch) -> None:
    roomy = runs_of_300_terminals()
    monkeypatch.setattr("flagpost.core.state.new_arena", partial(new_arena, slots=16, rows=256))
    narrow = runs_of_300_terminals()

    assert narrow == roomy == [10] * 300


def runs_of_300_terminals() -> list[float]:
    """Let each terminal have ten frauds in ten days, and look 18 days after the first."""
    state, names = State(), [i % 300 + 1 for i in range(3_000)]
    rows = [(i, START + i * DAY // 300, 100, i) for i in range(len(names))]
    observe(state, rows, terminals=names)
    label(
        state,
        *[(name, at, key, at, 1) for name, (_, at, _, key) in zip(names, rows, strict=True)],
    )
    later = [(9_999, START + 18 * DAY, 100, len(rows) + name) for name in names[:300]]
    features = observe(state, later, terminals=names[:300]).features
    return list(features[:, FEATURE_NAMES.index("terminal_run")].tolist())


def test_memory_of_terminals_is_bounded_when_time_goes_on() -> None:
    state, sizes = State(), []
    for year in range(4):
        times = START + (np.arange(20_000) + year * 20_000) * (365 * DAY // 20_000)
        rows = [(i % 50, int(t), 100, i) for i, t in enumerate(times)]
        observe(state, rows, terminals=[i % 30 + 1 for i in range(len(rows))])
        label(state, *[(i % 30 + 1, int(t), i, int(t), 1) for i, t in enumerate(times[::50])])
        sizes.append(state.n_bytes)
    assert sizes[-1] < 1.1 * sizes[1]
