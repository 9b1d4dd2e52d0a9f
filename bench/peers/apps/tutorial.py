"""The tutorial way: one message, one DataFrame, one commit. The state is a dict in memory.

It is what introductions to Kafka and scikit-learn show, put together; nothing is batched.
"""

import json
from collections import defaultdict
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import psycopg2
from kafka import KafkaConsumer
from sklearn.linear_model import LogisticRegression as SklearnRegression

from bench.peers.job import FEATURES, LogisticRegression
from bench.peers.task import Stopwatch, Task

INSERT = """
    INSERT INTO peer_flagged VALUES (%s, %s, %s, %s, %s) ON CONFLICT (transaction_id) DO NOTHING
"""
WINDOWS = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}


def main() -> None:
    """Score everything in the topic."""
    task, stopwatch = Task.from_environment(), Stopwatch()
    model = load_model()
    history: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    database = psycopg2.connect(task.database_url)
    consumer = KafkaConsumer(
        task.topic,
        bootstrap_servers=task.bootstrap,
        group_id=task.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        value_deserializer=json.loads,
    )
    for message in consumer:
        transaction = message.value
        time = datetime.fromisoformat(transaction["timestamp"])
        history[transaction["user_id"]].append((time, transaction["amount"]))
        features = window_features(history[transaction["user_id"]], time, transaction["amount"])
        probability = model.predict_proba(pd.DataFrame([features], columns=FEATURES))[0, 1]
        if probability >= task.threshold:
            with database, database.cursor() as cursor:
                cents = round(100 * transaction["amount"])
                row = transaction["transaction_id"], transaction["user_id"], time, cents
                cursor.execute(INSERT, (*row, float(probability)))
        consumer.commit()
        if stopwatch.count() == task.events:
            break
    stopwatch.finish()
    consumer.close()


def window_features(
    history: list[tuple[datetime, float]], time: datetime, amount: float
) -> dict[str, float]:
    """Add up the customer's transactions in each window."""
    features = {"amount": amount}
    for name, length in WINDOWS.items():
        amounts = [spent for at, spent in history if time - length < at <= time]
        features[f"customer_tx_count_{name}"] = len(amounts)
        features[f"customer_total_amount_{name}"] = sum(amounts)
        features[f"customer_avg_amount_{name}"] = sum(amounts) / len(amounts)
    return features


def load_model() -> SklearnRegression:
    """Make a scikit-learn model of the coefficients that all peers use."""
    regression = LogisticRegression.load()
    model = SklearnRegression()
    model.classes_ = np.array([0, 1])
    model.coef_ = np.array([regression.coefficients])
    model.intercept_ = np.array([regression.intercept])
    model.feature_names_in_ = np.array(FEATURES, dtype=object)
    model.n_features_in_ = len(FEATURES)
    return model


if __name__ == "__main__":
    main()
