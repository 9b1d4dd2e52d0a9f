import doctest
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.errors import ParserWarning

import flagpost
from flagpost.clock import latest_event_time_us
from flagpost.core.features import FEATURE_NAMES
from flagpost.errors import UnreadableInput
from flagpost.events import TransactionDecoder
from flagpost.model import FraudModel
from flagpost.settings import PRETRAINED_MODEL
from flagpost.training.offline import decode_log, observe_log

LOG = Path(__file__).parents[2] / "logFraud.json"
PAYMENT = {
    "transaction_id": "p1", "timestamp": "2025-04-01T12:00:00Z", "user_id": "u1",
    "terminal_id": "t1", "amount": 12.34, "account_balance": 99.99,
}  # fmt: skip
LABEL = {
    "type": "label", "transaction_id": "p1", "timestamp": "2025-04-01T12:00:00Z", "user_id": "u1",
    "terminal_id": "t1", "is_fraud": True, "known_at": "2025-04-03T00:00:00Z", "source": "review",
}  # fmt: skip


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return flagpost.read_log(LOG)


@pytest.fixture(scope="module")
def features(log: pd.DataFrame) -> pd.DataFrame:
    return flagpost.features(log)


def write(path: Path, *events: dict[str, object] | str) -> Path:
    lines = (each if isinstance(each, str) else json.dumps(each) for each in events)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def offline(path: Path) -> pd.DataFrame:
    decoded = decode_log(path, TransactionDecoder(), latest_event_time_us(1.0))
    mean_cents = FraudModel.load(PRETRAINED_MODEL).population_mean_cents
    return observe_log(decoded, mean_cents).frame().set_index("transaction_id")


def test_features_are_those_of_the_offline_pass_bit_for_bit(
    log: pd.DataFrame, features: pd.DataFrame
) -> None:
    expected = offline(LOG)
    assert log["transaction_id"].tolist() == expected.index.tolist()
    assert features.columns.tolist() == list(FEATURE_NAMES)
    assert features.to_numpy().tobytes() == expected.to_numpy().tobytes()


def test_the_order_of_the_rows_changes_nothing(log: pd.DataFrame, features: pd.DataFrame) -> None:
    shuffled = log.sample(frac=1, random_state=7)
    found = flagpost.features(shuffled)
    assert found.index.equals(shuffled.index)
    assert not found.index.equals(log.index)
    pd.testing.assert_frame_equal(found.loc[log.index], features, check_exact=True)


def test_payments_of_the_same_time_are_taken_by_the_index(tmp_path: Path) -> None:
    twins = [PAYMENT | {"transaction_id": name} for name in ("z", "a", "m")]
    payments = flagpost.read_log(write(tmp_path / "log.jsonl", *twins))
    for order in ([0, 1, 2], [2, 0, 1]):
        counts = flagpost.features(payments.iloc[order])["customer_tx_count_1h"]
        assert counts.loc[[0, 1, 2]].tolist() == [1, 2, 3]


def test_columns_have_types(log: pd.DataFrame) -> None:
    assert log.index.equals(pd.RangeIndex(14_982))
    assert log[["transaction_id", "user_id", "terminal_id"]].dtypes.map(str).tolist() == ["str"] * 3
    assert log[["timestamp", "known_at"]].dtypes.map(str).tolist() == ["datetime64[us, UTC]"] * 2
    assert log[["amount", "account_balance"]].dtypes.tolist() == [np.float64] * 2
    assert log["is_fraud"].dtype == np.bool_
    assert (log["is_fraud"].sum(), log["known_at"].notna().sum()) == (145, 156)
    assert log.attrs["bad_lines"] == []


def test_what_a_message_may_leave_out_is_missing(tmp_path: Path) -> None:
    least = {name: PAYMENT[name] for name in ("transaction_id", "timestamp", "user_id", "amount")}
    row = flagpost.read_log(write(tmp_path / "log.jsonl", least)).iloc[0]
    assert row[["terminal_id", "account_balance", "known_at"]].isna().all()
    assert row["timestamp"] == pd.Timestamp("2025-04-01T12:00:00Z")
    assert (row["amount"], bool(row["is_fraud"])) == (12.34, False)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_all_forms_of_a_log_give_the_same(tmp_path: Path, ending: str) -> None:
    path, events = tmp_path / f"log.{ending}", pd.DataFrame([PAYMENT, LABEL])
    if ending == "csv":
        events.to_csv(path, index=False)
    else:
        events.to_parquet(path)
    expected = flagpost.read_log(write(tmp_path / "log.jsonl", PAYMENT, LABEL))
    pd.testing.assert_frame_equal(flagpost.read_log(path), expected)


def test_bad_lines_are_counted_quoted_and_listed(tmp_path: Path) -> None:
    refund = PAYMENT | {"amount": -1}
    log = write(tmp_path / "log.jsonl", PAYMENT, "{", LABEL, refund, LABEL | {"is_fraud": 1})
    with pytest.warns(ParserWarning, match=r"left out: 3 \(.*\); line 2: The message") as told:
        rows = flagpost.read_log(log)
    assert told[0].filename == __file__
    assert len(rows) == 1
    assert {bad["line"]: bad["reason"] for bad in rows.attrs["bad_lines"]} == {
        2: "not_json", 4: "negative_amount", 5: "wrong_type",
    }  # fmt: skip
    assert "`amount`" in next(bad["detail"] for bad in rows.attrs["bad_lines"] if bad["line"] == 4)
    with pytest.warns(ParserWarning, match=r"left out: 1 \(.*\); line 5: `is_fraud` must be"):
        labels = flagpost.read_labels(log)
    assert len(labels) == len(labels.attrs["bad_lines"]) == 1


@pytest.mark.parametrize("read", [flagpost.read_log, flagpost.read_labels])
def test_a_file_without_a_usable_line_is_refused(
    tmp_path: Path, read: Callable[[Path], pd.DataFrame]
) -> None:
    log = tmp_path / "log.csv"
    log.write_text("id,when\np1,2025-04-01\np2,2025-04-02\n")
    says = r"holds neither transactions nor labels; line 2: `transaction_id` is missing"
    with pytest.raises(UnreadableInput, match=says):
        read(log)


def test_a_log_of_labels_alone_has_no_transactions(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", LABEL)
    assert (len(flagpost.read_log(log)), len(flagpost.read_labels(log))) == (0, 1)


def test_the_last_label_stands_in_the_row_and_all_are_read(tmp_path: Path) -> None:
    correction = LABEL | {"is_fraud": False, "known_at": "2025-05-01T00:00:00Z"}
    log = write(tmp_path / "log.jsonl", PAYMENT, correction, LABEL)
    row, labels = flagpost.read_log(log).iloc[0], flagpost.read_labels(log)
    assert (bool(row["is_fraud"]), row["known_at"]) == (False, pd.Timestamp("2025-05-01", tz="UTC"))
    assert labels["is_fraud"].tolist() == [True, False]
    assert labels["source"].tolist() == ["review", "review"]


def test_with_all_labels_a_correction_counts_from_its_day_on(tmp_path: Path) -> None:
    later = [PAYMENT | {"transaction_id": f"p{day}", "timestamp": f"2025-04-{day:02}T12:00:00Z"}
             for day in range(9, 30)]  # fmt: skip
    correction = LABEL | {"is_fraud": False, "known_at": "2025-04-20T00:00:00Z"}
    path = write(tmp_path / "log.jsonl", PAYMENT, *later, LABEL, correction)
    log = flagpost.read_log(path)
    with_all = flagpost.features(log, flagpost.read_labels(path))
    assert with_all.to_numpy().tobytes() == offline(path).to_numpy().tobytes()
    runs = with_all["terminal_run"].tolist(), flagpost.features(log)["terminal_run"].tolist()
    assert (max(runs[0]), runs[0][-1]) == (1, 0)
    assert max(runs[1]) == 0


def test_a_repeated_delivery_has_no_features(tmp_path: Path) -> None:
    other = PAYMENT | {"transaction_id": "p2", "timestamp": "2025-04-01T13:00:00Z"}
    log = flagpost.read_log(write(tmp_path / "log.jsonl", PAYMENT, other, PAYMENT))
    found = flagpost.features(log)
    assert found.notna().all(axis=1).tolist() == [True, True, False]
    assert found["customer_tx_count_24h"].tolist()[:2] == [1, 2]


def test_habits_begin_with_the_mean_amount_of_the_model(log: pd.DataFrame) -> None:
    model = FraudModel()
    model.population_mean_cents = 100_00
    first = flagpost.features(log.iloc[:1], model=model)
    assert first["amount_ratio"].tolist() == [log["amount"].iloc[0] / 100]


def test_without_a_column_of_terminals_no_terminal_is_known(log: pd.DataFrame) -> None:
    found = flagpost.features(log.drop(columns="terminal_id"))
    nameless = log.assign(terminal_id=None)
    pd.testing.assert_frame_equal(found, flagpost.features(nameless), check_exact=True)
    assert (found["terminal_risk_7d"] == 0).all()


def test_what_a_worker_would_refuse_is_refused(log: pd.DataFrame) -> None:
    some = log.iloc[:5]
    finer = some.assign(amount=some["amount"].where(some.index != 3, 0.001))
    with pytest.raises(ValueError, match=r"refuse: 1 of 5; row 3: `amount` is 0\.001;"):
        flagpost.features(finer)
    with pytest.raises(ValueError, match="transactions lacks the columns timestamp, amount"):
        flagpost.features(some.drop(columns=["amount", "timestamp"]))
    with pytest.raises(ValueError, match="not known_at, the time at which each label became known"):
        flagpost.features(some.drop(columns="known_at"))
    with pytest.raises(ValueError, match="transactions has known_at but not is_fraud"):
        flagpost.features(some.drop(columns="is_fraud"))
    early = some.assign(known_at=pd.Timestamp("2024-01-01", tz="UTC"))
    with pytest.raises(ValueError, match=r"labels: .* refuse: 5 of 5; row 0: `known_at` is"):
        flagpost.features(early)
    with pytest.raises(ValueError, match=r"mixed or unknown types: .* column user_id"):
        flagpost.features(some.assign(user_id=pd.Series([1, "b", 3, 4, 5], dtype=object)))


def test_other_types_of_columns_are_fine(log: pd.DataFrame, features: pd.DataFrame) -> None:
    plain = log.iloc[:100].assign(
        timestamp=lambda rows: rows["timestamp"].dt.tz_localize(None),
        user_id=lambda rows: rows["user_id"].astype("category"),
    )
    pd.testing.assert_frame_equal(flagpost.features(plain), features.iloc[:100], check_exact=True)


def test_frames_that_were_put_together_are_fine(log: pd.DataFrame, features: pd.DataFrame) -> None:
    together = pd.concat([log.iloc[50:100], log.iloc[:50]])
    found = flagpost.features(together).sort_index()
    pd.testing.assert_frame_equal(found, features.iloc[:100], check_exact=True)


def test_no_transactions_have_no_features(log: pd.DataFrame) -> None:
    assert flagpost.features(log.iloc[:0]).shape == (0, len(FEATURE_NAMES))


def test_the_example_of_the_readme_gives_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(LOG.parent)
    [example] = re.findall(r"```pycon\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    test = doctest.DocTestParser().get_doctest(example, {}, "README.md", "README.md", 0)
    told = io.StringIO()
    doctest.DocTestRunner().run(test, out=told.write)
    assert told.getvalue() == ""


def test_a_worker_imports_none_of_this() -> None:
    program = (
        "import sys, flagpost, consumer_transform; "
        "print([name for name in ('pandas', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], cwd=LOG.parent, check=True, capture_output=True, text=True
    )
    assert ran.stdout == "[]\n"


def test_the_names_are_found_and_no_others() -> None:
    assert {"features", "flagged", "read_labels", "read_log"} <= set(dir(flagpost))
    assert callable(flagpost.flagged)
    with pytest.raises(AttributeError, match="module 'flagpost' has no attribute 'flaged'"):
        flagpost.flaged  # noqa: B018
