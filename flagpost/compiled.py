"""numba's compiler, with a cache on disk that notices every change in the kernels.

numba keys its cache by the file of the compiled function alone: after a change in a function that
it calls from another file it would go on running the old machine code. Here the cache directory
carries a hash of all sources that hold kernels.
"""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from numba import config, njit

PACKAGE = Path(__file__).parent

P = ParamSpec("P")
R = TypeVar("R")


@cache
def _cache_directory() -> str:
    paths = sorted([*PACKAGE.glob("*.py"), *PACKAGE.glob("core/*.py")])
    sources = [path.read_bytes() for path in paths]
    digest = sha256(b"\0".join(s for s in sources if b"@compiled" in s)).hexdigest()
    return str(PACKAGE / "__pycache__" / f"kernels-{digest[:16]}")


def compiled(kernel: Callable[P, R]) -> Callable[P, R]:
    """Compile a function over numpy arrays to machine code at its first call.

    The global interpreter lock is released while it runs. Floating point follows IEEE 754 in
    source order (no fast-math), so that a score does not depend on the size of its batch, and a
    division by zero gives infinity instead of raising.
    """
    return _compile(kernel)


def compiled_in_place(kernel: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that allocates no array, copies no slice and returns numbers alone.

    Such functions are built into each other, without counting the references of the arrays that
    they hand on: for an arena of a dozen arrays that takes more time than the work itself.
    """
    return _compile(kernel, forceinline=True, _nrt=False)


def _compile(kernel: Callable[P, R], **options: Any) -> Callable[P, R]:  # noqa: ANN401  (as njit types)
    previous = config.CACHE_DIR  # type: ignore[attr-defined]  # numba fills its config at import
    config.CACHE_DIR = _cache_directory()  # type: ignore[attr-defined]
    try:
        function: Callable[P, R] = njit(cache=True, nogil=True, error_model="numpy", **options)(
            kernel
        )
    finally:
        config.CACHE_DIR = previous  # type: ignore[attr-defined]
    return function
