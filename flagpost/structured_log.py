"""How a worker logs: one line an event on stderr, JSON unless a person is watching."""

import sys
from typing import TextIO

import structlog


def configure_log(stream: TextIO = sys.stderr) -> None:
    """Write coloured lines to a terminal, JSON objects to anything else."""
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if stream.isatty():
        renderer = structlog.dev.ConsoleRenderer(pad_event_to=0)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
