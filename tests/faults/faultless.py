"""What comes out of a log when nothing fails, and so has to come out whatever fails."""

import json
from dataclasses import dataclass
from pathlib import Path

from flagpost.core.effects import Counts
from tests.end_to_end.pipeline import (
    LOG,
    Pipeline,
    Scores,
    beginning_of,
    evaluated,
    flagged_in,
    origin_of,
    place_of,
)

N_TRANSACTIONS = 4_000
BAD_EVERY = 80
"""Lines between two bad messages: far fewer than would stop a worker."""


@dataclass(frozen=True)
class Faultless:
    """A log with bad messages in the first, the last and many other places, and its truth."""

    log: Path
    scores: Scores
    bad: frozenset[bytes]
    n_labels: int

    @property
    def n_in(self) -> int:
        """How many of its messages are in the topic of transactions."""
        return N_TRANSACTIONS + len(self.bad)

    @property
    def n_lines(self) -> int:
        return self.n_in + self.n_labels

    def wait_until_done(self, pipeline: Pipeline) -> None:
        pipeline.wait_until(
            lambda: (
                pipeline.counts().n_in >= self.n_in
                and pipeline.counts("labels_topic").n_in >= self.n_labels
            )
        )

    def check(self, pipeline: Pipeline) -> None:
        """The table, the counts and the dead letters are those of a run without a fault."""
        assert pipeline.flagged() == self.scores
        n_flagged = len(self.scores)
        assert pipeline.counts() == Counts(
            self.n_in, N_TRANSACTIONS - n_flagged, n_flagged, 0, len(self.bad)
        )
        assert pipeline.counts("labels_topic") == Counts(self.n_labels, self.n_labels)
        self.check_dead_letters(pipeline)

    def check_dead_letters(self, pipeline: Pipeline) -> None:
        """Each bad message is there; after a crash perhaps twice, known by its place."""
        sent = {place_of(m): m.value() for m in pipeline.read_topic() if m.value() in self.bad}
        letters = pipeline.read_topic("dead_letter_topic")
        assert len(sent) == len(self.bad)
        assert {origin_of(letter): letter.value() for letter in letters} == sent


def write_faultless(directory: Path) -> Faultless:
    """Write the log, and score it offline without its bad messages."""
    good = beginning_of(LOG, N_TRANSACTIONS)
    lines, bad = [], []
    for number, line in enumerate(good):
        if number % BAD_EVERY == 0:
            bad.append(b'{"transaction_id":"B%d","amount":' % number)
            lines.append(bad[-1])
        lines.append(line)
    bad.append(b'["the last"]')
    (directory / "good.json").write_bytes(b"\n".join(good))
    log = directory / "log.json"
    log.write_bytes(b"\n".join([*lines, bad[-1]]))
    return Faultless(
        log,
        flagged_in(evaluated(directory / "good.json", directory)),
        frozenset(bad),
        sum(json.loads(line).get("type") == "label" for line in good),
    )
