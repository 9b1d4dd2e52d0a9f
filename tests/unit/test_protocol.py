from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flagpost.cli import app
from flagpost.core.features import FEATURE_NAMES
from flagpost.errors import BadConfiguration, UnreadableInput
from flagpost.training.card_precision import card_precision, cards_found
from flagpost.training.handbook import COLUMNS, observe_handbook, read_handbook
from flagpost.training.kinds import sampled_rows
from flagpost.training.protocol import Population, Split, check_days, in_test_week
from flagpost.training.simulator import simulate, write_handbook

DAY_SECONDS = 86_400


def written(path: Path, **columns: list[object]) -> Path:
    """Write a file of three transactions of one card at one terminal, with some columns changed."""
    whole: dict[str, list[object]] = {
        "TRANSACTION_ID": [2, 1, 3],
        "TX_TIME_SECONDS": [100, 100, 8 * DAY_SECONDS],
        "CUSTOMER_ID": [0, 0, 0],
        "TERMINAL_ID": [0, 0, 0],
        "TX_AMOUNT_CENTS": [200, 100, 300],
        "TX_FRAUD_SCENARIO": [0, 2, 0],
    }
    pd.DataFrame({**whole, **columns}).to_parquet(path, index=False)
    return path


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven weeks of 300 cards: enough for a split at day 28."""
    path = tmp_path_factory.mktemp("simulated") / "simulated.parquet"
    write_handbook(simulate(300, 100, 49, date(2018, 4, 1), seed=3), path)
    return path


def test_transactions_of_the_same_second_come_in_the_order_of_their_ids(tmp_path: Path) -> None:
    transactions = read_handbook(written(tmp_path / "three.parquet"))
    assert transactions.transaction_id.tolist() == [1, 2, 3]
    matrix = observe_handbook(transactions, 100.0)
    assert matrix[:, FEATURE_NAMES.index("customer_tx_count_24h")].tolist() == [1, 2, 1]
    assert matrix[:, FEATURE_NAMES.index("customer_avg_amount_24h")].tolist() == [1.0, 1.5, 3.0]


@pytest.mark.parametrize(("seconds_later", "risk"), [(-1, 0.0), (0, 1.0)])
def test_a_label_counts_from_seven_days_after_its_transaction(
    tmp_path: Path, seconds_later: int, risk: float
) -> None:
    later = 100 + 7 * DAY_SECONDS + seconds_later
    path = written(
        tmp_path / "three.parquet",
        TX_TIME_SECONDS=[101, 100, later],
        TX_FRAUD_SCENARIO=[0, 1, 0],
    )
    matrix = observe_handbook(read_handbook(path), 100.0)
    assert matrix[2, FEATURE_NAMES.index("terminal_risk_1d")] == risk


def test_an_old_label_is_remembered_until_its_terminal_is_visited_again(tmp_path: Path) -> None:
    """Labels of months later, in the same file, must not take its place."""
    n, late = 40, 60 * DAY_SECONDS
    seconds = [*range(n), 8 * DAY_SECONDS, *range(late, late + n)]
    path = tmp_path / "busy.parquet"
    pd.DataFrame({
        "TRANSACTION_ID": range(2 * n + 1), "TX_TIME_SECONDS": seconds, "CUSTOMER_ID": 0,
        "TERMINAL_ID": 0, "TX_AMOUNT_CENTS": 100,
        "TX_FRAUD_SCENARIO": [2] * n + [0] + [2] * n,
    }).to_parquet(path)  # fmt: skip
    matrix = observe_handbook(read_handbook(path), 100.0)
    assert matrix[n, FEATURE_NAMES.index("terminal_run")] == n


@pytest.mark.parametrize("name", COLUMNS)
def test_a_file_without_a_column_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "whole.parquet")
    table = pq.read_table(path).drop_columns([name])
    pq.write_table(table, tmp_path / "less.parquet")
    with pytest.raises(UnreadableInput, match=f"lacks the column {name}"):
        read_handbook(tmp_path / "less.parquet")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"TX_AMOUNT_CENTS": [1.5, 2.0, 3.0]}, "TX_AMOUNT_CENTS must hold whole numbers"),
        ({"CUSTOMER_ID": ["C1", "C2", "C3"]}, "CUSTOMER_ID must hold whole numbers"),
        ({"TERMINAL_ID": pd.array([1, None, 2], "Int64")}, "TERMINAL_ID has 1 empty cells"),
        ({"TRANSACTION_ID": [1, 1, 2]}, "TRANSACTION_ID holds the same id twice"),
    ],
)
def test_a_column_of_the_wrong_kind_is_refused_by_its_name(
    tmp_path: Path, columns: dict[str, list[object]], words: str
) -> None:
    with pytest.raises(UnreadableInput, match=words):
        read_handbook(written(tmp_path / "odd.parquet", **columns))


def test_what_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("TRANSACTION_ID,TX_TIME_SECONDS\n")
    with pytest.raises(UnreadableInput, match="not a Parquet file"):
        read_handbook(tmp_path / "text.parquet")
    with pytest.raises(UnreadableInput, match="No such file"):
        read_handbook(tmp_path / "absent.parquet")


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    table = pq.read_table(written(tmp_path / "three.parquet")).slice(0, 0)
    pq.write_table(table, tmp_path / "none.parquet")
    with pytest.raises(UnreadableInput, match="empty"):
        read_handbook(tmp_path / "none.parquet")


def test_training_ends_with_the_first_week_and_the_test_begins_a_week_later() -> None:
    split, day = Split(start_day=10, train_days=9), np.arange(40)
    population = Population(day, np.zeros(40, np.int64), np.zeros(40, np.bool_))
    assert day[split.trained(day)].tolist() == list(range(8, 17))
    assert day[in_test_week(population, split.test_day)].tolist() == list(range(24, 31))


@pytest.mark.parametrize(
    ("fraud_day", "tested_days"),
    [
        (9, range(24, 31)),  # before the training week: forgotten
        (10, []),
        (16, []),  # known on day 24
        (17, [24]),
        (22, range(24, 30)),
        (23, range(24, 31)),  # known after the test
    ],
)
def test_a_card_is_left_out_once_its_fraud_is_more_than_a_week_old(
    fraud_day: int, tested_days: range | list[int]
) -> None:
    day = np.arange(40)
    population = Population(day, np.zeros(40, np.int64), day == fraud_day)
    rows = in_test_week(population, Split(start_day=10).test_day)
    assert day[rows].tolist() == list(tested_days)


def test_card_precision_ranks_cards_by_their_highest_score_and_blocks_those_found() -> None:
    day = np.array([0, 0, 0, 0, 1, 1, 1])
    customer = np.array([1, 1, 2, 3, 1, 2, 3])
    is_fraud = np.array([1, 0, 0, 1, 1, 1, 0], np.bool_)
    score = np.array([0.1, 0.9, 0.8, 0.7, 0.9, 0.5, 0.8])
    # Day 0: of cards 1 and 2, card 1 is compromised. Day 1, without it: of 3 and 2, card 2 is.
    assert card_precision(day, customer, is_fraud, score, top=2) == 0.5
    assert cards_found(day, customer, is_fraud, score, top=2).tolist() == [1, 1]
    # Day 0: card 1 is found. Day 1: card 3 is looked at in vain.
    assert card_precision(day, customer, is_fraud, score, top=1) == 0.5


def test_fewer_cards_than_are_looked_at_count_as_looked_at_in_vain() -> None:
    one = np.array([0])
    assert card_precision(one, one, np.array([True]), np.array([0.5]), top=100) == 0.01


def test_a_split_that_the_file_does_not_cover_is_refused_with_its_days() -> None:
    day = np.arange(40)
    population = Population(day, day, day % 2 == 0)
    with pytest.raises(
        BadConfiguration, match="needs the days 9 to 50, but the file holds 0 to 39"
    ):
        check_days(population, Split(start_day=30))
    with pytest.raises(BadConfiguration, match="training days hold 0 frauds"):
        check_days(population._replace(is_fraud=day > 30), Split(10, train_days=7))


def test_a_sample_holds_all_frauds_and_as_many_genuine_rows_as_fit() -> None:
    is_fraud = np.arange(1_000) % 100 == 0
    rows = sampled_rows(is_fraud, most=50)
    assert rows.size == np.unique(rows).size == 50
    assert is_fraud[rows].sum() == 10


def test_a_simulation_comes_back_from_its_file(simulated: Path) -> None:
    simulation = simulate(300, 100, 49, date(2018, 4, 1), seed=3)
    transactions = read_handbook(simulated)
    assert np.array_equal(transactions.event_time_us, simulation.event_time_us)
    assert np.array_equal(transactions.amount_cents, simulation.payments.amount_cents)
    assert np.array_equal(transactions.is_fraud, simulation.is_fraud)
    assert set(pd.read_parquet(simulated)["TX_FRAUD_SCENARIO"]) == {0, 1, 2, 3}
    assert set(map(str, pq.read_schema(simulated).types)) == {"int32", "int8"}


def test_the_command_prints_the_metrics_and_writes_the_scores_of_the_test_week(
    simulated: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.parquet"
    arguments = ["--start-day", "28", "--features", "book", "--out", str(out)]
    result = CliRunner().invoke(app, ["handbook", str(simulated), *arguments])
    assert result.exit_code == 0, result.output
    assert all(name in result.output for name in ("AUC", "AP", "CP@100"))
    scores, transactions = pd.read_parquet(out), read_handbook(simulated)
    population = Population(transactions.day, transactions.customer_id, transactions.is_fraud)
    rows = in_test_week(population, 42)
    assert scores["TRANSACTION_ID"].tolist() == transactions.transaction_id[rows].tolist()
    assert scores["fraud_probability"].between(0, 1).all()


def test_the_command_refuses_an_output_that_is_no_parquet_file_before_it_works(
    tmp_path: Path,
) -> None:
    result = CliRunner().invoke(app, ["handbook", "absent.parquet", "--out", "scores.csv"])
    assert (result.exit_code, "scores.csv" in result.output) == (BadConfiguration.exit_code, True)


def test_simulate_wants_the_ending_of_its_format(tmp_path: Path) -> None:
    arguments = ["simulate", "--format", "handbook", "--out", str(tmp_path / "log.json")]
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, ".parquet" in result.output) == (BadConfiguration.exit_code, True)
