"""The job that every peer does, as far as Python can share it.

A transaction is scored from its amount and the customer's windows. A window (t - W, t] of the
transaction at event time t holds all transactions of the same customer that are not after it in its
partition and whose event time is in it: itself, and also those that came late. Histories are cut
31 days behind the customer's newest event, so what comes up to a day late is still exact.

Only the standard library and msgspec are at hand: the peers have their own virtual environments.
"""

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from operator import mul
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
KEPT_MS = 31 * DAY_MS
FEW = 32
"""So many transactions are cut off at once: each cut moves all that stay."""

FEATURES = (
    "amount",
    "customer_tx_count_1h", "customer_tx_count_24h",
    "customer_tx_count_7d", "customer_tx_count_30d",
    "customer_total_amount_1h", "customer_total_amount_24h",
    "customer_avg_amount_24h", "customer_avg_amount_7d", "customer_avg_amount_30d",
)  # fmt: skip
"""In the order of the coefficients; amounts in units of the currency."""

MODEL_FILE = Path(__file__).with_name("logistic_regression.json")


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """What the job needs of a message; the other fields are skipped while it is decoded."""

    transaction_id: str
    user_id: str
    timestamp: datetime
    amount: float

    @property
    def time_ms(self) -> int:
        """Event time, milliseconds since 1970."""
        return int(self.timestamp.timestamp() * 1000)

    @property
    def cents(self) -> int:
        """The amount in integers, so that sums are exact."""
        return round(self.amount * 100)


decode = msgspec.json.Decoder(Transaction).decode


class LogisticRegression(msgspec.Struct, frozen=True):
    """The coefficients that all peers use; a probability from the threshold on is flagged."""

    features: tuple[str, ...]
    coefficients: tuple[float, ...]
    intercept: float
    threshold: float

    @classmethod
    def load(cls) -> Self:
        """Read the file beside this module."""
        return msgspec.json.decode(MODEL_FILE.read_bytes(), type=cls)

    def probability(self, features: Sequence[float]) -> float:
        """Return the probability of fraud."""
        log_odds = sum(map(mul, self.coefficients, features), self.intercept)
        return 1 / (1 + math.exp(-log_odds))


class History:
    """One customer's transactions, oldest first: event times and running totals of cents.

    There is one total more than there are times: the sum over entries [i, j) is
    `totals[j] - totals[i]`.
    """

    __slots__ = ("times_ms", "totals_cents")

    def __init__(
        self, times_ms: Sequence[int] = (), totals_cents: Sequence[int] | None = None
    ) -> None:
        self.times_ms = array("q", times_ms)
        self.totals_cents = array("q", (0,) if totals_cents is None else totals_cents)

    @classmethod
    def from_bytes(cls, packed: bytes | None) -> "History":
        """Read what `to_bytes` has written; None is a customer without one."""
        history = cls()
        if packed:
            times = len(packed) // 16 * 8
            history.times_ms.frombytes(packed[:times])
            history.totals_cents = array("q", packed[times:])
        return history

    def to_bytes(self) -> bytes:
        """Pack it for a state store: 16 bytes a transaction and 8 more."""
        return self.times_ms.tobytes() + self.totals_cents.tobytes()

    def observe(self, time_ms: int, cents: int) -> tuple[float, ...]:
        """Add a transaction and return its features."""
        times, totals = self.times_ms, self.totals_cents
        if not times or time_ms >= times[-1]:
            end = len(totals)
            total = totals[-1] + cents
            times.append(time_ms)
            totals.append(total)
            if end > FEW and times[FEW] <= time_ms - KEPT_MS:
                end -= self._cut(time_ms - KEPT_MS)
        else:
            end = self._insert(time_ms, cents)
            total = totals[end]
        first_30d = bisect_right(times, time_ms - 30 * DAY_MS, 0, end)
        first_7d = bisect_right(times, time_ms - 7 * DAY_MS, first_30d, end)
        first_24h = bisect_right(times, time_ms - DAY_MS, first_7d, end)
        first_1h = bisect_right(times, time_ms - HOUR_MS, first_24h, end)
        n_24h = end - first_24h
        n_7d = end - first_7d
        n_30d = end - first_30d
        total_24h = total - totals[first_24h]
        return (
            cents / 100,
            end - first_1h,
            n_24h,
            n_7d,
            n_30d,
            (total - totals[first_1h]) / 100,
            total_24h / 100,
            total_24h / (100 * n_24h),
            (total - totals[first_7d]) / (100 * n_7d),
            (total - totals[first_30d]) / (100 * n_30d),
        )

    def _insert(self, time_ms: int, cents: int) -> int:
        """Put a late transaction behind those of its time; how many end with it."""
        end = bisect_right(self.times_ms, time_ms) + 1
        self.times_ms.insert(end - 1, time_ms)
        self.totals_cents.insert(end, self.totals_cents[end - 1])
        for later in range(end, len(self.totals_cents)):
            self.totals_cents[later] += cents
        return end

    def _cut(self, last_ms: int) -> int:
        """Forget what is so old; how many there were."""
        old = bisect_right(self.times_ms, last_ms)
        del self.times_ms[:old]
        del self.totals_cents[:old]
        return old


class Flagged(NamedTuple):
    """A row of the table that the job fills."""

    transaction_id: str
    user_id: str
    event_time: datetime
    amount_cents: int
    fraud_probability: float


class Scorer:
    """Flags transactions whose probability reaches a threshold."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._regression = LogisticRegression.load()

    def score(self, history: History, transaction: Transaction) -> Flagged | None:
        """Add a transaction to its customer's history; the row to write if it is flagged."""
        cents = transaction.cents
        features = history.observe(transaction.time_ms, cents)
        probability = self._regression.probability(features)
        if probability < self._threshold:
            return None
        return Flagged(
            transaction.transaction_id,
            transaction.user_id,
            transaction.timestamp,
            cents,
            probability,
        )


TABLE = "peer_flagged"

CREATE_TABLE = """
    CREATE TABLE IF NOT EXISTS peer_flagged (
        transaction_id text PRIMARY KEY,
        user_id text NOT NULL,
        event_time timestamptz NOT NULL,
        amount_cents bigint NOT NULL,
        fraud_probability double precision NOT NULL
    )
"""

UPSERT = """
    INSERT INTO peer_flagged
    SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::bigint[],
                         %s::double precision[])
    ON CONFLICT (transaction_id) DO UPDATE SET
        user_id = excluded.user_id, event_time = excluded.event_time,
        amount_cents = excluded.amount_cents, fraud_probability = excluded.fraud_probability
"""
"""One statement for any number of rows, given as columns; no id twice in one statement."""


def columns(rows: Sequence[Flagged]) -> list[list[object]]:
    """Turn at least one row into the parameters of `UPSERT`; of rows with one id the last stays."""
    distinct = {row.transaction_id: row for row in rows}.values()
    return [list(column) for column in zip(*distinct, strict=True)]
