"""What each part of the benchmark makes of its runs, without running anything."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.growth import CHANGES
from bench.growth import section_of as growth_of
from bench.journal import Written
from bench.journal import section_of as journal_of
from bench.latency import FLAT_OUT, UNLIMITED, Stream
from bench.memory import section_of as memory_of
from bench.merging import JournalSize, Merged
from bench.messages import LABEL, moment_of, write_crowded_log
from bench.results import Figure, Report, Table, conditions
from bench.runs import Kind, Run
from bench.segments import make_segments, partitions_of
from bench.sizing import Costs, costs_of, sizing, with_sizing
from bench.state import Loaded, Weight
from bench.state import section_of as state_of
from bench.training import Times
from bench.training import section_of as training_of
from flagpost.core.segment import Entries, unpack

EVENTS = 1_000_000


def run(seconds: float, cpu_seconds: float) -> Run:
    return Run(
        client="confluent",
        kind=Kind.END_TO_END,
        seconds=seconds,
        wall_seconds=seconds,
        cpu_seconds=cpu_seconds,
        peak_memory_bytes=1,
    )


def cells(table: Table, name: str) -> list[object]:
    [found] = [row.cells for row in table.rows if row.name == name]
    return list(found)


def test_growth_is_compared_with_the_first_and_without_starts() -> None:
    base, crowd, *_, members = CHANGES
    runs = {base: [run(4.0, 6.0)], crowd: [run(6.0, 7.0)], members: [run(2.0, 8.0)]}

    section = growth_of(runs, 2.0, EVENTS)

    [table] = section.tables
    assert cells(table, crowd.name)[1::2] == [1.5, 1.25]
    assert cells(table, members.name)[1::2] == [0.5, 1.0]
    assert [goal.is_reached for goal in section.goals] == [False, True]


def test_memory_that_grows_misses_its_goal() -> None:
    flat = memory_of({1: Figure.of([500.0]), 5: Figure.of([540.0])})
    growing = memory_of({1: Figure.of([500.0]), 5: Figure.of([560.0])})

    assert [section.goals[0].is_reached for section in (flat, growing)] == [True, False]


def test_bytes_of_a_terminal_are_what_terminals_add() -> None:
    weight = Weight(
        events=1_000,
        customers=10,
        terminals=20,
        empty_bytes=1_000,
        customers_bytes=21_000,
        all_bytes=41_000,
    )

    assert (weight.of_a_customer, weight.of_a_terminal) == (2_000, 1_000)


def test_the_goal_of_loading_is_that_of_the_shorter_journal() -> None:
    weight = Weight(10, 1, 1, 0, 1, 2)
    loads = {EVENTS: [Loaded(0.9, 1)], 10 * EVENTS: [Loaded(9.0, 1)]}
    peaks = dict.fromkeys(loads, Figure.of([1.0]))

    [goal] = state_of(weight, loads, peaks).goals

    assert goal.is_reached


def test_a_steady_rate_has_a_day_and_what_is_flat_out_has_none() -> None:
    merged = Merged(JournalSize(2, 40, 1), seconds=1.0, fold_seconds=1.0, fold_merged_seconds=0.5)
    written = Written(1_000, JournalSize(rows=500, packed_bytes=1, disk_bytes=1), merged)
    streams = [Stream("50/s", 1_000, 50, 0), Stream(FLAT_OUT, 1_000, UNLIMITED, 0)]

    [table] = journal_of({stream: [written] for stream in streams}).tables

    assert cells(table, "million rows a day") == [pytest.approx(50 * 0.0864 / 2), None]
    assert cells(table, "million rows a day, merged") == [pytest.approx(0.1 * 0.0864), None]


def test_training_tells_the_time_of_each_step() -> None:
    times = [Times(2_000_000, 1.0, 2.0, 3.0, fit) for fit in (4.0, 8.0, 5.0)]

    steps, memory = training_of(times, [1.0, 2.0, 3.0], 183).tables

    assert cells(steps, "fit") == [Figure(5.0, 4.0, 8.0, [4.0, 8.0, 5.0]), 2.5]
    assert cells(memory, "peak") == [Figure.of([1.0, 2.0, 3.0])]


def test_made_up_segments_are_in_order_of_time_and_a_customer_stays_in_a_partition() -> None:
    segments = list(make_segments(40_000))

    homes: dict[int, set[int]] = {}
    for partition in partitions_of(40_000):
        of_it = [each for each in segments if each.partition == partition]
        assert len(of_it) == 2
        assert of_it[0].max_event_time_us <= of_it[1].min_event_time_us
        for segment in of_it:
            entries = unpack(segment.columns)
            assert isinstance(entries, Entries)
            for user in np.unique(entries.user_key).tolist():
                homes.setdefault(user, set()).add(partition.number)
    assert all(len(home) == 1 for home in homes.values())


def test_sizes_are_what_45_days_and_400_days_of_a_population_take() -> None:
    costs = Costs(customer_bytes=100, terminal_bytes=50, journal_bytes=40, loading_us=0.5)

    [table] = sizing(costs).tables

    assert cells(table, "1,000,000 customers") == pytest.approx(
        [21.99, 8.55, 4.275, 42.75, 30.4], rel=1e-3
    )


def test_a_report_without_the_costs_has_no_sizes() -> None:
    report = Report(conditions=conditions(1), sections=[])

    assert with_sizing(report) is report


def test_a_report_with_the_costs_gets_sizes() -> None:
    state = state_of(
        Weight(10, 1, 1, 0, 1, 2),
        {10_000_000: [Loaded(5.0, 1)]},
        {10_000_000: Figure.of([1.0])},
    )
    merged = Merged(JournalSize(2, 40, 60_000), 1.0, 1.0, 0.5)
    written = Written(1_000, JournalSize(500, 1, 500_000), merged)
    journal = journal_of({Stream("50/s", 1_000, 50, 0): [written]})

    found = costs_of(Report(conditions=conditions(1), sections=[state, journal]))

    assert found == Costs(0.1, 0.1, 60, 0.5)


def test_a_crowd_is_ten_populations_in_order_of_time(tmp_path: Path) -> None:
    write_crowded_log(tmp_path / "crowd.jsonl", 2_000)

    lines = (tmp_path / "crowd.jsonl").read_bytes().splitlines()
    transactions = [json.loads(line) for line in lines if LABEL not in line]
    assert len({each["transaction_id"] for each in transactions}) == len(transactions) == 2_000
    assert {each["user_id"][1] for each in transactions} == set("0123456789")
    assert sorted(lines, key=moment_of) == lines
