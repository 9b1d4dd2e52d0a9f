"""Waiting for something to come about in other processes."""

from collections.abc import Callable

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

LOOK_SECONDS = 0.05


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Block until a condition holds, so long at most; say whether it does."""
    looking = Retrying(
        retry=retry_if_result(lambda holds: not holds),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(LOOK_SECONDS),
        retry_error_callback=lambda _: False,
    )
    return looking(condition)
