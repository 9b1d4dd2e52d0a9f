"""What people ask in SQL, on a handful of rows that can be worked out by hand."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError

from flagpost.core.effects import KeptScore
from flagpost.core.features import FEATURE_NAMES
from flagpost.events import Partition
from flagpost.postgres import kept_scores
from flagpost.postgres.roles import ANALYST, SCHEMAS, SCORER, set_up_roles
from tests.logins import login_with
from tests.stack import Servers

FIRST = datetime(2025, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECRETS = ("C1", "C2", "M1", "M2", *(f"tx-{number}" for number in range(40)))


def execute(engine: Engine, statement: str, **parameters: object) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), parameters)


def query(engine: Engine, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement), parameters)]


def flag(engine: Engine, number: int, amount: float, *, days: int = 0, model: str = "v1") -> None:
    execute(
        engine,
        "INSERT INTO scores.fraud_transactions VALUES (:id, :user, :terminal, :ts, :amount, 0.9,"
        " 'HIGH', '[]', :model, 'tx', 0, :number, :scored_at)",
        id=f"tx-{number}", user="C1", terminal="M1", amount=amount, number=number, model=model,
        ts=FIRST + days * DAY, scored_at=FIRST + days * DAY + timedelta(seconds=number),
    )  # fmt: skip


def say(
    engine: Engine, number: int, *, is_fraud: bool = True, days: int = 0, after: int = 2,
    terminal: str | None = "M1",
) -> None:  # fmt: skip
    execute(
        engine,
        "INSERT INTO label.fraud_labels VALUES (:id, :known_at, :is_fraud, 'bank', 'C1', :terminal,"
        " :ts, 'labels', 0, 0)",
        id=f"tx-{number}", known_at=FIRST + (days + after) * DAY, is_fraud=is_fraud,
        terminal=terminal, ts=FIRST + days * DAY,
    )  # fmt: skip


def keep(engine: Engine, *numbers: int, days: int = 0) -> None:
    kept = [
        KeptScore(
            transaction_id=f"tx-{number}", user_id="C2", terminal_id="M2",
            event_time=FIRST + days * DAY, fraud_probability=0.1, is_flagged=number % 2 == 0,
            features=[float(number)] * len(FEATURE_NAMES), model_version="v1",
            partition=Partition("tx", 0), offset=number,
        )
        for number in numbers
    ]  # fmt: skip
    with engine.begin() as connection:
        kept_scores.add(connection, kept)


def days_kept(engine: Engine) -> list[str]:
    rows = query(engine, "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid"
                 " WHERE inhparent = 'scores.fraud_scores'::regclass ORDER BY 1")  # fmt: skip
    return [name.removeprefix("fraud_scores_") for (name,) in rows]


def test_precision_is_told_by_the_labels_that_have_come(engine: Engine) -> None:
    for number in range(5):
        flag(engine, number, 10)
    flag(engine, 5, 10, days=1)
    for number in (0, 1, 2):
        say(engine, number)
    say(engine, 2, is_fraud=False, after=3)
    say(engine, 9)

    rows = query(engine, "SELECT * FROM scores.daily_precision ORDER BY event_day")

    assert rows == [
        (date(2025, 3, 1), 5, 2, 1, 2, 1, 2 / 3, 0.4, 2 / 3),
        (date(2025, 3, 2), 1, 0, 0, 1, 0, None, 0.0, None),
    ]


def test_amounts_at_risk_are_parted_by_what_is_known(engine: Engine) -> None:
    for number, amount in enumerate((10.5, 20, 40)):
        flag(engine, number, amount)
    say(engine, 0)
    say(engine, 1, is_fraud=False)

    [(day, *amounts)] = query(engine, "SELECT * FROM alert.amount_at_risk")

    assert day == date(2025, 3, 1)
    assert list(map(float, amounts)) == [70.5, 10.5, 20, 40]


def test_terminals_and_customers_are_counted_by_confirmed_frauds(engine: Engine) -> None:
    flag(engine, 0, 10)
    say(engine, 0)
    say(engine, 1, days=3)
    say(engine, 2, terminal="M2")
    say(engine, 3, is_fraud=False)
    say(engine, 4, terminal=None)

    terminals = query(engine, "SELECT * FROM label.terminals_by_fraud ORDER BY fraud_count DESC")
    customers = query(engine, "SELECT user_id, fraud_count FROM label.customers_by_fraud")

    assert [(*row[:3], float(row[3]), *row[4:]) for row in terminals] == [
        ("M1", 2, 1, 10.0, FIRST, FIRST + 3 * DAY),
        ("M2", 1, 0, 0.0, FIRST, FIRST),
    ]
    assert customers == [("C1", 4)]


def test_the_time_to_a_flag_is_that_of_the_middle_and_of_the_slow_ones(engine: Engine) -> None:
    for number in (1, 3, 11):
        flag(engine, number, 10)

    [row] = query(engine, "SELECT * FROM scores.daily_time_to_flag")

    assert row == (date(2025, 3, 1), 3, 3.0, pytest.approx(10.2), 11.0)


def test_models_stand_side_by_side(engine: Engine) -> None:
    hour = int(FIRST.timestamp()) // 3600
    for model, group, n_flagged in (("v1", "flagpost", 2), ("v2", "shadow", 5)):
        execute(
            engine,
            "INSERT INTO feature.hourly_totals VALUES (now(), 'tx', 0, :group, :model, :hours,"
            " '{NORMAL,UNUSUAL_AMOUNT}', :counts, '{100,100}', '{1000000,1000000}')",
            model=model, group=group, hours=[hour, hour], counts=[20 - n_flagged, n_flagged],
        )  # fmt: skip
    flag(engine, 0, 10)
    flag(engine, 1, 10)
    say(engine, 0)
    say(engine, 1, is_fraud=False)

    rows = query(
        engine,
        'SELECT model_version, "group", first_hour, tx_count, flagged_count, flag_rate,'
        " fraud_score, fraud_count, genuine_count, precision FROM scores.model_versions ORDER BY 1",
    )

    assert rows == [
        ("v1", "flagpost", FIRST, 20, 2, 0.1, 0.1, 1, 1, 0.5),
        ("v2", "shadow", FIRST, 20, 5, 0.25, 0.1, 0, 0, None),
    ]


def test_a_day_has_the_highest_level_that_it_reaches(engine: Engine) -> None:
    for day, millionths in enumerate((14_999, 15_000, 30_000)):
        hour = int((FIRST + day * DAY).timestamp()) // 3600
        execute(
            engine,
            "INSERT INTO feature.hourly_totals VALUES (:counted_in, 'tx', 0, 'g', 'v', :hour,"
            " '{NORMAL}', '{1}', '{100}', :millionths)",
            counted_in=FIRST + day * DAY, hour=[hour], millionths=[millionths],
        )  # fmt: skip
    level = "SELECT alert_level, action FROM alert.daily_fraud_alert ORDER BY event_day"

    assert query(engine, level) == [
        ("LOW", "Ignore"), ("MEDIUM", "Monitor"), ("HIGH", "Freeze high-value tx"),
    ]  # fmt: skip

    execute(engine, "UPDATE alert.levels SET from_score = 0.5 WHERE alert_level = 'HIGH'")
    assert query(engine, level)[-1] == ("MEDIUM", "Monitor")


@pytest.mark.parametrize(
    ("share", "n_fraud", "n_genuine"), [(0.2, 4, 16), (0.5, 8, 8), (1, 8, 0), (0, 0, 16)]
)
def test_a_labelled_set_is_the_largest_with_the_share_that_is_asked_for(
    share: float, n_fraud: int, n_genuine: int, engine: Engine
) -> None:
    keep(engine, *range(24))
    for number in range(8):
        say(engine, number)
    asked = "SELECT * FROM feature.training_fraud_dataset(:share)"

    rows = query(engine, asked, share=share)

    labels = [row[-2] for row in rows]
    assert (labels.count(1), labels.count(0)) == (n_fraud, n_genuine)
    assert all(row[3:-2] == (float(row[0][3:]),) * len(FEATURE_NAMES) for row in rows)
    assert query(engine, asked, share=share) == rows
    if share == 0.2:
        assert query(engine, "TABLE feature.training_fraud_dataset") == rows


def test_a_labelled_set_knows_what_was_known_at_its_cut_off(engine: Engine) -> None:
    keep(engine, 0, 1, 2)
    keep(engine, 3, days=5)
    flag(engine, 0, 10)
    say(engine, 0, after=2)
    say(engine, 0, after=9, is_fraud=False)
    say(engine, 1, after=20)
    asked = (
        "SELECT transaction_id, fraud_label FROM feature.training_fraud_dataset(0.5, :known_by)"
        " ORDER BY fraud_label DESC, 1"
    )

    by_the_8th = query(engine, asked, known_by=FIRST + 7 * DAY)
    by_the_12th = query(engine, asked, known_by=FIRST + 11 * DAY)
    by_the_31st = query(engine, asked, known_by=FIRST + 30 * DAY)

    assert by_the_8th[0] == ("tx-0", 1)
    assert [label for _, label in by_the_8th] == [1, 0]
    assert by_the_12th == []
    assert by_the_31st[0] == ("tx-1", 1)


def test_flagged_transactions_are_in_the_set_where_no_other_scores_are_kept(
    engine: Engine,
) -> None:
    flag(engine, 0, 10)
    values = [1.0] * len(FEATURE_NAMES)
    execute(engine, "UPDATE scores.fraud_transactions SET features = :values", values=values)
    say(engine, 0)

    [row] = query(engine, "SELECT * FROM feature.training_fraud_dataset(1)")

    assert row[:3] == ("tx-0", FIRST, "v1")


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_an_impossible_share_is_refused(share: float, engine: Engine) -> None:
    with pytest.raises(DataError, match="a share is from 0 to 1"):
        query(engine, "SELECT feature.training_fraud_dataset(:share)", share=share)


def test_kept_scores_of_a_day_have_a_partition_and_old_ones_go(engine: Engine) -> None:
    execute(engine, "UPDATE scores.retention SET keep_days = 3")
    keep(engine, 0, days=0)
    keep(engine, 1, 2, days=1)
    keep(engine, 1, days=1)
    assert days_kept(engine) == ["20250301", "20250302"]
    keep(engine, 3, days=3)

    assert days_kept(engine) == ["20250302", "20250304"]
    found = query(engine, "SELECT transaction_id, user_id, terminal_id, is_flagged, fraud_label"
                  " FROM scores.fraud_scores ORDER BY 1")  # fmt: skip
    assert found == [
        ("tx-1", "C2", "M2", False, 0), ("tx-2", "C2", "M2", True, 1),
        ("tx-3", "C2", "M2", False, 0),
    ]  # fmt: skip


def test_members_that_come_to_a_new_day_at_once_make_one_partition(engine: Engine) -> None:
    n_days, start = 20, Barrier(2, timeout=20)

    def keep_each_day(member: int) -> None:
        for days in range(n_days):
            start.wait()
            keep(engine, 2 * days + member, days=days)

    with ThreadPoolExecutor() as pool:
        list(pool.map(keep_each_day, range(2)))

    assert len(days_kept(engine)) == n_days
    assert query(engine, "SELECT count(*) FROM scores.fraud_scores") == [(2 * n_days,)]


def test_a_score_from_the_future_does_not_make_the_present_old(engine: Engine) -> None:
    execute(engine, "UPDATE scores.retention SET keep_days = 3")
    today = (datetime.now(UTC) - FIRST).days
    keep(engine, 0, days=today)

    keep(engine, 1, days=today + 400)
    keep(engine, 2, days=today + 401)

    assert query(engine, "SELECT count(*) FROM scores.fraud_scores") == [(3,)]


def test_who_reads_old_scores_does_not_stop_the_stream(engine: Engine) -> None:
    execute(engine, "UPDATE scores.retention SET keep_days = 1")
    keep(engine, 0)
    with engine.connect() as reader:
        reader.execute(text("SELECT FROM scores.fraud_scores")).all()
        keep(engine, 1, days=5)
        reader.rollback()
    assert days_kept(engine) == ["20250301", "20250306"]

    keep(engine, 2, days=6)

    assert days_kept(engine) == ["20250307"]


@pytest.fixture
def analyst(engine: Engine, database_url: str, stack: Servers) -> Iterator[psycopg.Connection]:
    """A login of an analyst, on a database with rows in every view."""
    keep(engine, *range(10))
    for number in range(4):
        flag(engine, number, 10)
        say(engine, number, is_fraud=number > 0)
    hour = int(FIRST.timestamp()) // 3600
    execute(
        engine,
        "INSERT INTO feature.hourly_totals VALUES (now(), 'tx', 0, 'g', 'v', :hour, '{NORMAL}',"
        " '{1}', '{100}', '{1000}')",
        hour=[hour],
    )
    set_up_roles(engine)
    with login_with(ANALYST, database_url, stack) as url, psycopg.connect(url) as connection:
        connection.autocommit = True
        yield connection


def test_an_analyst_finds_no_raw_id_in_anything_that_can_be_read(
    analyst: psycopg.Connection, engine: Engine
) -> None:
    views = query(
        engine,
        "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables"
        " WHERE table_schema = ANY (:schemas)",
        schemas=list(SCHEMAS),
    )
    read, refused = {}, []
    for (view,) in views:
        try:
            read[view] = analyst.execute(f"TABLE {view}".encode()).fetchall()
        except InsufficientPrivilege:
            refused.append(view)

    assert len(read) >= 14
    assert all(view.startswith("analyst.") for view in read)
    assert [view for view in refused if view.startswith("analyst.")] == ["analyst.masking_key"]
    assert all(read.values())
    shown = {str(value) for rows in read.values() for row in rows for value in row}
    assert not shown & set(SECRETS)


def test_an_analyst_sees_no_place_of_a_message(engine: Engine) -> None:
    shown = query(
        engine,
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'analyst' AND column_name IN ('partition', 'kafka_offset')",
    )
    scores = query(
        engine,
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'analyst'"
        " AND table_name = 'fraud_scores' ORDER BY ordinal_position",
    )

    assert shown == []
    assert [name for (name,) in scores] == [
        "masked_transaction_id", "masked_user_id", "masked_terminal_id", "ts", "fraud_probability",
        "is_flagged", "fraud_label", "model_version", "scored_at",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM feature.training_fraud_dataset()",
        "SELECT scores.make_room('{2025-01-01}')",
        "INSERT INTO analyst.training_fraud_daily DEFAULT VALUES",
        "UPDATE analyst.daily_fraud_alert SET action = 'Ignore'",
        "DELETE FROM analyst.fraud_scores",
        "UPDATE alert.levels SET from_score = 0",
        "INSERT INTO raw.marketing_daily VALUES (now(), 1, 1)",
    ],
)
def test_an_analyst_writes_nothing_and_leaves_the_schema_nowhere(
    statement: str, analyst: psycopg.Connection
) -> None:
    with pytest.raises(psycopg.Error) as refused:
        analyst.execute(statement.encode())

    assert refused.value.sqlstate in {"42501", "55000"}  # no right; no view that can be written


def test_an_analyst_asks_for_a_share_and_sees_the_ids_of_the_other_views(
    analyst: psycopg.Connection,
) -> None:
    rows = analyst.execute(
        "SELECT masked_transaction_id, a.fraud_label FROM analyst.training_fraud_dataset(0.3) a"
        " JOIN analyst.fraud_scores USING (masked_transaction_id)"
    ).fetchall()

    assert [label for _, label in rows].count(1) == 3
    assert len(rows) == 10


def test_a_worker_makes_partitions_with_its_own_rights(
    engine: Engine, database_url: str, stack: Servers
) -> None:
    keep(engine, 0)
    set_up_roles(engine)
    with login_with(SCORER, database_url, stack) as url, psycopg.connect(url) as connection:
        connection.execute("SELECT scores.make_room('{2025-03-02,2025-03-03}')")
        with pytest.raises(InsufficientPrivilege):
            connection.execute("DROP TABLE scores.fraud_scores_20250302")

    assert len(days_kept(engine)) == 1  # what was refused took the transaction with it
