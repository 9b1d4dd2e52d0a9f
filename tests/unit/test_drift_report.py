"""What `flagpost drift` makes of counts."""

import io
from datetime import date

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from flagpost.drift_report import by_chance, daily_table, drift_table, sparkline, verdict
from flagpost.postgres.drift import Counted, DailyDrift, Drift

COUNTED = Counted("[/payments]", "scorers", "0123456789ab", date(2025, 3, 1), date(2025, 3, 7))


def printed(table: Table) -> list[str]:
    written = io.StringIO()
    Console(file=written, width=120).print(table)
    return written.getvalue().splitlines()


@pytest.mark.parametrize(
    ("psi", "n_sampled", "judged"),
    [
        (0.0999, 1_000, "stable"),
        (0.1, 1_000, "shifting"),
        (0.2499, 1_000, "shifting"),
        (0.25, 1_000, "drifted"),
        (3.0, 180, "drifted"),
        (3.0, 179, "too few"),
    ],
)
def test_a_verdict_follows_the_rule_of_thumb_unless_chance_could_be_all(
    psi: float, n_sampled: int, judged: str
) -> None:
    assert verdict(psi, 10, n_sampled) == judged


def test_the_index_by_chance_is_that_of_samples_from_the_training_data() -> None:
    shares = np.array([0.3, 0.05, 0.25, 0.1, 0.3])
    found = np.random.default_rng(1).multinomial(2_000, shares, size=500) / 2_000

    indices = ((found - shares) * np.log(found / shares)).sum(axis=1)

    assert indices.mean() == pytest.approx(by_chance(5, 2_000), rel=0.1)


@pytest.mark.parametrize(
    ("counts", "shares", "drawn"),
    [
        ([25, 50, 25], [0.25, 0.5, 0.25], "▄▄▄"),
        ([0, 50, 50], [0.25, 0.5, 0.25], "▁▄▇"),
        ([10, 90], [0.75, 0.25], "▁█"),
        ([4, 0, 0], [1.0, 0.0, 0.0], "▄▄▄"),
        ([3, 1], [1.0, 0.0], "▃█"),
    ],
    ids=["as in training", "empty and double", "more", "nothing expected", "unexpected"],
)
def test_a_sparkline_shows_each_bin_against_training(
    counts: list[int], shares: list[float], drawn: str
) -> None:
    assert sparkline(counts, shares) == drawn


def test_the_table_says_what_was_counted_and_how_far_it_is() -> None:
    lines = printed(drift_table(COUNTED, [Drift("amount", [100, 300], [0.5, 0.5], 0.2747)]))

    assert lines[0].strip() == "[/payments] from 2025-03-01 to 2025-03-07"
    assert lines[1].strip() == "against the training data of model 0123456789ab"
    assert ["amount", "400", "0.275", "0.003", "▃▅", "drifted"] in [line.split() for line in lines]


def test_days_stand_beside_each_other_and_the_worst_feature_first() -> None:
    first, second = date(2025, 3, 1), date(2025, 3, 3)
    drifts = [
        DailyDrift("amount", first, 500, 10, 0.02),
        DailyDrift("is_night", first, 500, 2, 0.01),
        DailyDrift("is_night", second, 500, 2, 0.31),
        DailyDrift("amount", second, 20, 10, 0.91),
    ]

    rows = [line.split() for line in printed(daily_table(COUNTED, drifts))]

    assert ["PSI", "03-01", "03-03"] in rows
    assert rows.index(["is_night", "0.01", "0.31"]) < rows.index(["amount", "0.02", "-"])
