"""After a rewind the stream is scored again, and all tables are what they were.

One pipeline is rewound again and again: the tests run in their order, each from a full table on.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, LiteralString

import numpy as np
import psycopg
import pytest
from psycopg.sql import SQL, Composed
from typer.testing import CliRunner, Result

from flagpost.cli import app
from flagpost.core.segment import unpack
from flagpost.errors import Refused
from flagpost.model import FraudModel
from flagpost.settings import PRETRAINED_MODEL
from flagpost.torture.disturbed_log import write_disturbed_log
from tests.end_to_end.pipeline import Pipeline

MIDDLE = datetime(2025, 2, 5, 12, 30, tzinfo=UTC)

TABLES: dict[str, LiteralString] = {
    "flagged": "SELECT transaction_id, user_id, terminal_id, ts, amount, fraud_probability,"
    " risk_level, reasons, model_version, topic, partition, kafka_offset, features"
    " FROM scores.fraud_transactions",
    "kept": "SELECT transaction_id, ts, fraud_probability, is_flagged, features, model_version,"
    " topic, partition, kafka_offset FROM scores.fraud_scores",
    "labels": "SELECT transaction_id, known_at, is_fraud, source, user_id, terminal_id, ts, topic,"
    " partition, kafka_offset FROM label.fraud_labels",
    "positions": "SELECT topic, partition, next_offset, event_time, n_in, n_clean, n_flagged,"
    " n_duplicate, n_dead FROM stream.positions",
    "spread": "SELECT date_trunc('day', hour), model_version, topic, partition, n, sum(count)"
    " FROM feature.hourly_spread, unnest(counts) WITH ORDINALITY AS bin(count, n) GROUP BY"
    " 1, 2, 3, 4, 5",
    "totals": "SELECT hour, fraud_reason, topic, partition, model_version, sum(tx_count),"
    " sum(amount_cents), sum(fraud_probability_millionths) FROM feature.all_totals GROUP BY"
    " 1, 2, 3, 4, 5",
}
LATE: dict[LiteralString, LiteralString] = {
    "scores.fraud_transactions": "kafka_offset >= next_offset",
    "scores.fraud_scores": "kafka_offset >= next_offset",
    "label.fraud_labels": "kafka_offset >= next_offset",
    "stream.journal": "end_offset > next_offset OR max_ts > event_time",
    "feature.hourly_spread": "hour > event_time",
    "feature.hourly_totals": "counted_in > event_time",
}
"""When a row has been written by a message that its partition has still to read."""

Rows = list[tuple[Any, ...]]


def query(pipeline: Pipeline, statement: LiteralString | Composed) -> Rows:
    with psycopg.connect(str(pipeline.settings["database_url"])) as connection:
        return connection.execute(statement).fetchall()


def tables(pipeline: Pipeline) -> dict[str, object]:
    """Everything that is stored but the moments of storing it; the journal without its bounds."""
    found: dict[str, object] = {
        name: sorted(query(pipeline, statement), key=repr) for name, statement in TABLES.items()
    }
    segments = query(
        pipeline, "SELECT topic, partition, columns FROM stream.journal ORDER BY 1, 2, start_offset"
    )
    for partition, rows in groupby(segments, key=lambda row: row[:2]):
        entries = [unpack(row[2]) for row in rows]
        columns = [np.concatenate(parts).tolist() for parts in zip(*entries, strict=True)]
        found[f"journal of {partition}"] = columns
    return found


@pytest.fixture(scope="module")
def pipeline(
    new_pipeline: Callable[..., Pipeline], tmp_path_factory: pytest.TempPathFactory
) -> Pipeline:
    log = tmp_path_factory.mktemp("log") / "disturbed.json"
    write_disturbed_log(log, customers=40, terminals=30, days=60, seed=8)
    pipeline = new_pipeline(topic_partitions=2, keep_scores="all", batch_messages=700)
    pipeline.produce(log)
    pipeline.score_all()
    return pipeline


@pytest.fixture(scope="module")
def never_rewound(pipeline: Pipeline) -> dict[str, object]:
    return tables(pipeline)


@pytest.fixture
def rewind(pipeline: Pipeline) -> Callable[..., Result]:
    settings = {f"FLAGPOST_{k.upper()}": str(v) for k, v in pipeline.settings.items()}

    def rewind(*arguments: object, stdin: str | None = None) -> Result:
        runner = CliRunner(env={"COLUMNS": "150", **settings})
        return runner.invoke(app, ["rewind", *map(str, arguments)], input=stdin)

    return rewind


Rewind = Callable[..., Result]


def test_nothing_of_what_came_since_is_left(
    pipeline: Pipeline, never_rewound: dict[str, object], rewind: Rewind
) -> None:
    epochs: dict[str, int] = dict(
        query(pipeline, "SELECT topic || partition, epoch FROM stream.positions")
    )

    result = rewind("--to", MIDDLE.isoformat(), "--yes")

    assert result.exit_code == 0, result.output
    for table, is_late in LATE.items():
        joined = SQL("SELECT 1 FROM {} JOIN stream.positions USING (topic, partition) WHERE {}")
        assert query(pipeline, joined.format(SQL(table), SQL(is_late))) == []
    positions = query(
        pipeline, "SELECT topic || partition, epoch, event_time, n_in FROM stream.positions"
    )
    assert all(epoch == epochs[partition] + 1 for partition, epoch, _, _ in positions)
    assert all(event_time < MIDDLE for _, _, event_time, _ in positions)
    assert all(n_in > 0 for _, _, _, n_in in positions)
    [(of_scores, of_totals, of_counts)] = query(
        pipeline,
        "SELECT (SELECT count(*) FROM scores.fraud_scores),"
        " (SELECT sum(tx_count) FROM feature.all_totals),"
        " (SELECT sum(n_clean + n_flagged) FROM stream.positions WHERE topic NOT LIKE '%labels')",
    )
    assert of_scores == of_totals == of_counts


def test_scored_again_from_a_time_all_tables_are_what_they_were(
    pipeline: Pipeline, never_rewound: dict[str, object]
) -> None:
    pipeline.score_all()

    assert tables(pipeline) == never_rewound


@pytest.mark.parametrize(
    "target", [("--to", 900, "--partition", 1), ("--to", 0)], ids=["an offset", "the beginning"]
)
def test_scored_again_from_an_offset_all_tables_are_what_they_were(
    target: tuple[object, ...],
    pipeline: Pipeline,
    never_rewound: dict[str, object],
    rewind: Rewind,
) -> None:
    result = rewind(*target, "--yes")
    left = query(pipeline, "SELECT sum(n_in) FROM stream.positions")[0][0]

    pipeline.score_all()

    assert result.exit_code == 0, result.output
    assert (left == 0) == (target == ("--to", 0))
    assert tables(pipeline) == never_rewound


def test_what_comes_after_is_scored_by_another_model(
    pipeline: Pipeline, never_rewound: dict[str, object], rewind: Rewind, tmp_path: Path
) -> None:
    model = FraudModel.load(PRETRAINED_MODEL)
    before = model.version
    model.threshold /= 2
    model.save(tmp_path / "other.joblib")
    assert rewind("--to", MIDDLE.isoformat(), "--yes").exit_code == 0
    reached: dict[str, int] = dict(
        query(pipeline, "SELECT topic || partition, next_offset FROM stream.positions")
    )

    pipeline.score_all(model=tmp_path / "other.joblib")

    versions = query(
        pipeline,
        "SELECT topic || partition, kafka_offset, model_version FROM scores.fraud_transactions",
    )
    assert {version for _, _, version in versions} == {before, model.version}
    for partition, offset, version in versions:
        assert (version == before) == (offset < reached[partition])
    spread = query(
        pipeline, "SELECT model_version, min(hour), max(hour) FROM feature.hourly_spread GROUP BY 1"
    )
    assert {version for version, _, _ in spread} == {before, model.version}
    assert len(pipeline.seen()) == len(never_rewound["kept"])  # type: ignore[arg-type]


def test_it_asks_first_and_does_nothing_without_a_yes(pipeline: Pipeline, rewind: Rewind) -> None:
    before = tables(pipeline)

    result = rewind("--to", 0, stdin="n\n")

    assert result.exit_code == Refused.exit_code
    assert "score them again?" in result.output
    assert tables(pipeline) == before


def test_it_refuses_while_a_member_is_alive(pipeline: Pipeline, rewind: Rewind) -> None:
    before = tables(pipeline)
    member = pipeline.start_member()
    pipeline.wait_until(lambda: member.says("taken over"))

    result = rewind("--to", 0, "--yes")

    assert result.exit_code == 2
    assert "stop them first" in result.stderr
    assert member.terminate() == 0
    assert tables(pipeline) == before


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (("--to", "yesterday"), 3, "neither an offset nor a time"),
        (("--to", 900), 3, "say --partition"),
        (("--to", 900, "--partition", 7), 2, "never read"),
        (("--to", 900_000, "--partition", 0), 2, "has not come to offset 900000"),
    ],
)
def test_a_target_that_cannot_be_is_refused(
    arguments: tuple[object, ...], exit_code: int, says: str, rewind: Rewind
) -> None:
    result = rewind(*arguments, "--yes")

    assert result.exit_code == exit_code
    assert says in result.stderr


def test_a_time_that_nothing_has_come_to_leaves_all_as_it_is(rewind: Rewind) -> None:
    result = rewind("--to", "2031-01-01")

    assert result.exit_code == 0
    assert "Nothing to do" in result.stdout
