"""The daily and hourly tables equal a pandas computation from the log, whatever happened meanwhile.

One group is disturbed in every way that could count something twice or not at all; the tests run in
their order.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from flagpost.cli import app
from tests.end_to_end.daily_risk import (
    DAILY,
    HOURLY,
    Days,
    daily_risk,
    hourly_volume,
    query,
    read_log,
)
from tests.end_to_end.pipeline import LOG, ROOT, Pipeline, transactions_of

MARKETING = ROOT / "examples" / "marketing.csv"
N_TRANSACTIONS = len(transactions_of(LOG))
N_LINES = len(LOG.read_bytes().splitlines())


@pytest.fixture(scope="module")
def pipeline(new_pipeline: Callable[..., Pipeline]) -> Pipeline:
    return new_pipeline(batch_messages=400)


@pytest.fixture(scope="module")
def rows_and_labels(offline_rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return read_log(LOG, offline_rows)


@pytest.fixture(scope="module")
def days(rows_and_labels: tuple[pd.DataFrame, pd.DataFrame]) -> Days:
    clicked = pd.read_csv(MARKETING, index_col="event_day")
    ctr = {str(day): share for day, share in (clicked["clicks"] / clicked["impressions"]).items()}
    return daily_risk(*rows_and_labels, ctr)


@pytest.fixture(scope="module")
def hours(rows_and_labels: tuple[pd.DataFrame, pd.DataFrame]) -> Days:
    return hourly_volume(rows_and_labels[0])


def run(pipeline: Pipeline, *arguments: object) -> None:
    settings = {f"FLAGPOST_{k.upper()}": str(v) for k, v in pipeline.settings.items()}
    result = CliRunner(env=settings).invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output


def found_days(pipeline: Pipeline) -> Days:
    return query(pipeline.settings["database_url"], DAILY)


def found_hours(pipeline: Pipeline) -> Days:
    rows = query(pipeline.settings["database_url"], HOURLY)
    return [
        (hour, count, int(amount * 100), flagged, int(at_risk * 100))
        for hour, count, amount, flagged, at_risk in rows
    ]


def test_two_members_of_which_one_is_killed_count_each_transaction_once(
    pipeline: Pipeline, days: Days, hours: Days
) -> None:
    run(pipeline, "load-marketing", MARKETING)
    pipeline.produce(LOG, "--limit", 1)
    victim, other = pipeline.start_member(), pipeline.start_member()
    for member in (victim, other):
        pipeline.wait_until(lambda member=member: member.says("taken over"))  # type: ignore[misc]
    replay = pipeline.start("producer.py", LOG, "--from-line", 2, "--rate", 3_000)
    pipeline.wait_until_read(N_TRANSACTIONS // 4)
    victim.kill()
    assert victim.says("n_clean")
    assert pipeline.counts().n_in < N_TRANSACTIONS
    assert replay.wait() == 0
    pipeline.wait_until(lambda: pipeline.n_done() == N_LINES)
    assert other.terminate() == 0

    assert found_days(pipeline) == days
    assert found_hours(pipeline) == hours


def test_what_is_delivered_again_is_not_counted_again(
    pipeline: Pipeline, days: Days, hours: Days
) -> None:
    pipeline.produce(LOG)
    pipeline.score_all()

    assert pipeline.counts().n_duplicate == N_TRANSACTIONS
    assert found_days(pipeline) == days
    assert found_hours(pipeline) == hours


@pytest.mark.parametrize("step", ["before-database-commit", "after-database-commit"])
def test_after_a_rewind_and_a_death_in_the_commit_they_are_what_they_were(
    step: str, pipeline: Pipeline, days: Days, hours: Days
) -> None:
    run(pipeline, "rewind", "--to", "2025-02-05T12:30:00Z", "--yes")
    left = found_days(pipeline)
    assert left[:30] == days[:30]
    assert len(left) < 40

    pipeline.start_dying_member(step, 4).wait()
    pipeline.score_all()

    assert found_days(pipeline) == days
    assert found_hours(pipeline) == hours


def test_another_group_changes_nothing_unless_it_is_chosen(
    pipeline: Pipeline, days: Days, tmp_path: Path
) -> None:
    database = pipeline.settings["database_url"]
    shadow = f"{pipeline.settings['group']}-shadow"
    pipeline.start_dying_member("after-database-commit", 4, group=shadow).wait()
    assert found_days(pipeline) == days

    choose = "INSERT INTO feature.reported_groups SELECT DISTINCT topic, '{}'"
    topic = " FROM feature.hourly_totals RETURNING topic"
    assert len(query(database, choose.format(shadow) + topic)) == 1

    assert 0 < sum(count for _, count, *_ in found_days(pipeline)) < N_TRANSACTIONS
