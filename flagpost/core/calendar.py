"""Lengths of time in microseconds, the unit of every time in the core."""

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US
