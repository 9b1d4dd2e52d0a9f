"""`fraud_detection.ipynb`, executed from top to bottom.

    make notebook                        # python -m tests.end_to_end.notebook

scores the demo log between servers of its own, executes the notebook there and writes it with its
outputs. `test_notebook.py` compares it with a run of its own.
"""

import base64
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image
from traitlets.config import Config

from flagpost.local.stack import stop_stack
from flagpost.settings import HOME
from flagpost.up import bring_up
from tests.end_to_end.pipeline import LOG, ROOT

NOTEBOOK = ROOT / "fraud_detection.ipynb"
CELL_SECONDS = 300
PICTURES = {"one-terminal": ROOT / "docs" / "one-terminal.png"}
"""Cells whose picture other pages show."""


def executed(
    environment: Mapping[str, str], without: Callable[[nbformat.NotebookNode], bool] | None = None
) -> nbformat.NotebookNode:
    """Run the cells from top to bottom in a new process; blocks for a minute or two.

    Nothing of the run stays in the metadata: the same outputs give the same file.

    Args:
        environment: variables of the process, beside those of this one.
        without: says which cells to leave out.

    Raises:
        CellExecutionError: a cell has failed.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if not (without and without(cell))]
    with tempfile.TemporaryDirectory(prefix="flagpost-") as folder:
        sockets = {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}
        client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(ROOT)}},
            config=Config({"KernelManager": sockets}),  # files, not ports
        )
        client.execute(env=os.environ | {"IPYTHONDIR": folder} | dict(environment))
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for output in outputs_of(notebook):
        if "image/png" in output.get("data", {}):
            output.data["image/png"] = with_palette(output.data["image/png"])
    return notebook


def outputs_of(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    """The outputs of all cells."""
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


def pictures(notebook: nbformat.NotebookNode) -> dict[Path, bytes]:
    """The pictures that other pages show, by their files."""
    return {
        PICTURES[cell.id]: base64.b64decode(output.data["image/png"])
        for cell in notebook.cells
        if cell.id in PICTURES
        for output in cell.outputs
        if "image/png" in output.data
    }


def with_palette(picture: str) -> str:
    """Return a PNG in base64 with at most 128 colours: half the size, and nobody sees it."""
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        content = io.BytesIO()
        image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
            content, "PNG", optimize=True
        )
    return base64.b64encode(content.getvalue()).decode()


def write_anew() -> None:
    """Score the demo log, execute the notebook beside it and write it."""
    with tempfile.TemporaryDirectory(prefix="flagpost-") as folder:
        home = Path(folder) / HOME
        try:
            settings = bring_up(home, print)
            environment = {
                "FLAGPOST_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
                "FLAGPOST_DATABASE_URL": settings.database_url.get_secret_value(),
            }
            for script, argument in (
                ("producer.py", str(LOG)),
                ("consumer_transform.py", "--until-caught-up"),
            ):
                subprocess.run(  # noqa: S603 - our own scripts
                    [sys.executable, ROOT / script, argument],
                    cwd=folder, env=os.environ | environment, check=True,
                )  # fmt: skip
            notebook = executed(environment)
        finally:
            stop_stack(home, print)
    nbformat.write(notebook, NOTEBOOK)
    for path, content in pictures(notebook).items():
        path.write_bytes(content)


if __name__ == "__main__":
    write_anew()
