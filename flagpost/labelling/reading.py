"""A file of statements about transactions: chargebacks, results of reviews."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from flagpost.errors import UnreadableInput
from flagpost.labelling.completion import Statement
from flagpost.logs import read_log

_decode = msgspec.json.Decoder(Statement).decode


def read_statements(path: Path, on_progress: Callable[[float], None]) -> dict[str, Statement]:
    """Read a file in one of the forms of a log; by `line N`. Other fields are passed over.

    Raises:
        UnreadableInput: it is no such file, or a row is wrong; the message names the row.
    """
    statements = dict[str, Statement]()
    for batch in read_log(path):
        for number, value in zip(batch.line_numbers.tolist(), batch.values, strict=True):
            try:
                statements[f"line {number}"] = _decode(value)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise UnreadableInput(
                    f"{path}, line {number}: {error}; a row has transaction_id, and as far as they "
                    "are known is_fraud, known_at, source, timestamp, user_id and terminal_id"
                ) from error
        on_progress(batch.fraction_done)
    return statements
