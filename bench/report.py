"""The report as tables: for the terminal and as Markdown."""

from typing import NamedTuple

from rich.table import Table as RichTable

from bench.results import Cell, Conditions, Figure, Goal, Report, Section, Table


class Sheet(NamedTuple):
    """A table of texts that can be shown in more than one way."""

    title: str
    header: list[str]
    rows: list[list[str]]


def sheets(section: Section) -> list[Sheet]:
    """Write out the numbers of a section."""
    return [_sheet(table) for table in section.tables]


def goal_sheet(goals: list[Goal]) -> Sheet:
    """Write which goals were reached."""
    rows = [[goal.name, _bounds(goal), _found(goal), _verdict(goal)] for goal in goals]
    return Sheet("Goals", ["", "goal", "found", ""], rows)


def to_rich(sheet: Sheet) -> RichTable:
    """Show a table in a terminal."""
    table = RichTable(title=sheet.title, title_justify="left")
    for name in sheet.header:
        table.add_column(name, justify="right" if table.columns else "left")
    for row in sheet.rows:
        table.add_row(*row)
    return table


def to_markdown(report: Report) -> str:
    """Write a page of its own."""
    return f"# Benchmark\n\n{body(report, '##')}\n"


def body(report: Report, heading: str) -> str:
    """Write the whole report, conditions and goals first, under headings that begin so."""
    parts = [describe(report.conditions)]
    if report.goals:
        parts.append(_markdown_table(goal_sheet(report.goals)))
    for section in report.sections:
        parts += [f"{heading} {section.title}", section.how]
        parts += [_markdown_table(sheet) for sheet in sheets(section)]
    return "\n\n".join(parts)


def describe(found: Conditions) -> str:
    """Say on what it was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    runs = (
        f"Medians of {found.repeats} runs and their range" if found.repeats > 1 else "Single runs"
    )
    look = "**A quick look, with a tenth of the events: nothing to rely on.** "
    return (
        f"{look * found.is_quick}{runs}. {found.cores} cores and "
        f"{found.memory_bytes / 1e9:.0f} GB of memory for broker, database, load and worker "
        f"together. {versions}."
    )


def _sheet(table: Table) -> Sheet:
    rows = [[row.name, *(_cell(cell, row.digits) for cell in row.cells)] for row in table.rows]
    return Sheet(table.title, ["", *table.columns], rows)


def _cell(cell: Cell, digits: int) -> str:
    if cell is None:
        return "-"
    if not isinstance(cell, Figure):
        return f"{cell:,.{digits}f}"
    middle, least, most = (f"{x:,.{digits}f}" for x in (cell.median, cell.least, cell.most))
    return middle if least == most else f"{middle} ({least} - {most})"


def _bounds(goal: Goal) -> str:
    bounds = [(">=", goal.least), ("<=", goal.most)]
    return " and ".join(
        f"{sign} {bound:,.{goal.digits}f} {goal.unit}".rstrip()
        for sign, bound in bounds
        if bound is not None
    )


def _found(goal: Goal) -> str:
    return f"{goal.found:,.{goal.digits}f} {goal.unit}".rstrip()


def _verdict(goal: Goal) -> str:
    return "reached" if goal.is_reached else "missed"


def _markdown_table(sheet: Sheet) -> str:
    rule = ["---", *("---:" for _ in sheet.header[1:])]
    lines = (f"| {' | '.join(cells)} |" for cells in (sheet.header, rule, *sheet.rows))
    return f"**{sheet.title}**\n\n" + "\n".join(lines)
