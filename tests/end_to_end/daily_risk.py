"""What the daily tables have to say, computed from the log itself with pandas."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg

from flagpost.core.decision import explain
from flagpost.core.features import FEATURE_NAMES
from flagpost.model import FraudModel
from flagpost.settings import PRETRAINED_MODEL

Days = list[tuple[Any, ...]]

DAILY = (
    "SELECT event_day::text, tx_count, avg_tx_amount, risky_tx_count, ctr, fraud_score,"
    " fraud_label, fraud_reason FROM feature.training_fraud_daily ORDER BY event_day"
)
HOURLY = (
    "SELECT hour::text, tx_count, amount, flagged_count, flagged_amount"
    " FROM feature.hourly_volume ORDER BY hour"
)


def read_log(log: Path, evaluated: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the transactions of a log, each once, with their offline scores; and the labels."""
    lines = pd.read_json(log, lines=True, dtype=False)
    is_label = lines["type"] == "label"
    rows = lines[~is_label].drop_duplicates("transaction_id")
    rows = rows.merge(evaluated, on="transaction_id", suffixes=("", "_feature"))
    rows["cents"] = (rows["amount"] * 100).round().astype("int64")
    rows["millionths"] = np.rint(rows["fraud_probability"] * 1e6).astype("int64")
    rows["event_day"] = rows["timestamp"].str[:10]
    rows["hour"] = rows["timestamp"].str[:13].str.replace("T", " ") + ":00:00+00"
    rows["reason"] = ""
    flagged = rows[rows["is_flagged"]]
    times = pd.to_datetime(flagged["timestamp"]).astype("datetime64[us, UTC]")
    reasons = explain(
        FraudModel.load(PRETRAINED_MODEL).scorer,
        flagged[list(FEATURE_NAMES)].to_numpy(),
        (flagged["amount"] > 0.95 * flagged["account_balance"]).to_numpy(),
        np.array(times.astype("int64"), np.int64),
    )
    rows.loc[rows["is_flagged"], "reason"] = [str(each[0]["code"]) for each in reasons]
    return rows, lines[is_label]


def daily_risk(rows: pd.DataFrame, labels: pd.DataFrame, ctr: dict[str, float]) -> Days:
    """Compute every number of `feature.training_fraud_daily`."""
    ordered = labels.sort_values(["known_at", "is_fraud"])
    latest = ordered.drop_duplicates("transaction_id", keep="last")
    frauds = latest.loc[latest["is_fraud"].astype(bool), "timestamp"].str[:10]
    days = []
    for day, each in rows.groupby("event_day"):
        counts = each.loc[each["is_flagged"], "reason"].value_counts()
        most = sorted(counts.index, key=lambda reason, counts=counts: (-counts[reason], reason))  # type: ignore[misc]
        days.append((
            day, len(each), int(each["cents"].sum()) / (100 * len(each)),
            int(each["is_flagged"].sum()), ctr.get(str(day)),
            int(each["millionths"].sum()) / (1_000_000 * len(each)),
            int((frauds == day).any()), [*most, "NORMAL"][0],
        ))  # fmt: skip
    return days


def hourly_volume(rows: pd.DataFrame) -> Days:
    """Compute every number of `feature.hourly_volume` but the shares."""
    flagged_cents = rows["cents"].where(rows["is_flagged"], 0)
    hours = rows.assign(flagged_cents=flagged_cents).groupby("hour").agg(
        tx_count=("cents", "size"), cents=("cents", "sum"), flagged=("is_flagged", "sum"),
        flagged_cents=("flagged_cents", "sum"),
    )  # fmt: skip
    return list(hours.itertuples(name=None))


def query(database_url: object, statement: str) -> Days:
    with psycopg.connect(str(database_url)) as connection:
        return connection.execute(statement.encode()).fetchall()
