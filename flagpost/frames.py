"""Logs and features as DataFrames: the worker's own pipeline, for notebooks and analyses."""

import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.errors import ParserWarning

from flagpost.clock import latest_event_time_us
from flagpost.core.features import FEATURE_NAMES
from flagpost.core.history import Int64s
from flagpost.core.piece import joined, reordered
from flagpost.errors import UnreadableInput
from flagpost.events import UNKNOWN_BALANCE, BadMessage, TransactionDecoder, load_mapping
from flagpost.label_events import LabelDecoder, Labels
from flagpost.logs import messages_of
from flagpost.model import FraudModel
from flagpost.saved_model import load_saved_model
from flagpost.settings import PRETRAINED_MODEL
from flagpost.training.labels import in_order_of_knowing
from flagpost.training.offline import BadLine, DecodedLog, decode_log, observe_log

MAX_FUTURE_DAYS = 1.0
"""A later time is an error of the sender, as it is for a worker by default."""

_REQUIRED = ("transaction_id", "timestamp", "user_id", "amount")
_OPTIONAL = ("terminal_id", "account_balance")
_OF_LABELS = ("transaction_id", "timestamp", "terminal_id", "is_fraud", "known_at")
_TEXT = pd.StringDtype(na_value=np.nan)


def read_log(
    path: str | PathLike[str], *, mapping: str | PathLike[str] | None = None
) -> pd.DataFrame:
    """Read the transactions of a log, and what its labels say of them.

    The ending tells the form: JSON lines (`.json`, `.jsonl`, `.ndjson`), `.csv` or `.parquet`; all
    but Parquet may end in `.gz`. Blocks.

    Args:
        path: of the log.
        mapping: a TOML file that names the fields of somebody else's transactions.

    Returns:
        A row for each transaction in file order, repeated deliveries included, with an index that
        counts them from 0:

        - `transaction_id`, `user_id`, `terminal_id`: texts; a terminal may be missing.
        - `timestamp`: when it happened, in UTC, to the microsecond.
        - `amount`, `account_balance`: in currency units, exact to the cent; a balance may be NaN.
        - `is_fraud`: what its last label says; without a label it counts as genuine.
        - `known_at`: since when that label is known, in UTC; NaT without a label.

        Fields that no feature uses are left out. So are lines that a worker would send to the dead
        letters: a `pandas.errors.ParserWarning` counts them and quotes the first, and
        `.attrs["bad_lines"]` lists them all, each with `line`, `reason` and `detail`.

    Raises:
        UnreadableInput: the file is missing or not what its ending says, or no line can be used.
        BadConfiguration: the mapping is wrong.
    """
    decoded = _decoded(path, mapping)
    rows = joined(decoded.batches)
    frame = pd.DataFrame({
        "transaction_id": _texts(rows.transaction_id),
        "timestamp": _times(rows.event_time_us),
        "user_id": _texts(rows.user_id),
        "terminal_id": _texts(rows.terminal_id),
        "amount": rows.amount_cents / 100,
        "account_balance": np.where(
            rows.account_balance_cents == UNKNOWN_BALANCE, np.nan, rows.account_balance_cents / 100
        ),
    })  # fmt: skip
    last = _label_frame(decoded.labels).drop_duplicates("transaction_id", keep="last")
    said = last.set_index("transaction_id").reindex(frame["transaction_id"])
    frame["is_fraud"] = said["is_fraud"].eq(other=True).to_numpy()
    frame["known_at"] = said["known_at"].array
    _tell_of(decoded.bad_lines, path, frame)
    return frame


def read_labels(path: str | PathLike[str]) -> pd.DataFrame:
    """Read all labels of a log, corrections too, in the order in which they became known. Blocks.

    Returns:
        A row for each label: `transaction_id`, `user_id`, `terminal_id` and `timestamp` of the
        transaction, `is_fraud`, `known_at` and `source`; times are in UTC. Of bad labels it tells
        as `read_log` does of bad lines.

    Raises:
        UnreadableInput: the file is missing or not what its ending says, or no line can be used.
    """
    decoded = _decoded(path, None)
    frame = _label_frame(decoded.labels)
    _tell_of([line for line in decoded.bad_lines if line.is_label], path, frame)
    return frame


def features(
    transactions: pd.DataFrame,
    labels: pd.DataFrame | None = None,
    *,
    model: FraudModel | None = None,
) -> pd.DataFrame:
    """Compute every feature of every transaction from what came before it.

    This is the worker's own code. Of transactions that came in the order of their times the values
    equal those of `scores.flagged_features` to the last bit; one that came late is taken here as if
    it had been in time. The order of the rows changes nothing: they are taken by `timestamp`, and
    by the index where times are equal. Blocks, for some three seconds with 300,000 transactions.

    Args:
        transactions: n of them, as `read_log` gives them. `transaction_id`, `timestamp`, `user_id`
            and `amount` are needed, `terminal_id` and `account_balance` may be absent: then no
            terminal is known, and no balance. Times without a zone are in UTC.
        labels: what became known of them, as `read_labels` gives it. By default the columns
            `is_fraud` and `known_at`, which have room for the last label of each transaction, and
            not for what had been thought before a correction.
        model: whose mean amount stands for the habit of a customer without one; by default the
            pretrained one. Values are those of a worker with this model.

    Returns:
        A column for each of `FEATURE_NAMES`, with the index of `transactions`. A repeated delivery
        is no transaction and has no features: its row is NaN.

    Raises:
        ValueError: a column is missing, or a worker would refuse a row; the message names it.
    """
    if labels is None:
        labels = _labels_in(transactions)
    rows, bad = TransactionDecoder().decode(
        _messages(transactions, "transactions", _REQUIRED, _OPTIONAL), _latest_us()
    )
    _refuse(bad, "transactions", transactions.index)
    said, bad = LabelDecoder().decode(_messages(labels, "labels", _OF_LABELS, ()), _latest_us())
    _refuse(bad, "labels", labels.index)
    order = np.lexsort((_ranks(transactions.index), rows.event_time_us))
    decoded = DecodedLog([reordered(rows, order)], in_order_of_knowing(said), [])
    observed = observe_log(decoded, _mean_amount_cents(model))
    matrix = np.full((len(transactions), len(FEATURE_NAMES)), np.nan)
    matrix[order[~observed.is_duplicate]] = observed.matrix
    return pd.DataFrame(matrix, index=transactions.index, columns=list(FEATURE_NAMES), copy=False)


def _decoded(path: str | PathLike[str], mapping: str | PathLike[str] | None) -> DecodedLog:
    decoder = TransactionDecoder(load_mapping(Path(mapping) if mapping else None))
    decoded = decode_log(Path(path), decoder, _latest_us())
    if not (decoded.event_time_us.size or decoded.labels.event_time_us.size):
        raise UnreadableInput(
            f"{path} holds neither transactions nor labels; {_quote(decoded.bad_lines[0])} Where "
            "its fields have other names, give read_log a mapping"
        )
    return decoded


def _latest_us() -> int:
    return latest_event_time_us(MAX_FUTURE_DAYS)


def _label_frame(labels: Labels) -> pd.DataFrame:
    return pd.DataFrame({
        "transaction_id": _texts(labels.transaction_id),
        "timestamp": _times(labels.event_time_us),
        "user_id": _texts(labels.user_id),
        "terminal_id": _texts(labels.terminal_id),
        "is_fraud": labels.is_fraud,
        "known_at": _times(labels.known_at_us),
        "source": _texts(labels.source),
    })  # fmt: skip


def _texts(texts: Sequence[str | None]) -> "pd.api.extensions.ExtensionArray":
    return pd.array(list(texts), dtype=_TEXT)


def _times(times_us: Int64s) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(times_us.view("datetime64[us]")).tz_localize("UTC")


def _tell_of(bad_lines: Sequence[BadLine], path: str | PathLike[str], frame: pd.DataFrame) -> None:
    """Note the lines that were left out in the attributes of the frame, and warn of them."""
    frame.attrs["bad_lines"] = [
        {"line": line.number, "reason": line.problem.reason.value, "detail": line.problem.detail}
        for line in bad_lines
    ]
    if bad_lines:
        warnings.warn(
            f"{Path(path).name}: bad lines left out: {len(bad_lines):,} (all are in "
            f".attrs['bad_lines']); {_quote(bad_lines[0])}",
            ParserWarning,
            stacklevel=3,
        )


def _quote(line: BadLine) -> str:
    return f"line {line.number}: {line.problem.detail}"


def _labels_in(transactions: pd.DataFrame) -> pd.DataFrame:
    """Take the columns `is_fraud` and `known_at` for labels.

    Raises:
        ValueError: one of them is there without the other.
    """
    if "known_at" in transactions and "is_fraud" in transactions:
        labels = transactions[transactions["known_at"].notna()]
        return labels if "terminal_id" in labels else labels.assign(terminal_id=None)
    if "is_fraud" in transactions:
        msg = (
            "transactions has is_fraud but not known_at, the time at which each label became "
            "known (NaT: no label); add it, or leave is_fraud out"
        )
        raise ValueError(msg)
    if "known_at" in transactions:
        msg = (
            "transactions has known_at but not is_fraud, what each label says; add it, or leave "
            "known_at out"
        )
        raise ValueError(msg)
    return pd.DataFrame(columns=list(_OF_LABELS))


def _messages(
    frame: pd.DataFrame, name: str, required: Sequence[str], optional: Sequence[str]
) -> list[bytes]:
    """Write the rows as the messages of a topic, so that the worker's decoder judges them.

    Raises:
        ValueError: a column is missing, or holds what no message can.
    """
    missing = [column for column in required if column not in frame]
    if missing:
        msg = f"{name} lacks the columns {', '.join(missing)}"
        raise ValueError(msg)
    columns = [*required, *(column for column in optional if column in frame)]
    try:
        table = pa.Table.from_pandas(frame[columns], preserve_index=False)
    except pa.ArrowException as error:
        msg = f"{name} has a column of mixed or unknown types: {' '.join(map(str, error.args))}"
        raise ValueError(msg) from error
    return [message for part in table.to_batches() for message in messages_of(part)]


def _refuse(bad: Sequence[BadMessage], name: str, index: pd.Index) -> None:
    """Refuse a frame with bad rows.

    Raises:
        ValueError: there are some; the message names the first.
    """
    if bad:
        first = bad[0]
        msg = (
            f"{name}: rows that a worker would refuse: {len(bad):,} of {len(index):,}; "
            f"row {index[first.message_index]!r}: {first.detail}"
        )
        raise ValueError(msg)


def _ranks(index: pd.Index) -> Int64s:
    """Return each row's place when they are sorted by the index; equal ones stay in order."""
    ranks = np.empty(len(index), np.int64)
    ranks[index.argsort(kind="stable")] = np.arange(len(index))
    return ranks


def _mean_amount_cents(model: FraudModel | None) -> float:
    if model is not None:
        return model.population_mean_cents
    return load_saved_model(PRETRAINED_MODEL).manifest.population_mean_cents
