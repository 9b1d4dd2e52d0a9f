"""numba's compiler, with a cache on disk that notices every change in the kernels.

numba keys its cache by the file of the compiled function alone: after a change in a function that
it calls from another file, or of a constant, it would go on running the old machine code. Here the
cache directory carries a hash of all sources that hold kernels and of the whole core.
"""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from numba import config, njit

OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,
    "forceinline": True,
}

PACKAGE = Path(__file__).parent

P = ParamSpec("P")
R = TypeVar("R")


@cache
def _cache_directory() -> str:
    sources = {path: path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))}
    hashed = [
        source
        for path, source in sources.items()
        if b"@compiled" in source or path.parent == PACKAGE / "core"
    ]
    digest = sha256(b"\0".join(hashed)).hexdigest()
    return str(PACKAGE / "__pycache__" / f"kernels-{digest[:16]}")


def are_compiled() -> bool:
    """Say whether kernels of these sources were compiled before and kept."""
    return any(Path(_cache_directory()).rglob("*.nbi"))


def compiled(kernel: Callable[P, R]) -> Callable[P, R]:
    """Compile a function over numpy arrays to machine code at its first call.

    The global interpreter lock is released while it runs. Floating point follows IEEE 754 in
    source order (no fast-math), so that a score does not depend on the size of its batch, and a
    division by zero gives infinity instead of raising. Kernels cannot allocate: so they need not
    count references to their arrays, which would cost a quarter of their time.
    """
    previous = config.CACHE_DIR  # type: ignore[attr-defined]  # numba fills its config at import
    config.CACHE_DIR = _cache_directory()  # type: ignore[attr-defined]
    try:
        function: Callable[P, R] = njit(**OPTIONS)(kernel)
    finally:
        config.CACHE_DIR = previous  # type: ignore[attr-defined]
    return function
