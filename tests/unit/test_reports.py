import io
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from rich.console import Console

from flagpost.demo_report import flagged_table, quality_table
from flagpost.training.report import numbers_table


def test_ids_that_look_like_markup_are_shown_as_they_are() -> None:
    found = pd.DataFrame([{
        "transaction_id": "[/x]0", "user_id": "[bold]u", "ts": datetime(2025, 1, 1, tzinfo=UTC),
        "amount": 1, "fraud_probability": 0.5, "risk_level": "HIGH",
        "reasons": [{"code": "UNUSUAL_AMOUNT", "text": "amount is 1.00"}],
    }])  # fmt: skip
    written = io.StringIO()
    out = Console(file=written, width=120)

    out.print(flagged_table(found, np.array([True])))
    out.print(numbers_table("[/x].json", {"transactions": 1}))

    text = written.getvalue()
    assert "[/x]0" in text
    assert "[bold]u" in text
    assert "[/x].json" in text


def test_the_precision_of_no_flags_is_not_a_number() -> None:
    found = pd.DataFrame({"risk_level": ["HIGH", "HIGH"]})
    table = quality_table(found, np.array([True, False]), 4)
    by_level = {
        cells[0]: cells[1:]
        for cells in zip(*(column.cells for column in table.columns), strict=True)
    }
    assert by_level["HIGH"] == ("2", "1", "50.0%", "25.0%")
    assert by_level["LOW"] == ("0", "0", "-", "0.0%")
