"""The newest report in the page about performance, between two marks."""

from bench.report import body
from bench.results import Report

BEGIN = "<!-- what follows is written by make bench -->"
END = "<!-- what comes before is written by make bench -->"


def with_report(page: str, report: Report) -> str:
    """Put a report in the place of the one before.

    Raises:
        ValueError: the marks are not there.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        msg = "the page has lost its marks"
        raise ValueError(msg)
    return f"{before}{BEGIN}\n\n{body(report, '###')}\n\n{END}{after}"
