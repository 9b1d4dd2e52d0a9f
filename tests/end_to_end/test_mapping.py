"""A log of other people's shape goes through with a mapping file alone."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from tests.end_to_end.pipeline import LOG, Pipeline, Scores

MAPPING = """
[fields]
transaction_id = "txRef"
timestamp = "logTimestamp"
user_id = "devideId"
amount = "value"
terminal_id = "pos"
account_balance = "saldo"
"""


def in_their_shape(line: bytes) -> bytes:
    """Rename the fields, write the time in milliseconds and add what nobody asked for.

    Labels keep their shape: they are a topic of their own.
    """
    ours = json.loads(line)
    if ours.get("type") == "label":
        return line
    theirs = {
        "schema": {"name": "payment", "version": 3},
        "logTimestamp": int(datetime.fromisoformat(ours["timestamp"]).timestamp()) * 1_000,
        "devideId": ours["user_id"],
        "user_id": "not the customer",
        "value": ours["amount"],
        "pos": ours["terminal_id"],
        "saldo": ours["account_balance"],
        "tags": [None, {"amount": -1}],
        "txRef": ours["transaction_id"],
    }
    return json.dumps(theirs).encode()


def test_renamed_fields_and_milliseconds_give_the_same_scores(
    new_pipeline: Callable[..., Pipeline], tmp_path: Path, offline: Scores
) -> None:
    log, mapping = tmp_path / "theirs.jsonl", tmp_path / "mapping.toml"
    log.write_bytes(b"\n".join(map(in_their_shape, LOG.read_bytes().splitlines())))
    mapping.write_text(MAPPING)
    pipeline = new_pipeline(mapping=mapping)

    pipeline.produce(log)
    pipeline.score_all()

    assert pipeline.flagged() == offline
    assert pipeline.counts().n_dead == 0
