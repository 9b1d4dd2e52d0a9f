"""I2 and I5: the rows and sums of the database, and the dead letters."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from reprlib import repr as shortened
from typing import TypeVar

from flagpost.events import Partition
from flagpost.torture.invariants.violations import Harm, Place, Truths, Violation, harm_of
from flagpost.torture.truth import Cell, FlaggedRow, KeptRow, LabelRow, Letter, Sums, Truth

Row = TypeVar("Row", FlaggedRow, KeptRow, LabelRow, Letter)
Key = TypeVar("Key", int, str, Cell)
Told = TypeVar("Told")


def check_flagged(rows: Iterable[tuple[Place, FlaggedRow]], truths: Truths) -> Iterator[Violation]:
    """I2: each flagged transaction once, by the right model, every column to the last bit."""
    expected = _of_all(truths, lambda truth: truth.flagged)
    yield from _check_rows("I2", "the fraud table", rows, expected)


def check_kept(rows: Iterable[tuple[Place, KeptRow]], truths: Truths) -> Iterator[Violation]:
    """I2: the same of every scored transaction, clean ones too."""
    expected = _of_all(truths, lambda truth: truth.kept)
    yield from _check_rows("I2", "the kept scores", rows, expected)


def check_labels(rows: Iterable[tuple[Place, LabelRow]], truths: Truths) -> Iterator[Violation]:
    """I2 for labels: each learned once, as the message says that told it first."""
    expected = _of_all(truths, lambda truth: truth.labels)
    yield from _check_rows("I2", "the labels", rows, expected)


def check_dead_letters(
    letters: Iterable[tuple[Place, Letter]], truths: Truths
) -> Iterator[Violation]:
    """I5: every bad message as it was and no other; the same letter twice counts once."""
    expected = _of_all(truths, lambda truth: truth.letters)
    yield from _check_rows("I5", "the dead letters", dict.fromkeys(letters), expected)


def _check_rows(
    invariant: str,
    table: str,
    rows: Iterable[tuple[Place, Row]],
    expected: Mapping[Place, Row],
) -> Iterator[Violation]:
    found = dict[Place, Row]()
    for place, row in rows:
        if place in found:
            yield Violation(invariant, Harm.DOUBLED, f"twice in {table}", *place)
        found[place] = row
    for place in sorted(expected.keys() - found.keys()):
        yield Violation(invariant, Harm.LOST, f"not in {table}", *place)
    for place in sorted(found.keys() - expected.keys()):
        yield Violation(invariant, Harm.DOUBLED, f"should not be in {table}", *place)
    for place in sorted(expected.keys() & found.keys()):
        if differences := list(_differing_columns(found[place], expected[place])):
            text = f"{table}: {'; '.join(differences)}"
            yield Violation(invariant, Harm.CHANGED, text, *place)


def _differing_columns(found: Row, expected: Row) -> Iterator[str]:
    for name, is_, should in zip(found._fields, found, expected, strict=True):
        if is_ != should:
            yield f"{name} is {shortened(is_)}, not {shortened(should)}"


def check_totals(
    found: Mapping[tuple[Partition, Cell], Sums], truths: Truths
) -> Iterator[Violation]:
    """I2: each transaction is in the totals of its hour, model and reason, once."""
    expected = _of_all(truths, lambda truth: truth.totals)
    yield from _check_sums(
        "the totals of {} are", found, expected, Sums(0, 0, 0), lambda sums: sums.tx_count
    )


def check_spread(
    found: Mapping[tuple[Partition, str], list[int]], truths: Truths
) -> Iterator[Violation]:
    """I2: each sampled transaction is in one bin of each feature that its model counts, once."""
    expected = _of_all(truths, lambda truth: truth.spread)
    yield from _check_sums("the spread of {} is", found, expected, [], sum)


def _check_sums(
    says: str,
    found: Mapping[tuple[Partition, Key], Told],
    expected: Mapping[tuple[Partition, Key], Told],
    nothing: Told,
    n_counted: Callable[[Told], int],
) -> Iterator[Violation]:
    for place in sorted(expected.keys() | found.keys()):
        should, are = expected.get(place, nothing), found.get(place, nothing)
        if are != should:
            partition, key = place
            text = f"{says.format(key)} {are}, not {should}"
            yield Violation("I2", harm_of(n_counted(are), n_counted(should)), text, partition)


def _of_all(
    truths: Truths, told: Callable[[Truth], Mapping[Key, Told]]
) -> dict[tuple[Partition, Key], Told]:
    """Bring together what each partition's truth tells, by the partition and its own key."""
    return {(p, key): each for p, truth in truths.items() for key, each in told(truth).items()}
