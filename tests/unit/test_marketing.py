"""Files of impressions and clicks: read whole, or refused with the line."""

from datetime import date
from pathlib import Path

import pytest

from flagpost.errors import UnreadableInput
from flagpost.marketing import MarketingDay, read_marketing


def write(directory: Path, content: str, name: str = "marketing.csv") -> Path:
    path = directory / name
    path.write_text(content)
    return path


def test_days_are_read_from_csv_and_json(tmp_path: Path) -> None:
    expected = [MarketingDay(date(2025, 1, 1), 10, 1), MarketingDay(date(2025, 1, 2), 0, 0)]
    rows = "event_day,clicks,impressions,note\n2025-01-01,1,10,x\n2025-01-02,0,0,\n"
    lines = (
        '{"event_day":"2025-01-01","impressions":10,"clicks":1}\n'
        '{"event_day":"2025-01-02","impressions":0,"clicks":0}\n'
    )

    assert read_marketing(write(tmp_path, rows)) == expected
    assert read_marketing(write(tmp_path, lines, "marketing.jsonl")) == expected


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2025-01-01,5,6", "line 3: 6 clicks on 5 impressions cannot be"),
        ("2025-02-30,5,1", "line 3: Invalid RFC3339 encoded date - at `$.event_day`"),
        ("2025-01-01,-5,1", "line 3: Expected `int` >= 0 - at `$.impressions`"),
        ("2025-01-01,5,1.5", "line 3: Expected `int`, got `float` - at `$.clicks`"),
        ("2025-01-01,5,", "line 3: Object missing required field `clicks`"),
        ("2025-01-09,5,1", "line 3: 2025-01-09 is there twice"),
    ],
)
def test_a_row_that_cannot_be_is_refused_by_its_line(row: str, says: str, tmp_path: Path) -> None:
    file = write(tmp_path, f"event_day,impressions,clicks\n2025-01-09,5,1\n{row}\n")

    with pytest.raises(UnreadableInput) as refused:
        read_marketing(file)

    assert says in str(refused.value)
