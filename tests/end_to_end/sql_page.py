"""The outputs in docs/sql.md, as a database gives them that has scored the demo log.

    FLAGPOST_KEEP_SCORES=all flagpost demo && flagpost up && flagpost load-marketing examples/marketing.csv
    python -m tests.end_to_end.sql_page        # writes them anew

`test_sql_page.py` compares them with a run of its own.
"""  # noqa: E501 - a command that can be copied

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg

from flagpost.settings import load_settings
from tests.end_to_end.pipeline import ROOT

PAGE = ROOT / "docs" / "sql.md"
_EXAMPLE = re.compile(
    r"```sql\n(?P<query>.*?)```\n\n```text(?P<varies> varies)?\n(?P<output>.*?)```", re.DOTALL
)
# Masked ids depend on a secret that is made at random; nobody else has this one.
_FIX_MASKED_IDS = "UPDATE analyst.masking_key SET key = sha256('docs/sql.md')"


def with_outputs_of(connection: psycopg.Connection, page: str) -> str:
    """Run each query of a page and put its output below; changes nothing in the database.

    An output that is marked `varies` stays if it has the right columns.
    """
    connection.execute(_FIX_MASKED_IDS)
    renewed = _EXAMPLE.sub(lambda example: _renewed(connection, example), page)
    connection.rollback()
    return renewed


def _renewed(connection: psycopg.Connection, example: re.Match[str]) -> str:
    found = connection.execute(example["query"].encode())
    names = [column.name for column in found.description or ()]
    output = _table(names, found.fetchall())
    if example["varies"] and _columns(example["output"]) == _columns(output):
        output = example["output"]
    return f"```sql\n{example['query']}```\n\n```text{example['varies'] or ''}\n{output}```"


def _columns(output: str) -> list[str]:
    return output.partition("\n")[0].split()


def _table(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> str:
    cells = [list(names), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    are_numbers = [_are_numbers(column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, are_numbers, strict=True)
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "".join(f"{line}\n" for line in lines)


def _are_numbers(column: Sequence[object]) -> bool:
    return all(isinstance(value, int | float | Decimal) for value in column)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    with psycopg.connect(load_settings().database_url.get_secret_value()) as database:
        PAGE.write_text(with_outputs_of(database, PAGE.read_text()))
