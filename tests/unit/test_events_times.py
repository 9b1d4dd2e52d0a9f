from itertools import product

import pytest

from flagpost.event_times import Timestamp, parse_time, parse_times
from flagpost.plain_times import UNREADABLE_TIME

NOON_US = 1_743_508_800_000_000


@pytest.mark.parametrize(
    ("timestamp", "expected_us"),
    [
        ("2025-04-01T12:00:00Z", NOON_US),
        ("2025-04-01T12:00:00+00:00", NOON_US),
        ("2025-04-01T14:00:00+02:00", NOON_US),
        ("2025-04-01T06:30:00-0530", NOON_US),
        ("2025-04-01T12:00:00", NOON_US),
        ("2025-04-01 12:00:00", NOON_US),
        ("2025-04-01 12:00", NOON_US),
        ("2025-04-01", NOON_US - 12 * 3600 * 1_000_000),
        ("2025-04-01T12:00:00.5Z", NOON_US + 500_000),
        ("2025-04-01T12:00:00.123456", NOON_US + 123_456),
        ("2025-04-01T12:00:00.123456789Z", NOON_US + 123_456),
        (1_743_508_800, NOON_US),
        (1_743_508_800.25, NOON_US + 250_000),
        (1_743_508_800_000, NOON_US),
        (1_743_508_800_000.5, NOON_US + 500),
        ("1743508800", NOON_US),
        ("1743508800.123456", NOON_US + 123_456),
        ("1743508800000", NOON_US),
        (99_999_999_999, 99_999_999_999_000_000),
        (100_000_000_000, 100_000_000_000_000),
        (0, 0),
        (-1.5, -1_500_000),
        ("1969-12-31T23:59:59.5Z", -500_000),
    ],
)
def test_every_form_is_read(timestamp: Timestamp, expected_us: int) -> None:
    assert parse_time(timestamp) == expected_us
    assert parse_times([timestamp]).tolist() == [expected_us]


@pytest.mark.parametrize(
    "timestamp",
    [
        "", "now", "2025-02-29", "2025-13-01", "2025-04-01T24:00:00", "2025-04-01T12:60",
        "2025-04-01T12:00:60Z", "2025-04-01T12:00:00+24:00", "2025-04-01T12:00:00 UTC",
        "20250401T120000", "2025-W14-2", "2025-04-01T12:00:00,5", " 2025-04-01", "1e9", "1_000",
        "\u0661", "12:00", 1e300, -1e300, 10**300, 9_000_000_000_000_000,
    ],
)  # fmt: skip
def test_what_is_no_time_is_unreadable(timestamp: Timestamp) -> None:
    assert parse_time(timestamp) == UNREADABLE_TIME
    assert parse_times([timestamp]).tolist() == [UNREADABLE_TIME]


def test_a_batch_and_a_single_one_are_read_alike() -> None:
    dates = ["2025-01-01", "2025-02-29", "0001-01-01", "9999-12-31", "2025-1-1", "20250101"]
    clocks = [
        "",
        "T00",
        "T12:30",
        " 23:59:59",
        "T23:59:60",
        "T24:00",
        "T12:30:45.1234567",
        "_12:30",
    ]
    zones = ["", "Z", "z", "+0530", "-05:30", "+05", "+24:00", "+14:60", "UTC", "+05:30:15"]
    for text in map("".join, product(dates, clocks, zones)):
        assert parse_times([text]).tolist() == [parse_time(text)], text


def test_forms_may_mix_within_a_batch() -> None:
    forms: list[Timestamp] = ["2025-04-01T12:00:00Z", "2025-04-01T12:00", 1_743_508_800, "?", "0"]
    assert parse_times(forms).tolist() == [NOON_US, NOON_US, NOON_US, UNREADABLE_TIME, 0]
    assert parse_times([]).tolist() == []
