from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from bench.log_source import LogSource
from bench.page import BEGIN, END, with_report
from bench.parts import in_turns
from bench.peers.comparison import NAME, SPEED
from bench.plot import draw
from bench.programs.drain import time_drain
from bench.report import goal_sheet, to_markdown
from bench.results import Figure, Goal, Report, Row, Section, Table, conditions
from bench.runs import Kind, Run
from bench.throughput import Column, section_of
from flagpost.events import Partition
from flagpost.settings import KafkaClient

EVENTS = 1_000_000
ROOT = Path(__file__).parents[2]
PAGE, PEERS_PAGE = ROOT / "docs" / "performance.md", ROOT / "docs" / "peers.md"
RESULTS = ROOT / "bench" / "results"


def run(kind: Kind, seconds: float, flagged: int = 7, client: KafkaClient = "confluent") -> Run:
    return Run(
        client=client,
        kind=kind,
        seconds=seconds,
        wall_seconds=seconds + 1,
        cpu_seconds=2.0 if kind is Kind.START else seconds,
        peak_memory_bytes=500_000_000,
        flagged=flagged if kind is Kind.END_TO_END else None,
    )


def drains_and_start(seconds: Sequence[float], client: KafkaClient = "confluent") -> list[Run]:
    kinds = (Kind.DEFAULT_DRAIN, Kind.RAW_DRAIN, Kind.CALM_DRAIN, Kind.START)
    return [run(kind, each, client=client) for kind in kinds for each in seconds]


def column(end_to_end: Sequence[float], raw: Sequence[float] = (1.0, 2.0, 9.0)) -> Column:
    runs = drains_and_start(raw) + [run(Kind.END_TO_END, each) for each in end_to_end]
    return Column("confluent", runs, EVENTS)


def test_the_ratio_compares_medians_and_not_the_best_runs() -> None:
    found = column([3.0, 4.0, 5.0])

    assert found.ratio == 0.5
    assert (found.raw_drain.least, found.raw_drain.most) == pytest.approx((1_000 / 9, 1_000))


def test_a_start_costs_nothing_per_event() -> None:
    assert column([6.0]).cpu_seconds_per_million == 4.0


def test_other_clients_runs_do_not_count() -> None:
    runs = [*drains_and_start([1.0]), run(Kind.END_TO_END, 2.0)]
    runs += [*drains_and_start([5.0], "kafka-python"), run(Kind.END_TO_END, 9.0, 7, "kafka-python")]

    assert Column("confluent", runs, EVENTS).ratio == 0.5


def test_runs_that_flag_differently_have_no_result() -> None:
    runs = [*drains_and_start([1.0]), run(Kind.END_TO_END, 2.0, 7), run(Kind.END_TO_END, 2.0, 8)]

    with pytest.raises(ValueError, match="too many values"):
        section_of({"confluent": Column("confluent", runs, EVENTS)}, "how")


@pytest.mark.parametrize(
    ("end_to_end_seconds", "raw_seconds", "is_reached"),
    [(5.0, 4.0, True), (4.0, 1.0, True), (5.0, 1.0, False)],
)
def test_with_librdkafka_the_ratio_or_the_rate_is_enough(
    end_to_end_seconds: float, raw_seconds: float, is_reached: bool
) -> None:
    found = column([end_to_end_seconds], [raw_seconds])

    [goal, *_] = section_of({"confluent": found}, "how").goals

    assert goal.is_reached is is_reached


@pytest.mark.parametrize(("found", "is_reached"), [(0.6, True), (0.599, False)])
def test_a_least_is_reached_or_missed_by_a_hair(found: float, is_reached: bool) -> None:
    assert Goal("ratio", found, least=0.6).is_reached is is_reached


def test_a_most_is_an_upper_bound() -> None:
    assert not Goal("p99", 20.1, most=20).is_reached


def test_goals_say_what_was_asked_and_found() -> None:
    goals = [Goal("ratio", 0.5, least=0.6, digits=2), Goal("p99, ms", 12, most=20)]

    assert goal_sheet(goals).rows == [
        ["ratio", ">= 0.60", "0.50", "missed"],
        ["p99, ms", "<= 20", "12", "reached"],
    ]


def test_a_drain_ends_when_all_messages_have_come() -> None:
    polls = iter([0, 0, 400, 0, 600, 1])

    assert time_drain(lambda: next(polls), 1_000) > 0
    assert next(polls) == 1


def test_turns_are_taken_one_after_the_other_and_counted() -> None:
    heard: list[float] = []

    assert list(in_turns(2, ["a", "b"], heard.append)) == ["a", "b", "a", "b"]
    assert heard == [0.25, 0.5, 0.75, 1.0]


def report() -> Report:
    table = Table("Rates", ["ours"], [Row("end to end", [Figure.of([1.0, 3.0, 2.0])], 1)])
    other = Table("More", ["a", "b", "c"], [Row("x", [None, 1_234.5, Figure.of([7.0])])])
    section = Section("throughput", "Throughput", "How it was done.", [table, other])
    return Report(conditions=conditions(3), sections=[section])


def test_a_report_shows_each_figure_with_its_range() -> None:
    text = to_markdown(report())

    assert "| end to end | 2.0 (1.0 - 3.0) |" in text
    assert "| x | - | 1,234 | 7 |" in text
    assert "## Throughput\n\nHow it was done.\n" in text


def test_the_report_names_the_machine_in_general_terms_alone() -> None:
    text = to_markdown(report())

    assert "cores and" in text
    assert str(Path.cwd()) not in text


def test_the_picture_has_the_rates_and_is_the_same_every_time(tmp_path: Path) -> None:
    draw(report(), tmp_path / "one.svg")
    draw(report(), tmp_path / "two.svg")

    assert "Flagpost, ours" in (tmp_path / "one.svg").read_text()
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_peers_join_the_bars_and_flagpost_is_drawn_once(tmp_path: Path) -> None:
    rows = [Row(name, [Figure.of([1.0])]) for name in ("Flagpost, ours", "Other 1.0.0")]
    peers = Section("peers", "Peers", "", [Table(SPEED, ["thousand events/s"], rows)])
    alone = report()

    draw(msgspec.structs.replace(alone, sections=[*alone.sections, peers]), tmp_path / "one.svg")

    picture = (tmp_path / "one.svg").read_text()
    assert picture.count("Flagpost, ours") == 1
    assert "Other 1.0.0" in picture


def test_a_report_can_be_cut_down_to_a_section() -> None:
    assert report().only("throughput") == report()
    assert report().only("peers").sections == []


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


def test_the_page_takes_a_report_between_its_marks_again_and_again() -> None:
    page = f"# Page\n\n{BEGIN}\n\nold\n\n{END}\n\nthe rest\n"

    once = with_report(page, report())

    assert once.startswith("# Page\n\n")
    assert once.endswith("\n\nthe rest\n")
    assert "### Throughput" in once
    assert "old" not in once
    assert with_report(once, report()) == once


def test_a_page_without_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="marks"):
        with_report("# Page\n", report())


def test_the_page_in_the_docs_shows_the_newest_report() -> None:
    newest = msgspec.json.decode((RESULTS / "latest.json").read_bytes(), type=Report)

    assert with_report(PAGE.read_text(), newest) == PAGE.read_text()
    of_peers = newest.only(NAME)
    assert with_report(PEERS_PAGE.read_text(), of_peers) == PEERS_PAGE.read_text()
    assert to_markdown(newest) == (RESULTS / "latest.md").read_text()
