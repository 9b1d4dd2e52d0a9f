"""Puts what was found beside what had to come out."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from sqlalchemy.engine import make_url

from flagpost.clock import latest_event_time_us
from flagpost.core.effects import Counts
from flagpost.events import Partition, TransactionDecoder
from flagpost.torture import evidence
from flagpost.torture.delivered import read_topics
from flagpost.torture.invariants import journal, kafka, passwords, positions, progress, tables
from flagpost.torture.invariants.progress import Silence
from flagpost.torture.invariants.violations import Truths, Violation
from flagpost.torture.kafka_commits import read_commits
from flagpost.torture.ledger import read_steps, read_takeovers
from flagpost.torture.offline_scores import score_offline
from flagpost.torture.site import Site
from flagpost.torture.truth import ModelUse, Truth, truth_of_labels, truth_of_transactions
from flagpost.training.offline import decode_log

MAX_FUTURE_DAYS = 1.0


def truths_of(
    site: Site, log: Path, models: Sequence[Path], uses: Sequence[ModelUse]
) -> dict[Partition, Truth]:
    """Compute what had to become of everything that the topics hold. Blocks for seconds."""
    latest_us = latest_event_time_us(MAX_FUTURE_DAYS)
    decoder = TransactionDecoder()
    scored = dict(score_offline(decode_log(log, decoder, latest_us), models))
    return {
        delivered.partition: truth_of_labels(delivered, latest_us)
        if delivered.partition.topic == site.labels_topic
        else truth_of_transactions(delivered, decoder, latest_us, scored, uses)
        for delivered in read_topics(site.kafka_bootstrap, site.topics)
    }


def compare(
    site: Site, truths: Truths, silences: Sequence[Silence], logs: Mapping[str, str]
) -> Iterator[Violation]:
    """Check all that is to be seen when nobody runs any more.

    Args:
        site: where it happened.
        truths: what had to come out.
        silences: when members fell silent.
        logs: what members have said, by name.
    """
    transactions = _of_topic(truths, site.name)
    labels = _of_topic(truths, site.labels_topic)
    letters = read_topics(site.kafka_bootstrap, [site.dead_letter_topic])
    takeovers, steps = read_takeovers(site.database_url), read_steps(site.database_url)
    yield from positions.check_steps(steps, truths)
    yield from positions.check_owners(steps)
    ends = evidence.read_positions(site.database_url)
    yield from positions.check_ends(ends, steps, truths)
    yield from positions.check_standings(ends, truths)
    yield from positions.check_standings(evidence.read_checkpoints(site.database_url), truths)
    openings = evidence.read_openings(site.database_url)
    yield from positions.check_checkpoints(openings, steps, truths)
    commits = read_commits(site.kafka_bootstrap, site.name)
    yield from kafka.check_kafka(commits, steps)
    yield from kafka.check_told(commits, ends)
    yield from tables.check_flagged(evidence.read_flagged(site.database_url), transactions)
    yield from tables.check_kept(evidence.read_kept(site.database_url), transactions)
    yield from tables.check_totals(evidence.read_totals(site.database_url), transactions)
    yield from tables.check_spread(evidence.read_spread(site.database_url), transactions)
    yield from tables.check_labels(evidence.read_labels(site.database_url), labels)
    yield from journal.check_journal(evidence.read_journal(site.database_url), truths)
    segments = evidence.read_segments(site.database_url)
    yield from journal.check_segments(segments, openings, truths)
    yield from tables.check_dead_letters(
        chain.from_iterable(evidence.buried(letter) for letter in letters), truths
    )
    yield from progress.check_progress(progress.chances_of(silences, takeovers, steps, truths))
    headers = {"the dead letters": "".join(map(evidence.header_texts, letters))}
    password = make_url(site.database_url).password
    yield from passwords.check_no_secret({**logs, **headers}, [str(password)])


def n_chances(site: Site, truths: Truths, silences: Sequence[Silence]) -> int:
    """Return during how many silences the others had something to go on with."""
    takeovers, steps = read_takeovers(site.database_url), read_steps(site.database_url)
    chances = progress.chances_of(silences, takeovers, steps, truths)
    return len({chance.silence for chance in chances})


def counts_of(site: Site, truths: Truths) -> dict[str, Counts]:
    """Return what had to be counted, for the transactions and for the labels."""
    return {
        name: sum(
            (truth.counts(0, truth.fates.size) for truth in _of_topic(truths, topic).values()),
            Counts(),
        )
        for name, topic in (("transactions", site.name), ("labels", site.labels_topic))
    }


def _of_topic(truths: Truths, topic: str) -> Truths:
    return {partition: truth for partition, truth in truths.items() if partition.topic == topic}
