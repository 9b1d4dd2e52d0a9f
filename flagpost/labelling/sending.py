"""Statements become labels and go to their topic: all of them, or none."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from flagpost.clock import latest_event_time_us
from flagpost.errors import Refused, Undelivered
from flagpost.kafka.access_settings import kafka_access
from flagpost.kafka.factory import open_publisher
from flagpost.kafka.topics import ensure_topics
from flagpost.labelling.completion import (
    Completed,
    Defaults,
    KnownTransaction,
    Statement,
    complete,
)
from flagpost.postgres.engine import create_engine
from flagpost.postgres.transactions import find_transactions
from flagpost.settings import Settings

AT_ONCE = 10_000
N_SHOWN = 10

OnProgress = Callable[[float], None]


def prepare(
    settings: Settings,
    statements: Mapping[str, Statement],
    defaults: Defaults,
    on_progress: OnProgress,
) -> Completed:
    """Look transactions up and make the labels; sends nothing. Blocks.

    Raises:
        Unavailable: the database does not answer.
        BadConfiguration: its user may not read the scores.
    """
    ids = sorted({str(each.transaction_id) for each in statements.values()})
    known = dict[str, KnownTransaction]()
    engine = create_engine(settings.database_url.get_secret_value())
    try:
        for part in _parts(len(ids)):
            known |= find_transactions(engine, ids[part])
            on_progress(part.stop / len(ids))
    finally:
        engine.dispose()
    return complete(statements, known, defaults, latest_event_time_us(settings.max_future_days))


def refuse_problems(problems: Sequence[str]) -> None:
    """End here unless there are none.

    Raises:
        Refused: with the first problems as notes.
    """
    if not problems:
        return
    error = Refused(f"{len(problems):,} cannot be labelled; nothing was sent")
    for problem in problems[:N_SHOWN]:
        error.add_note(problem)
    if len(problems) > N_SHOWN:
        error.add_note(f"and {len(problems) - N_SHOWN:,} more")
    raise error


def send(settings: Settings, labels: Completed, on_progress: OnProgress) -> None:
    """Send labels and wait until the brokers have acknowledged them. Blocks.

    Raises:
        Undelivered: some were not; to send all of them again does no harm.
        Unavailable: no broker answers; nothing was sent.
    """
    access = kafka_access(settings)
    ensure_topics(access, {settings.labels_topic: settings.topic_partitions})
    publisher = open_publisher(access, settings.kafka_client)
    try:
        for part in _parts(len(labels.values)):
            publisher.publish(settings.labels_topic, labels.keys[part], labels.values[part])
            publisher.settle()
            on_progress(part.stop / len(labels.values))
    except Undelivered:
        pass  # the receipt says why
    receipt = publisher.finish()
    n_acknowledged = receipt.acknowledged[settings.labels_topic]
    if n_acknowledged < len(labels.values):
        raise Undelivered(
            f"{n_acknowledged:,} of {len(labels.values):,} labels were acknowledged: "
            f"{receipt.first_failure}"
        )


def _parts(n: int) -> Iterator[slice]:
    for start in range(0, n, AT_ONCE):
        yield slice(start, min(start + AT_ONCE, n))
