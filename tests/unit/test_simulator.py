from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagpost.errors import BadConfiguration
from flagpost.training import commands
from flagpost.training.simulator import Scenario, Simulation, log_writer, simulate, write_log
from flagpost.training.simulator.fraud import SKIMMING
from flagpost.training.simulator.population import draw_population

ROOT = Path(__file__).parents[2]
SHIPPED_COMMAND = (
    "flagpost simulate --customers 105 --terminals 210 --days 76 --start 2025-01-01 --seed 38 "
    "--out logFraud.json"
)
FIELDS = {
    "transaction_id": str,
    "timestamp": str,
    "user_id": str,
    "terminal_id": str,
    "amount": float,
    "currency": str,
    "account_balance": float,
    "transaction_type": str,
    "merchant_category": str,
    "location": str,
    "location_distance_km": float | int,
    "is_online": bool,
}


def small(seed: int = 1) -> Simulation:
    return simulate(customers=40, terminals=80, days=40, start=date(2024, 2, 20), seed=seed)


@pytest.fixture(scope="module")
def fifth() -> Simulation:
    """A fifth of the reference population, for the whole period."""
    return simulate(customers=1_000, terminals=2_000, days=183, start=date(2018, 4, 1), seed=1)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    write_log(small(), path)
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def written(simulation: Simulation, path: Path) -> str:
    write_log(simulation, path)
    return sha256(path.read_bytes()).hexdigest()


def instant(text: object) -> datetime:
    assert isinstance(text, str)
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    assert written(small(), tmp_path / "one.json") == written(small(), tmp_path / "two.jsonl")


def test_another_seed_gives_another_log(tmp_path: Path) -> None:
    assert written(small(1), tmp_path / "log.json") != written(small(2), tmp_path / "log.json")


def test_the_shipped_log_is_what_its_documented_command_writes(tmp_path: Path) -> None:
    out = tmp_path / "logFraud.json"
    commands.simulate(out=out, customers=105, terminals=210, days=76, start="2025-01-01", seed=38)
    assert out.read_bytes() == (ROOT / "logFraud.json").read_bytes()
    assert SHIPPED_COMMAND in (ROOT / "docs" / "simulator.md").read_text()


def test_totals_are_those_of_the_book_within_sampling_error(fifth: Simulation) -> None:
    per_scenario = np.bincount(fifth.scenario)
    assert fifth.transactions == pytest.approx(1_754_155 / 5, rel=0.06)
    assert fifth.is_fraud.mean() == pytest.approx(0.00837, rel=0.10)
    assert per_scenario[Scenario.HIGH_AMOUNT] == pytest.approx(973 / 5, rel=0.40)
    assert per_scenario[Scenario.SKIMMED_TERMINAL] == pytest.approx(9_077 / 5, rel=0.15)
    assert per_scenario[Scenario.STOLEN_CARD] == pytest.approx(4_631 / 5, rel=0.15)


@pytest.mark.parametrize(("customers", "terminals"), [(1_000, 200), (200, 1_000), (400, 400)])
def test_the_fraud_share_holds_at_other_sizes(customers: int, terminals: int) -> None:
    simulation = simulate(customers, terminals, 183, date(2018, 4, 1), seed=1)
    assert 0.006 < simulation.is_fraud.mean() < 0.011


def test_every_high_amount_is_fraud(fifth: Simulation) -> None:
    assert np.all(fifth.is_fraud[fifth.payments.amount_cents > 220_00])


def test_all_payments_at_a_skimmed_terminal_are_fraud(fifth: Simulation) -> None:
    skimmed = fifth.scenario == Scenario.SKIMMED_TERMINAL
    for terminal in np.unique(fifth.payments.terminal[skimmed]):
        rows = np.flatnonzero(fifth.payments.terminal == terminal)
        day = fifth.payments.day[rows]
        first, last = day[skimmed[rows]][[0, -1]]
        if last - first < SKIMMING.days:
            assert np.all(fifth.is_fraud[rows[(day >= first) & (day <= last)]])


def test_a_stolen_card_pays_five_times_the_amount(fifth: Simulation) -> None:
    stolen = fifth.scenario == Scenario.STOLEN_CARD
    mean = fifth.population.customers.mean_amount[fifth.payments.customer]
    ratio = fifth.payments.amount_cents / (100 * mean)
    assert np.all(fifth.payments.amount_cents[stolen] % 5 == 0)
    assert ratio[stolen].mean() == pytest.approx(5, rel=0.10)
    assert ratio[~stolen].mean() == pytest.approx(1, rel=0.05)


@given(st.integers(1, 50_000), st.integers(1, 400))
def test_strikes_are_in_proportion_to_the_population(targets: int, days: int) -> None:
    strikes = SKIMMING.strikes_each_day(targets, days)
    assert abs(strikes.sum() - 2 * targets * days / 10_000) <= 0.5
    assert strikes.max() - strikes.min() <= 1


def test_customers_use_the_terminals_in_reach_or_else_the_nearest_five() -> None:
    population = draw_population(customers=60, terminals=900, seed=3)
    for customer, home_km in enumerate(population.customers.home_km):
        distance_km = np.linalg.norm(population.terminals.place_km - home_km, axis=1)
        used = slice(*population.first_used[customer : customer + 2])
        in_reach = np.flatnonzero(distance_km < 5)
        expected = in_reach if len(in_reach) >= 5 else np.argsort(distance_km)[:5]
        assert set(population.used_terminals[used]) == set(expected)


@pytest.mark.parametrize("terminals", [1, 2])
def test_a_single_terminal_is_enough(terminals: int, tmp_path: Path) -> None:
    simulation = simulate(1, terminals, 1, date(2025, 1, 1), seed=2)
    assert write_log(simulation, tmp_path / "log.json") == (tmp_path / "log.json").stat().st_size


def test_the_balance_falls_by_what_was_spent_or_money_came_in(fifth: Simulation) -> None:
    order = np.argsort(fifth.payments.customer, kind="stable")
    same_customer = np.diff(fifth.payments.customer[order]) == 0
    left = (fifth.balance_cents - fifth.payments.amount_cents)[order][:-1]
    came_in = (fifth.balance_cents[order][1:] - left)[same_customer]
    assert came_in.min() == 0
    assert (came_in > 0).mean() < 0.2


def test_a_stolen_card_empties_an_account_sometimes_and_its_owner_hardly_ever(
    fifth: Simulation,
) -> None:
    over = fifth.payments.amount_cents > 0.95 * fifth.balance_cents
    assert over[~fifth.is_fraud].mean() < 0.0005
    assert 0.05 < over[fifth.scenario == Scenario.STOLEN_CARD].mean() < 0.3


def test_stolen_cards_are_used_online_and_far_from_home_a_bit_more_often(
    fifth: Simulation,
) -> None:
    stolen = fifth.scenario == Scenario.STOLEN_CARD
    assert 1.2 < fifth.is_online[stolen].mean() / fifth.is_online[~stolen].mean() < 1.8
    assert fifth.distance_km[stolen].mean() > fifth.distance_km[~stolen].mean()


def test_every_fraud_is_labelled_once_one_to_six_days_later(fifth: Simulation) -> None:
    labels = fifth.labels
    delay_days = (fifth.known_at_us - fifth.event_time_us[labels.transaction]) / 86_400e6
    labelled_frauds = np.sort(labels.transaction[labels.is_fraud])
    np.testing.assert_array_equal(labelled_frauds, np.flatnonzero(fifth.is_fraud))
    assert delay_days.min() >= 1
    assert delay_days.max() <= 6
    assert np.all(np.diff(labels.known_at_second) >= 0)


def test_reviews_clear_a_few_genuine_payments(fifth: Simulation) -> None:
    cleared = fifth.labels.transaction[~fifth.labels.is_fraud]
    assert 0 < len(cleared) < fifth.transactions / 1_000
    assert not fifth.is_fraud[cleared].any()


def test_a_transaction_line_has_every_field_and_no_type(log: list[dict[str, object]]) -> None:
    transactions = [line for line in log if "type" not in line]
    assert len(transactions) == small().transactions
    for line in transactions:
        assert list(line) == list(FIELDS)
        assert all(isinstance(line[name], kind) for name, kind in FIELDS.items())


def test_lines_say_what_the_columns_hold(log: list[dict[str, object]]) -> None:
    simulation = small()
    transactions = [line for line in log if "type" not in line]
    cents = [round(100 * float(str(line["amount"]))) for line in transactions]
    balance = [round(100 * float(str(line["account_balance"]))) for line in transactions]
    times_us = [int(instant(line["timestamp"]).timestamp()) * 1_000_000 for line in transactions]
    assert cents == simulation.payments.amount_cents.tolist()
    assert balance == simulation.balance_cents.tolist()
    assert times_us == simulation.event_time_us.tolist()
    assert [line["location_distance_km"] for line in transactions] == (
        simulation.distance_km.tolist()
    )


def test_a_label_names_its_transaction(log: list[dict[str, object]]) -> None:
    shared = ("transaction_id", "user_id", "terminal_id", "timestamp")
    transactions = {line["transaction_id"]: line for line in log if "type" not in line}
    labels = [line for line in log if line.get("type") == "label"]
    assert len(labels) == len(small().labels.transaction) > 0
    for label in labels:
        assert list(label) == ["type", *shared, "is_fraud", "known_at", "source"]
        transaction = transactions[label["transaction_id"]]
        assert all(label[name] == transaction[name] for name in shared)


def test_lines_stand_in_the_order_of_their_times(log: list[dict[str, object]]) -> None:
    clock = [instant(line.get("known_at", line["timestamp"])) for line in log]
    assert clock == sorted(clock)
    assert log[-1].get("type") == "label"


def test_the_size_of_chunks_does_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = written(small(), tmp_path / "log.json")
    monkeypatch.setattr(log_writer, "CHUNK_TRANSACTIONS", 7)
    assert written(small(), tmp_path / "log.json") == whole


def test_an_interrupted_write_leaves_the_old_file_alone(tmp_path: Path) -> None:
    out = tmp_path / "log.json"
    out.write_text("old")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_log(small(), out, interrupt)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"log.json": "old"}


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"log\.json cannot be written: No such file"):
        write_log(small(), tmp_path / "missing" / "log.json")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"customers": 0}, "customers must be 1 to 1000000, not 0"),
        ({"terminals": -3}, "terminals must be 1 to 1000000, not -3"),
        ({"days": 0}, "days must be 1 to 3660, not 0"),
        ({"seed": -1}, "seed must not be negative"),
        ({"terminals": 10**12}, "terminals must be 1 to 1000000, not 1000000000000"),
        ({"customers": 100_000, "days": 365}, "do not fit in memory"),
        ({"customers": 100_000, "terminals": 100_000}, "do not fit in memory"),
        ({"start": "yesterday"}, "--start must be a day YYYY-MM-DD, not 'yesterday'"),
        ({"start": "1969-12-31"}, "start must be a day from 1970-01-01 to 2199-12-31"),
        ({"start": "9999-12-01"}, "not 9999-12-01"),
        ({"out": Path("missing") / "log.json"}, "the directory 'missing' does not exist"),
        ({"out": Path("log.parquet")}, r"must end in \.json or \.jsonl"),
        ({"out": Path()}, r"must end in \.json or \.jsonl"),
    ],
)
def test_an_impossible_argument_is_refused_by_name(
    changed: dict[str, object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments: dict[str, object] = {"customers": 5, "terminals": 5, "days": 5, "seed": 5}
    with pytest.raises(BadConfiguration, match=message):
        commands.simulate(**{"out": Path("log.json"), **arguments, **changed})  # type: ignore[arg-type]  # one bad value
    assert not list(tmp_path.iterdir())
