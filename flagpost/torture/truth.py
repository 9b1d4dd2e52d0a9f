"""What has to come out, computed from the log alone and in one thread.

Scores come from the offline pass over the file. What is a duplicate and what cannot be read is
found out message by message, from what the topics hold.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flagpost.core.calendar import DAY_US, HOUR_US
from flagpost.core.effects import Counts
from flagpost.core.history import Int64s
from flagpost.core.spread import SAMPLE_EVERY
from flagpost.events import BadMessage, Partition, TransactionDecoder, Transactions
from flagpost.label_events import LabelDecoder, Labels
from flagpost.postgres.times import to_datetime
from flagpost.torture.delivered import Delivered
from flagpost.torture.offline_scores import OfflineScores


class Fate(IntEnum):
    """What becomes of a message, in the order of the counts; a label that is learned is clean."""

    CLEAN = 0
    FLAGGED = 1
    DUPLICATE = 2
    DEAD = 3


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model that scores every message from these offsets on; 0 where a partition is missing."""

    version: str
    since: Mapping[Partition, int]


class Cell(NamedTuple):
    """Which transactions are added up together; the hour is theirs, counted from 1970."""

    model_version: str
    hour: int
    fraud_reason: str


class Sums(NamedTuple):
    """What some transactions add up to."""

    tx_count: int
    amount_cents: int
    fraud_probability_millionths: int


class FlaggedRow(NamedTuple):
    """What the fraud table says of a transaction; the features are the bytes of their doubles."""

    transaction_id: str
    user_id: str
    terminal_id: str | None
    ts: datetime
    amount: Decimal
    fraud_probability: float
    risk_level: str
    reasons: list[dict[str, Any]]
    model_version: str
    features: bytes


class KeptRow(NamedTuple):
    """What the kept scores say of a transaction; the features as above."""

    transaction_id: str
    user_id: str
    terminal_id: str | None
    ts: datetime
    fraud_probability: float
    is_flagged: bool
    model_version: str
    features: bytes


class LabelRow(NamedTuple):
    """What the table of labels says of one."""

    transaction_id: str
    user_id: str | None
    terminal_id: str | None
    ts: datetime
    is_fraud: bool
    known_at: datetime
    source: str | None


class Letter(NamedTuple):
    """What a dead letter says: the message as it was, and what is wrong with it."""

    key: bytes | None
    value: bytes | None
    reason: str
    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class Truth:
    """What has to become of the n messages of a partition, and of its k entries in the journal.

    Attributes:
        fates: (n,) a `Fate` each.
        sent_us: (n,) when it was sent, microseconds since 1970; never falls.
        stream_time_us: (n,) the latest event time up to each message, 0 before the first good one.
        flagged: by offset, what is flagged.
        kept: by offset, what is scored.
        labels: by offset, what is learned.
        letters: by offset, what is bad.
        totals: of what is scored.
        spread: by model version, how many sampled transactions fall into each bin; none are zero
            all over.
        entry_offsets: (k,) the messages that the journal has to hold, in order.
        entries: (k, columns) what the journal has to say of them.
    """

    fates: NDArray[np.int8]
    sent_us: Int64s
    stream_time_us: Int64s
    flagged: dict[int, FlaggedRow]
    kept: dict[int, KeptRow]
    labels: dict[int, LabelRow]
    letters: dict[int, Letter]
    totals: dict[Cell, Sums]
    spread: dict[str, list[int]]
    entry_offsets: Int64s
    entries: Int64s

    def counts(self, start: int, end: int) -> Counts:
        """Return what has to be counted for the offsets [start, end)."""
        of_each = np.bincount(self.fates[start:end], minlength=len(Fate)).tolist()
        return Counts(sum(of_each), *of_each)

    def event_time_us(self, end: int) -> int | None:
        """Return the latest event time before an offset, None if no good message is there."""
        return int(self.stream_time_us[:end].max(initial=0)) or None

    def good_times_us(self, start: int, end: int) -> Int64s:
        """Return the stream time at each good message of the offsets [start, end)."""
        return self.stream_time_us[start:end][self.fates[start:end] != Fate.DEAD]

    def opens_hour(self, start: int, end: int) -> bool:
        """Say whether the stream comes to a later hour in the first day of [start, end).

        A batch is counted by days, each in its last hour. The first messages open one, too.
        """
        reached_us, times_us = self.event_time_us(start), self.good_times_us(start, end)
        if reached_us is None or not times_us.size:
            return reached_us is None
        first_day = times_us[times_us < (times_us[0] // DAY_US + 1) * DAY_US]
        return bool(first_day.max() // HOUR_US > reached_us // HOUR_US)


def transaction_rows(entries: Transactions) -> Int64s:
    """Return what identifies transactions, in the journal as in the topic; (n, 4)."""
    return np.column_stack(
        [entries.transaction_key, entries.user_key, entries.event_time_us, entries.amount_cents]
    )


def label_rows(entries: Labels) -> Int64s:
    """Return what identifies labels, in the journal as in the topic; (n, 3)."""
    is_fraud = entries.is_fraud.astype(np.int64)
    return np.column_stack([entries.transaction_key, entries.known_at_us, is_fraud])


def truth_of_transactions(
    delivered: Delivered,
    decoder: TransactionDecoder,
    latest_event_time_us: int,
    scored: Mapping[str, OfflineScores],
    uses: Sequence[ModelUse],
) -> Truth:
    """Say what has to become of a partition of transactions.

    Args:
        delivered: the messages.
        decoder: reads them.
        latest_event_time_us: later ones are bad.
        scored: for each model version, what it says of the whole log.
        uses: which model scores from which offset on, the first one from the beginning.
    """
    rows, bad = decoder.decode(delivered.values, latest_event_time_us)
    is_first = _is_first(transaction_rows(rows)[:, :3])
    fates = np.full(len(delivered.messages), Fate.DEAD, np.int8)
    fates[rows.message_index] = Fate.DUPLICATE
    accepted = rows.take(is_first)
    offsets = accepted.message_index
    version_of = _versions_at(offsets, delivered.partition, uses)
    names = np.array(accepted.transaction_id, dtype=object)
    flagged, kept = dict[int, FlaggedRow](), dict[int, KeptRow]()
    totals, spread = dict[Cell, Sums](), dict[str, list[int]]()
    for version, scores in scored.items():
        chosen = version_of == version
        found = scores.decisions.loc[names[chosen]]
        is_flagged = found["is_flagged"].to_numpy(np.bool_)
        fates[offsets[chosen]] = np.where(is_flagged, Fate.FLAGGED, Fate.CLEAN)
        for offset, row in _decided(version, accepted.take(chosen), found):
            kept[offset] = KeptRow(**{name: row[name] for name in KeptRow._fields})
            if row["is_flagged"]:
                flagged[offset] = FlaggedRow(**{name: row[name] for name in FlaggedRow._fields})
        totals |= _totals(version, accepted.take(chosen), found)
        is_sampled = accepted.transaction_key[chosen] % SAMPLE_EVERY == 0
        bins = scores.bins.loc[names[chosen][is_sampled]].to_numpy().ravel()
        if bins.size:
            spread[version] = np.bincount(bins, minlength=scores.n_bins).tolist()
    return Truth(
        fates,
        sent_us=delivered.sent_us,
        stream_time_us=_stream_time_us(fates.size, rows.message_index, rows.event_time_us),
        flagged=flagged,
        kept=kept,
        labels={},
        letters=_letters(delivered, bad),
        totals=totals,
        spread=spread,
        entry_offsets=offsets,
        entries=transaction_rows(accepted),
    )


def truth_of_labels(delivered: Delivered, latest_known_at_us: int) -> Truth:
    """Say what has to become of a partition of labels; the journal keeps duplicates of them."""
    rows, bad = LabelDecoder().decode(delivered.values, latest_known_at_us)
    is_first = _is_first(label_rows(rows))
    fates = np.full(len(delivered.messages), Fate.DEAD, np.int8)
    fates[rows.message_index] = np.where(is_first, Fate.CLEAN, Fate.DUPLICATE)
    learned = rows.take(is_first)
    return Truth(
        fates,
        sent_us=delivered.sent_us,
        stream_time_us=_stream_time_us(fates.size, rows.message_index, rows.known_at_us),
        flagged={},
        kept={},
        labels=dict(zip(learned.message_index.tolist(), _stored_labels(learned), strict=True)),
        letters=_letters(delivered, bad),
        totals={},
        spread={},
        entry_offsets=rows.message_index,
        entries=label_rows(rows),
    )


def _decided(
    version: str, rows: Transactions, decisions: pd.DataFrame
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Say of each transaction all that the tables may say of it, by the names of their columns."""
    cents = rows.amount_cents.tolist()
    told: dict[str, Iterable[Any]] = {
        "transaction_id": rows.transaction_id,
        "user_id": rows.user_id,
        "terminal_id": rows.terminal_id,
        "ts": map(to_datetime, rows.event_time_us.tolist()),
        "amount": (Decimal(each).scaleb(-2) for each in cents),
        "model_version": [version] * len(cents),
        **{str(name): column.tolist() for name, column in decisions.items()},
    }
    for offset, *values in zip(rows.message_index.tolist(), *told.values(), strict=True):
        yield offset, dict(zip(told, values, strict=True))


def _stored_labels(labels: Labels) -> Iterator[LabelRow]:
    yield from map(
        LabelRow,
        labels.transaction_id,
        labels.user_id,
        labels.terminal_id,
        map(to_datetime, labels.event_time_us.tolist()),
        labels.is_fraud.tolist(),
        map(to_datetime, labels.known_at_us.tolist()),
        labels.source,
    )


def _letters(delivered: Delivered, bad: Sequence[BadMessage]) -> dict[int, Letter]:
    """Say what has to be in the dead letters; what is no Unicode in a text becomes a question."""
    letters = dict[int, Letter]()
    for each in bad:
        message = delivered.messages[each.message_index]
        texts = each.reason.value, each.field or "", each.detail
        sent = [text.encode(errors="replace").decode() for text in texts]
        letters[each.message_index] = Letter(message.key(), message.value(), *sent)
    return letters


def _stream_time_us(n_messages: int, message_index: Int64s, event_time_us: Int64s) -> Int64s:
    times_us = np.zeros(n_messages, np.int64)
    times_us[message_index] = event_time_us
    return np.maximum.accumulate(times_us)


def _is_first(identities: Int64s) -> NDArray[np.bool_]:
    """Say which rows no earlier row equals."""
    is_first = np.zeros(len(identities), np.bool_)
    is_first[np.unique(identities, axis=0, return_index=True)[1]] = True
    return is_first


def _versions_at(
    offsets: Int64s, partition: Partition, uses: Sequence[ModelUse]
) -> NDArray[np.object_]:
    since = [use.since.get(partition, 0) for use in uses]
    versions = np.array([use.version for use in uses], dtype=object)
    return versions[np.searchsorted(since, offsets, side="right") - 1]


def _totals(version: str, rows: Transactions, decisions: pd.DataFrame) -> dict[Cell, Sums]:
    """Add up what was decided on these rows, by their hours and reasons."""
    summed = pd.DataFrame(
        {
            "hour": rows.event_time_us // HOUR_US,
            "fraud_reason": decisions["fraud_reason"].to_numpy(),
            "tx_count": 1,
            "amount_cents": rows.amount_cents,
            "millionths": np.rint(1e6 * decisions["fraud_probability"].to_numpy()).astype(np.int64),
        }
    ).groupby(["hour", "fraud_reason"])
    columns = summed.sum().reset_index()
    return {
        Cell(version, hour, reason): Sums(*sums)
        for hour, reason, *sums in columns.itertuples(index=False)
    }
