"""From counts in the tables to `flagpost drift`."""

import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime

import numpy as np
import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from flagpost.cli import app
from flagpost.core.calendar import HOUR_US
from flagpost.core.effects import SpreadCounts
from flagpost.core.spread import TrainedSpread, population_stability_index
from flagpost.events import Partition
from flagpost.postgres import spread
from flagpost.postgres.drift import Counted, last_counted, read_daily_drift, read_drift
from flagpost.postgres.spread import introduce_model
from flagpost.postgres.times import to_us

A, B = Partition("transactions", 0), Partition("transactions", 1)
AMOUNT = TrainedSpread("amount", [10.0, 20.0], [0.5, 0.3, 0.2])
IS_NIGHT = TrainedSpread("is_night", [0.0], [1.0, 0.0])
NOON_US = to_us(datetime(2025, 3, 10, 12, tzinfo=UTC))
DAY_US = 24 * HOUR_US

Count = Callable[..., None]


@pytest.fixture
def count(engine: Engine) -> Count:
    """A function that stores counts, and the bins of their model."""

    def count(
        counts: list[int], hour_us: int = NOON_US, partition: Partition = A,
        model_version: str = "v1", group: str = "flagpost",
    ) -> None:  # fmt: skip
        introduce_model(engine, model_version, [AMOUNT, IS_NIGHT])
        with engine.begin() as connection:
            counted = SpreadCounts(partition, hour_us, model_version, counts)
            connection.execute(spread.insertion(text("true")), spread.parameters(group, [counted]))

    return count


@pytest.fixture
def drift(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A function that runs the command with some arguments; it has to succeed."""
    monkeypatch.setenv("FLAGPOST_DATABASE_URL", database_url)

    def drift(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["drift", *arguments])
        assert result.exit_code == 0, result.output
        return result

    return drift


def cells(result: Result) -> list[list[str]]:
    return [line.split() for line in result.stdout.splitlines()]


def query(engine: Engine, statement: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


@pytest.mark.parametrize(
    ("counts", "shares", "psi"),
    [
        ("{50,30,20}", "{0.5,0.3,0.2}", 0.0),
        ("{20,80}", "{0.5,0.5}", -0.3 * math.log(0.4) + 0.3 * math.log(1.6)),
        ("{0,100}", "{0.5,0.5}", -0.495 * math.log(0.01) + 0.5 * math.log(2)),
        ("{90,10}", "{1,0}", -0.1 * math.log(0.9) + 0.0999 * math.log(1000)),
        ("{4,0}", "{0.999,0.001}", 0.001 * math.log(1 / 0.999)),
        ("{4,0}", "{1,0}", 0.0),
    ],
    ids=[
        "as in training",
        "shifted",
        "an empty bin",
        "a bin that was empty in training",
        "an empty bin of rare values",
        "empty in both",
    ],
)
def test_the_stability_index_is_that_of_the_textbook(
    engine: Engine, counts: str, shares: str, psi: float
) -> None:
    [(found,)] = query(engine, f"SELECT feature.population_stability_index('{counts}', '{shares}')")
    assert found == pytest.approx(psi, abs=1e-12)
    in_python = population_stability_index(
        np.array(json.loads(f"[{counts[1:-1]}]")), np.array(json.loads(f"[{shares[1:-1]}]"))
    )
    assert in_python == pytest.approx(psi, abs=1e-12)


@pytest.mark.parametrize("counts", ["{}", "{0,0}"])
def test_nothing_counted_has_no_stability_index(engine: Engine, counts: str) -> None:
    [(found,)] = query(
        engine, f"SELECT feature.population_stability_index('{counts}', '{{0.5,0.5}}')"
    )
    assert found is None


def test_the_view_shows_partitions_together_and_bins_beside_the_training_data(
    engine: Engine, count: Count
) -> None:
    count([1, 2, 1, 4, 0])
    count([1, 0, 3, 3, 1], partition=B)
    count([9, 9, 9, 9, 9], group="shadow")

    rows = query(
        engine,
        "SELECT feature, bin, above, up_to, n, share, training_share FROM feature.spread_by_bin"
        """ WHERE "group" = 'flagpost' ORDER BY feature, bin""",
    )

    assert rows == [
        ("amount", 1, None, 10.0, 2, 0.25, 0.5),
        ("amount", 2, 10.0, 20.0, 2, 0.25, 0.3),
        ("amount", 3, 20.0, None, 4, 0.5, 0.2),
        ("is_night", 1, None, 0.0, 7, 0.875, 1.0),
        ("is_night", 2, 0.0, None, 1, 0.125, 0.0),
    ]


def test_days_are_those_of_utc_and_add_up_their_hours(engine: Engine, count: Count) -> None:
    for hour_us in (NOON_US - 12 * HOUR_US, NOON_US, NOON_US + 11 * HOUR_US):
        count([1, 1, 0, 2, 0], hour_us)
    count([5, 3, 2, 10, 0], NOON_US + 12 * HOUR_US)

    counted = last_counted(engine, "transactions", "flagpost", days=2)
    assert counted is not None
    daily = read_daily_drift(engine, counted)

    assert [(d.day.day, d.feature, d.n_sampled, d.n_bins) for d in daily] == [
        (10, "amount", 6, 3), (10, "is_night", 6, 2),
        (11, "amount", 10, 3), (11, "is_night", 10, 2),
    ]  # fmt: skip
    expected = 0.2 * math.log(0.5 / 0.3) + (0.5 / 6 - 0.2) * math.log(0.5 / 6 / 0.2)
    assert [d.psi for d in daily] == pytest.approx([expected, 0, 0, 0])


def test_days_are_counted_back_from_the_last_one_of_the_stream(
    engine: Engine, count: Count
) -> None:
    count([100, 0, 0, 100, 0], NOON_US - 7 * DAY_US)
    count([3, 1, 0, 4, 0], NOON_US - 6 * DAY_US)
    count([2, 2, 2, 6, 0], NOON_US)

    counted = last_counted(engine, "transactions", "flagpost", days=7)

    assert counted is not None
    assert (counted.first_day, counted.last_day) == (date(2025, 3, 4), date(2025, 3, 10))
    amount, is_night = read_drift(engine, counted)
    assert (amount.feature, amount.counts, amount.n_sampled) == ("amount", [5, 3, 2], 10)
    assert (is_night.counts, is_night.training_shares) == ([10, 0], [1.0, 0.0])
    assert amount.psi == pytest.approx(0)


def test_what_other_groups_topics_and_models_counted_is_left_out(
    engine: Engine, count: Count
) -> None:
    count([5, 3, 2, 10, 0])
    count([9, 0, 0, 9, 0], group="shadow")
    count([9, 0, 0, 9, 0], partition=Partition("others", 0))
    count([9, 0, 0, 9, 0], model_version="v0")

    counted = Counted("transactions", "flagpost", "v1", date(2025, 3, 10), date(2025, 3, 10))

    found = {each.feature: each.counts for each in read_drift(engine, counted)}
    assert found == {"amount": [5, 3, 2], "is_night": [10, 0]}
    assert {each.n_sampled for each in read_daily_drift(engine, counted)} == {10}
    assert last_counted(engine, "transactions", "nobody", days=1) is None
    assert last_counted(engine, "nothing", "flagpost", days=1) is None


def test_a_model_that_is_introduced_twice_stays_as_it_was(engine: Engine) -> None:
    introduce_model(engine, "v1", [AMOUNT, IS_NIGHT])
    before = query(engine, "SELECT xmin::text, * FROM feature.training_spread")
    introduce_model(engine, "v1", [AMOUNT, IS_NIGHT])

    assert query(engine, "SELECT xmin::text, * FROM feature.training_spread") == before
    firsts = "SELECT feature, first_count FROM feature.training_spread ORDER BY 2"
    assert query(engine, firsts) == [("amount", 1), ("is_night", 4)]


def test_the_command_judges_each_feature_the_most_drifted_first(
    count: Count, drift: Callable[..., Result]
) -> None:
    count([500, 300, 200, 500, 500])

    result = drift()

    assert "transactions from 2025-03-04 to 2025-03-10" in result.stdout
    rows = cells(result)
    night = rows.index(["is_night", "1,000", "4.604", "0.001", "▃█", "drifted"])
    assert night < rows.index(["amount", "1,000", "0.000", "0.002", "▄▄▄", "stable"])


def test_the_command_shows_each_day_by_itself(count: Count, drift: Callable[..., Result]) -> None:
    count([500, 300, 200, 1000, 0], NOON_US - DAY_US)
    count([200, 300, 500, 1000, 0])

    rows = cells(drift("--by-day"))

    assert ["PSI", "03-09", "03-10"] in rows
    assert ["amount", "0.00", "0.55"] in rows


def test_the_command_takes_the_model_that_counted_last_or_the_one_it_is_told(
    count: Count, drift: Callable[..., Result]
) -> None:
    count([1, 1, 1, 3, 0], NOON_US, model_version="old")
    count([2, 1, 1, 4, 0], NOON_US + HOUR_US, model_version="new")

    assert "model new" in drift().stdout
    assert "model old" in drift("--model-version", "old").stdout


@pytest.mark.parametrize("arguments", [[], ["--by-day"], ["--model-version", "v9"]])
def test_the_command_says_when_nothing_was_counted(
    drift: Callable[..., Result], arguments: list[str]
) -> None:
    result = drift(*arguments)

    assert "Nothing was counted yet in topic transactions by group flagpost" in result.stdout


def test_the_command_explains_itself(drift: Callable[..., Result]) -> None:
    assert "Example: flagpost drift --days 30" in drift("--help").stdout
