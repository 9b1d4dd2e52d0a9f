"""The columns of the feature matrix: what each means, and how an analyst reads it.

They are stored in this order: a new one goes behind the last, with a migration that makes the views
of their names again.

The values come from `customers` and `terminals`, by way of `observe`: training, evaluation, the
worker and the API all go there; no feature is written a second time.
"""

from enum import StrEnum
from typing import NamedTuple

from flagpost.core.calendar import DAY_US

RETENTION_US = 45 * DAY_US
"""Histories keep what is younger than this.

No window reaches further back than 37 days. So a transaction may come 6 days late, and another
member's by a day more, and everything is still there.
"""

LATENESS_US = 6 * DAY_US
"""How late a transaction may come and still see terminals, and be seen at its terminal."""

LABEL_DELAY_US = 7 * DAY_US
"""So long after a transaction its label counts: before, some are known and some are not."""

LATE_LABEL_DELAY_US = DAY_US
"""A label that comes later than that counts so long after it is known, for every member alike."""

LONGEST_GAP_US = 30 * DAY_US
"""`seconds_since_last` ends here; a customer's first transaction has this value."""

HIGH_RATIO = 2.5
"""An amount this many times the customer's habit is a high one, and not part of the habit."""

HABIT_MIN_COUNT = 3
"""With fewer habitual transactions than this nothing counts as high."""


class ReasonCode(StrEnum):
    """Why a transaction looks like fraud, for people and for reports."""

    UNUSUAL_AMOUNT = "UNUSUAL_AMOUNT"
    UNUSUAL_FREQUENCY = "UNUSUAL_FREQUENCY"
    UNUSUAL_TIME = "UNUSUAL_TIME"
    RECENT_HIGH_AMOUNTS = "RECENT_HIGH_AMOUNTS"
    HIGH_TX_VS_BALANCE = "HIGH_TX_VS_BALANCE"
    TERMINAL_COMPROMISED = "TERMINAL_COMPROMISED"


class Feature(NamedTuple):
    """A column of the feature matrix; `sentence` says a value to an analyst."""

    name: str
    unit: str
    reason: ReasonCode
    sentence: str


_AMOUNT, _FREQUENCY = ReasonCode.UNUSUAL_AMOUNT, ReasonCode.UNUSUAL_FREQUENCY
_TIME, _HIGH = ReasonCode.UNUSUAL_TIME, ReasonCode.RECENT_HIGH_AMOUNTS
_TERMINAL = ReasonCode.TERMINAL_COMPROMISED

FEATURES = (
    Feature("amount", "currency units", _AMOUNT, "amount is {:,.2f}"),
    Feature("is_weekend", "0 or 1", _TIME, "weekend (1) or weekday (0): {:.0f}"),
    Feature("is_night", "0 or 1", _TIME, "night, hour 0 to 6 (1), or day (0): {:.0f}"),
    Feature("customer_tx_count_1h", "count", _FREQUENCY, "{:.0f} transactions in one hour"),
    Feature("customer_tx_count_24h", "count", _FREQUENCY, "{:.0f} transactions in 24 hours"),
    Feature("customer_tx_count_7d", "count", _FREQUENCY, "{:.0f} transactions in 7 days"),
    Feature("customer_tx_count_30d", "count", _FREQUENCY, "{:.0f} transactions in 30 days"),
    Feature("customer_total_amount_1h", "currency units", _AMOUNT, "{:,.2f} spent in one hour"),
    Feature("customer_total_amount_24h", "currency units", _AMOUNT, "{:,.2f} spent in 24 hours"),
    Feature("customer_avg_amount_24h", "currency units", _AMOUNT,
            "average amount of the last 24 hours is {:,.2f}"),
    Feature("customer_avg_amount_7d", "currency units", _AMOUNT,
            "average amount of the last 7 days is {:,.2f}"),
    Feature("customer_avg_amount_30d", "currency units", _AMOUNT,
            "average amount of the last 30 days is {:,.2f}"),
    Feature("seconds_since_last", "seconds, at most 30 days", _FREQUENCY,
            "{:,.0f} seconds since this customer's last transaction"),
    Feature("amount_ratio", "ratio", _AMOUNT,
            "amount is {:.1f} times this customer's 30-day average"),
    Feature("customer_high_count_7d", "count", _HIGH,
            "{:.0f} unusually high amounts of this customer in 7 days before"),
    Feature("customer_high_count_14d", "count", _HIGH,
            "{:.0f} unusually high amounts of this customer in 14 days before"),
    Feature("ratio_if_recent_high", "ratio, at most 4", _HIGH,
            "unusually high amounts came shortly before this one, {:.1f} times the habit"),
    Feature("amount_to_balance", "share, at most 10", _AMOUNT,
            "amount is {:.0%} of the account balance"),
    Feature("terminal_tx_count_1d", "count", _TERMINAL,
            "{:.0f} transactions at this terminal on a day a week ago"),
    Feature("terminal_tx_count_7d", "count", _TERMINAL,
            "{:.0f} transactions at this terminal in 7 days until a week ago"),
    Feature("terminal_tx_count_30d", "count", _TERMINAL,
            "{:.0f} transactions at this terminal in 30 days until a week ago"),
    Feature("terminal_risk_1d", "share", _TERMINAL,
            "{:.0%} fraud at this terminal on a day a week ago"),
    Feature("terminal_risk_7d", "share", _TERMINAL,
            "{:.0%} fraud at this terminal in 7 days until a week ago"),
    Feature("terminal_risk_30d", "share", _TERMINAL,
            "{:.0%} fraud at this terminal in 30 days until a week ago"),
    Feature("terminal_run", "count", _TERMINAL,
            "{:.0f} confirmed frauds in a row at this terminal since {since}"),
    Feature("terminal_run_plain", "count", _TERMINAL,
            "{:.0f} confirmed frauds in a row at this terminal since {since}, by customers without "
            "unusual amounts"),
    Feature("terminal_run_age_days", "days", _TERMINAL,
            "only confirmed frauds at this terminal since {since}, for {:.1f} days"),
    Feature("terminal_run_min_ratio", "ratio", _TERMINAL,
            "confirmed frauds in a row at this terminal, the smallest {:.1f} times the habit of "
            "its customer"),
    Feature("terminal_days_since_genuine", "days, at most 37", _TERMINAL,
            "no transaction known as genuine at this terminal for {:.1f} days"),
    Feature("terminal_quiet_days", "days, at most 37", _TERMINAL,
            "last known transaction at this terminal {:.1f} days ago"),
)  # fmt: skip

FEATURE_NAMES = tuple(feature.name for feature in FEATURES)

(
    AMOUNT, IS_WEEKEND, IS_NIGHT,
    COUNT_1H, COUNT_24H, COUNT_7D, COUNT_30D,
    TOTAL_1H, TOTAL_24H, AVG_24H, AVG_7D, AVG_30D,
    SECONDS_SINCE_LAST, AMOUNT_RATIO, HIGH_COUNT_7D, HIGH_COUNT_14D, RATIO_IF_RECENT_HIGH,
    AMOUNT_TO_BALANCE,
    TERMINAL_COUNT_1D, TERMINAL_COUNT_7D, TERMINAL_COUNT_30D,
    TERMINAL_RISK_1D, TERMINAL_RISK_7D, TERMINAL_RISK_30D,
    TERMINAL_RUN, TERMINAL_RUN_PLAIN, TERMINAL_RUN_AGE_DAYS, TERMINAL_RUN_MIN_RATIO,
    TERMINAL_DAYS_SINCE_GENUINE, TERMINAL_QUIET_DAYS,
) = range(len(FEATURES))  # fmt: skip
