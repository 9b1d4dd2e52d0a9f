"""The rows of a comparison, from a log with labels, from DataFrames or a file of the Handbook.

Features are computed once, with the mean amount before the test as the prior of a customer without
habits; a saved model that brings another mean is compared on the same features.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from flagpost.core.calendar import DAY_US
from flagpost.core.features import FEATURE_NAMES, LABEL_DELAY_US
from flagpost.core.history import Int64s
from flagpost.progress import progress_bar
from flagpost.training.compare import Plan, Rows
from flagpost.training.handbook import observe_handbook, read_handbook
from flagpost.training.labels import find_frauds
from flagpost.training.offline import DecodedLog, OfflineFeatures, observe_log


def handbook_rows(path: Path, plan: Plan) -> Rows:
    """Read a file of the Handbook and compute its features; blocks.

    Raises:
        UnreadableInput: it is not such a file.
    """
    transactions = read_handbook(path)
    end_day = plan.train_end_day(int(transactions.day.max()))
    with progress_bar(f"Features of {path.name}") as on_progress:
        matrix = observe_handbook(
            transactions, transactions.mean_amount_cents(end_day), on_progress
        )
    event_time_us, is_fraud = transactions.event_time_us, transactions.is_fraud
    return Rows(
        name=path.name,
        matrix=matrix,
        event_time_us=event_time_us,
        customer=transactions.customer_id,
        is_fraud=is_fraud,
        frauds_known_by=lambda time_us: is_fraud & (event_time_us + LABEL_DELAY_US <= time_us),
    )


def log_rows(name: str, decoded: DecodedLog, plan: Plan) -> Rows:
    """Compute the features of a decoded log with at least one transaction; blocks."""
    end_day = plan.train_end_day(int(decoded.event_time_us.max()) // DAY_US)
    features = observe_log(decoded, decoded.mean_amount_cents(end_day * DAY_US))
    return Rows(
        name=name,
        matrix=features.matrix,
        event_time_us=features.event_time_us,
        customer=_customers(decoded, features),
        is_fraud=find_frauds(decoded.labels, features.transaction_id),
        frauds_known_by=lambda time_us: find_frauds(
            decoded.labels, features.transaction_id, time_us
        ),
    )


def frame_rows(name: str, transactions: pd.DataFrame, features: pd.DataFrame) -> Rows:
    """Take rows from DataFrames; repeated deliveries, which have no features, are left out.

    Args:
        name: of the data.
        transactions: as `flagpost.read_log` gives them. The last label of each says what is known
            of it, from `known_at` on.
        features: of the same rows, as `flagpost.features` gives them.
    """
    is_first = features.notna().all(axis=1)
    transactions, features = transactions[is_first], features[is_first]
    times = transactions["timestamp"].dt.tz_convert(None).to_numpy("datetime64[us]")
    is_fraud, known_at = transactions["is_fraud"].to_numpy(), transactions["known_at"]
    return Rows(
        name=name,
        matrix=features[list(FEATURE_NAMES)].to_numpy(),
        event_time_us=times.view(np.int64),
        customer=pd.factorize(transactions["user_id"])[0],
        is_fraud=is_fraud,
        frauds_known_by=lambda time_us: (
            is_fraud & (known_at <= pd.Timestamp(time_us, unit="us", tz="UTC")).to_numpy()
        ),
    )


def _customers(decoded: DecodedLog, features: OfflineFeatures) -> Int64s:
    user_key = dict[str, int]()
    for batch in decoded.batches:
        user_key.update(zip(batch.transaction_id, batch.user_key.tolist(), strict=True))
    return np.array([user_key[each] for each in features.transaction_id], np.int64)
