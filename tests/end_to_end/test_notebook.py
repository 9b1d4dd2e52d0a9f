"""The notebook runs, and what it shows is what it shows today."""

import json
import re
from collections.abc import Callable, Iterator

import nbformat
import pytest

from tests.end_to_end.notebook import NOTEBOOK, PICTURES, executed, outputs_of, pictures
from tests.end_to_end.pipeline import LOG, Pipeline

NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
NO_STACK = {"FLAGPOST_KAFKA_BOOTSTRAP": "", "FLAGPOST_DATABASE_URL": ""}


@pytest.fixture(scope="module")
def committed() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def tags(cell: nbformat.NotebookNode) -> list[str]:
    found: list[str] = cell.metadata.get("tags", [])
    return found


def texts(cell: nbformat.NotebookNode) -> list[str]:
    """What a cell has put out, in words; of a picture its titles."""
    return [_text(output) for output in cell.get("outputs", ())]


def _text(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return f"{output.name}: {output.text}"
    if "image/png" in output.data:
        return f"a picture: {output.metadata['image/png']['alt']}"
    return str(output.data.get("text/markdown") or output.data["text/plain"])


def differences(
    now: nbformat.NotebookNode, then: nbformat.NotebookNode
) -> Iterator[tuple[list[str], list[str]]]:
    """The outputs of cells that say something else than they did.

    What was trained may differ a little on another processor: there numbers need only be close.
    """
    before = {cell.id: cell for cell in then.cells}
    for cell in now.cells:
        same = _are_close if "approximate" in tags(cell) else list.__eq__
        if not same(texts(cell), texts(before[cell.id])):
            yield texts(before[cell.id]), texts(cell)


def _are_close(now: list[str], then: list[str]) -> bool:
    words = [[NUMBER.sub("#", text).split() for text in some] for some in (now, then)]
    pairs = zip(_numbers(now), _numbers(then), strict=False)
    return words[0] == words[1] and all(
        # a count may be off by one
        new == pytest.approx(old, rel=0.1, abs=1 if old.is_integer() else 0.03)
        for new, old in pairs
    )


def _numbers(some: list[str]) -> list[float]:
    return [float(found.replace(",", "")) for found in NUMBER.findall(" ".join(some))]


@pytest.mark.timeout(600)
def test_outputs_are_those_of_a_run_on_the_demo_stack(
    new_pipeline: Callable[..., Pipeline], committed: nbformat.NotebookNode
) -> None:
    pipeline = new_pipeline()
    pipeline.produce(LOG)
    pipeline.score_all()
    settings = {f"FLAGPOST_{name.upper()}": str(v) for name, v in pipeline.settings.items()}

    assert list(differences(executed(settings), committed)) == []


def test_without_a_stack_two_cells_say_so_and_the_others_do_the_same(
    committed: nbformat.NotebookNode,
) -> None:
    # The cells on the larger log ask nothing of a stack.
    alone = executed(NO_STACK, without=lambda cell: "larger-log" in tags(cell))

    needing = [cell for cell in alone.cells if "stack" in tags(cell)]
    assert len(needing) == 2
    for cell in needing:
        [line] = texts(cell)
        assert line.startswith("**Left out, no stack:** FLAGPOST_")
        assert "\n" not in line
        alone.cells.remove(cell)
    assert list(differences(alone, committed)) == []


def test_no_number_in_its_text_is_without_a_computation(committed: nbformat.NotebookNode) -> None:
    prose = [cell.source for cell in committed.cells if cell.cell_type == "markdown"]
    assert len(prose) > 10
    without_code_and_links = [re.sub(r"`[^`]*`|\]\([^)]*\)", "", text) for text in prose]
    assert [text for text in without_code_and_links if re.search(r"\d", text)] == []


def test_the_file_is_small_and_says_nothing_of_where_it_was_run(
    committed: nbformat.NotebookNode,
) -> None:
    assert NOTEBOOK.stat().st_size < 600_000
    assert set(committed.metadata) == {"kernelspec", "language_info"}
    assert {name for cell in committed.cells for name in cell.metadata} == {"tags"}
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert {output.output_type for output in outputs_of(committed)} == {"display_data"}
    outputs = json.dumps([_without_pictures(output) for output in outputs_of(committed)])
    assert re.findall(r"/(?:home|root|tmp|usr)|localhost|127\.0\.0\.1|:\d{4,5}\b", outputs) == []


def _without_pictures(output: nbformat.NotebookNode) -> dict[str, str]:
    return {kind: text for kind, text in output.data.items() if not kind.startswith("image/")}


def test_pictures_elsewhere_are_those_of_the_notebook(committed: nbformat.NotebookNode) -> None:
    assert pictures(committed) == {path: path.read_bytes() for path in PICTURES.values()}
