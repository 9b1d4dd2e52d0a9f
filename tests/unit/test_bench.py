from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.drain import time_drain
from bench.log_source import LogSource
from bench.report import to_markdown
from bench.results import Report, conditions, summarise
from bench.runs import Kind, Run
from flagpost.events import Partition

EVENTS = 1_000


def runs(kind: Kind, seconds: Sequence[float], flagged: int | None = None) -> list[Run]:
    return [
        Run(
            client="confluent",
            kind=kind,
            seconds=each,
            wall_seconds=each + 1,
            cpu_seconds=each,
            peak_memory_bytes=500_000_000,
            flagged=flagged,
        )
        for each in seconds
    ]


def drains(seconds: Sequence[float]) -> list[Run]:
    styles = (Kind.DEFAULT_DRAIN, Kind.RAW_DRAIN, Kind.CALM_DRAIN)
    return [run for kind in styles for run in runs(kind, seconds)]


def test_the_ratio_compares_medians_and_not_the_best_runs() -> None:
    measured = drains([1.0, 2.0, 9.0]) + runs(Kind.END_TO_END, [3.0, 4.0, 5.0], flagged=7)

    result = summarise("confluent", measured, EVENTS)

    assert result.ratio == 0.5
    assert result.reaches_ratio
    assert (result.raw_drain.least, result.raw_drain.most) == (EVENTS / 9, EVENTS)


def test_a_ratio_just_below_its_goal_misses_it() -> None:
    measured = drains([1.0]) + runs(Kind.END_TO_END, [2.01], flagged=7)

    assert not summarise("confluent", measured, EVENTS).reaches_ratio


def test_runs_that_flag_differently_have_no_result() -> None:
    measured = drains([1.0]) + runs(Kind.END_TO_END, [2.0], 7) + runs(Kind.END_TO_END, [2.0], 8)

    with pytest.raises(ValueError, match="too many values"):
        summarise("confluent", measured, EVENTS)


def test_a_drain_ends_when_all_messages_have_come() -> None:
    polls = iter([0, 0, 400, 0, 600, 1])

    assert time_drain(lambda: next(polls), EVENTS) > 0
    assert next(polls) == 1


def test_the_report_names_the_machine_in_general_terms_alone() -> None:
    measured = drains([1.0]) + runs(Kind.END_TO_END, [2.0], 7)
    report = Report(
        conditions=conditions(
            events=EVENTS, labels=9, mean_bytes=214.2, partitions=4, repeats=1, batch_messages=100
        ),
        results=[summarise("confluent", measured, EVENTS)],
        steps_us_per_event={"decode": 0.751},
        runs=measured,
    )

    text = to_markdown(report)

    assert "1,000 transactions and 9 labels of 214 bytes in 4 partitions each" in text
    assert "| decode | 0.75 |" in text
    assert str(Path.cwd()) not in text


def test_a_log_source_gives_every_message_once_and_a_user_to_one_partition(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    lines = [b'{"user_id": "U%d", "n": %d}' % (n % 5, n) for n in range(50)]
    log.write_bytes(b"\n".join(lines))
    source = LogSource(log, "topic", "labels", 3)

    assigned = source.poll(9, 0).assigned
    source.seek(dict.fromkeys(assigned, 0))
    chunks = []
    while polled := source.poll(9, 0).chunks:
        chunks += polled

    assert sorted(v for chunk in chunks for v in chunk.values if v) == sorted(lines)
    homes: dict[bytes, set[Partition]] = {}
    for chunk in chunks:
        for value in chunk.values:
            homes.setdefault((value or b"").split(b",")[0], set()).add(chunk.partition)
    assert all(len(partitions) == 1 for partitions in homes.values())
