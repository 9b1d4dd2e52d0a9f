"""Flagpost scores a Kafka stream of card transactions and commits each decision once.

For notebooks and analyses: `read_log`, `read_labels`, `features` and `flagged` give DataFrames.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flagpost.frames import features, read_labels, read_log
    from flagpost.postgres.flagged import flagged

__all__ = ["features", "flagged", "read_labels", "read_log"]
__version__ = "0.1.0"

_MODULES = {
    "features": "flagpost.frames",
    "flagged": "flagpost.postgres.flagged",
    "read_labels": "flagpost.frames",
    "read_log": "flagpost.frames",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (whatever has that name)
    """Import what needs pandas when somebody asks for it: a worker never does."""
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
