"""The flagged transactions as a DataFrame."""

from datetime import UTC, date, datetime
from typing import cast

import pandas as pd
import pytest
from sqlalchemy import Engine, text

from flagpost import flagged
from flagpost.postgres.tables import FraudTransaction


def flag(engine: Engine, transaction_id: str, terminal_id: str | None, day: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO scores.fraud_transactions VALUES (:id, 'u1', :terminal, :ts, 12.5,"
                 " 0.9, 'HIGH', :reasons, 'v1', 'tx', 0, :day, :ts, '{0.5}')"),
            {"id": transaction_id, "terminal": terminal_id, "day": day,
             "ts": datetime(2025, 3, day, tzinfo=UTC), "reasons": '[{"reason": "UNUSUAL_TIME"}]'},
        )  # fmt: skip


def test_columns_have_the_same_types_with_rows_and_without(engine: Engine) -> None:
    none = flagged(engine)
    flag(engine, "t1", None, 1)
    nameless = flagged(engine)
    flag(engine, "t2", "m1", 2)
    some = flagged(engine)

    assert list(none.columns) == list(FraudTransaction.__table__.columns.keys())
    assert (len(none), len(nameless), len(some)) == (0, 1, 2)
    assert none.dtypes.equals(some.dtypes)
    assert nameless.dtypes.equals(some.dtypes)
    assert str(none["ts"].dtype) == "datetime64[us, UTC]"
    assert nameless["terminal_id"].isna().all()
    assert some["reasons"].tolist() == [[{"reason": "UNUSUAL_TIME"}]] * 2
    assert some["features"].tolist() == [[0.5]] * 2
    assert none["amount"].sum() == 0


def test_earlier_ones_are_left_out(engine: Engine) -> None:
    for day in (2, 1, 3):
        flag(engine, f"t{day}", "m1", day)

    assert flagged(engine)["transaction_id"].tolist() == ["t1", "t2", "t3"]
    since = pd.Timestamp("2025-03-02", tz="UTC")
    assert flagged(engine, since=since)["transaction_id"].tolist() == ["t2", "t3"]


@pytest.mark.parametrize("since", ["2025-03-01", date(2025, 3, 1), 1740787200])
def test_what_is_no_datetime_is_refused(engine: Engine, since: object) -> None:
    with pytest.raises(TypeError, match=r"^since is a \w+; make it a datetime: pandas\.Timestamp"):
        flagged(engine, since=cast("datetime", since))


def test_what_is_no_engine_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^engine is a str; make one: .*\.create_engine\(url\)"):
        flagged(cast("Engine", "postgresql://"))
