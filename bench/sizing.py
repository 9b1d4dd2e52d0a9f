"""What so many customers need: the measured costs multiplied."""

from typing import NamedTuple

import msgspec

from bench.results import Report, Row, Section, Table
from bench.state import LOADED, OF_A_CUSTOMER, OF_A_TERMINAL

CUSTOMERS = (10_000, 100_000, 1_000_000)
A_DAY = 1.9
"""Transactions of a customer, as in the log of the benchmark."""

STATE_DAYS, JOURNAL_DAYS, DAY_SECONDS = 45, 400, 86_400

HOW = (
    f"Calculated from the tables above, for customers with {A_DAY} transactions a day each. The "
    f"state remembers {STATE_DAYS} days, the journal {JOURNAL_DAYS}, as a steady "
    "50/s leaves it when it is merged. The state is that of a sole member: several share out "
    "the customers, but each knows all terminals."
)


class Costs(NamedTuple):
    """What a transaction costs: bytes, and microseconds."""

    customer_bytes: float
    terminal_bytes: float
    journal_bytes: float
    loading_us: float


def with_sizing(report: Report) -> Report:
    """Add a section to a report that has all it needs."""
    costs = costs_of(report)
    if costs is None:
        return report
    return msgspec.structs.replace(report, sections=[*report.sections, sizing(costs)])


def costs_of(report: Report) -> Costs | None:
    """Take the costs from a report, if it has all parts that they come from."""
    found = [
        report.value("state", OF_A_CUSTOMER, "bytes per transaction"),
        report.value("state", OF_A_TERMINAL, "bytes per transaction"),
        report.value("journal", "bytes on disk per payment, merged", "50/s"),
        report.value("state", LOADED.format(10_000_000), "us per transaction"),
    ]
    known = [value for value in found if value is not None]
    return Costs(*known) if len(known) == len(found) else None


def sizing(costs: Costs) -> Section:
    """Multiply."""
    rows = []
    for customers in CUSTOMERS:
        a_day = A_DAY * customers
        remembered = STATE_DAYS * a_day
        rows.append(
            Row(
                f"{customers:,} customers",
                [
                    a_day / DAY_SECONDS,
                    1e-9 * remembered * costs.customer_bytes,
                    1e-9 * remembered * costs.terminal_bytes,
                    1e-6 * remembered * costs.loading_us,
                    1e-9 * JOURNAL_DAYS * a_day * costs.journal_bytes,
                ],
                digits=1,
            )
        )
    columns = [
        "transactions/s, mean",
        "customers' state, GB",
        "terminals' state, GB",
        "loaded in, s",
        "journal, GB",
    ]
    return Section("sizing", "Sizing", HOW, [Table("Needed", columns, rows)])
