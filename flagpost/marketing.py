"""Impressions and clicks by day, from a file."""

from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec

from flagpost.errors import UnreadableInput
from flagpost.logs import read_log

Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class MarketingDay(msgspec.Struct, frozen=True):
    """How often something was shown on a day (UTC), and how often it was clicked on."""

    event_day: date
    impressions: Count
    clicks: Count


_decode = msgspec.json.Decoder(MarketingDay, strict=False).decode


def read_marketing(path: Path) -> list[MarketingDay]:
    """Read a file of days, in one of the forms of a log: see `logs.read_log`.

    Raises:
        UnreadableInput: it is no such file, or a row is wrong; the message names the row.
    """
    days = dict[date, MarketingDay]()
    for batch in read_log(path):
        for number, value in zip(batch.line_numbers.tolist(), batch.values, strict=True):
            day = _read_day(value, f"{path}, line {number}")
            if day.event_day in days:
                raise UnreadableInput(f"{path}, line {number}: {day.event_day} is there twice")
            days[day.event_day] = day
    return list(days.values())


def _read_day(value: bytes, place: str) -> MarketingDay:
    try:
        day = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableInput(
            f"{place}: {error}; a row has event_day (YYYY-MM-DD), impressions and clicks"
        ) from error
    if day.clicks > day.impressions:
        raise UnreadableInput(
            f"{place}: {day.clicks:,} clicks on {day.impressions:,} impressions cannot be"
        )
    return day
