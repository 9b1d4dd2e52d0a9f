"""A future without a thread."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import TypeVar

R = TypeVar("R")


class WhenAsked(Future[R]):
    """Calls a function when its result is asked for the first time, in the thread that asks.

    Nothing but `result` and `exception` asks: whoever waits otherwise waits for those who do.
    """

    def __init__(self, work: Callable[[], R]) -> None:
        super().__init__()
        self._work = work
        self._asking = Lock()

    def result(self, timeout: float | None = None) -> R:
        """Return what the function returns, or raise what it raises; blocks, whatever `timeout`."""
        self._ask()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the function raises, or None; blocks, whatever `timeout`."""
        self._ask()
        return super().exception(timeout)

    def _ask(self) -> None:
        with self._asking:
            if self.done():
                return
            try:
                self.set_result(self._work())
            except BaseException as error:
                self.set_exception(error)  # whoever asks gets it, and nobody does it again
                if not isinstance(error, Exception):
                    raise
