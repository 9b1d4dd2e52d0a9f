"""What one member has done so far, and how fast."""

from dataclasses import dataclass, field

from flagpost.core.effects import Counts


@dataclass(slots=True)
class Tally:
    """Counts, and the time from the first messages to the last commit, by a clock in seconds."""

    counts: Counts = field(default_factory=Counts)
    began: float | None = None
    ended: float = 0.0

    def begin(self, now: float) -> None:
        """Note that messages have come; only the first time counts."""
        if self.began is None:
            self.began = now

    def add(self, counts: Counts, ended: float) -> None:
        """Count a committed batch."""
        self.counts = self.counts + counts
        self.ended = ended

    @property
    def seconds(self) -> float:
        """Time from the first messages to the last commit."""
        return 0.0 if self.began is None else max(self.ended - self.began, 0.0)

    def __str__(self) -> str:
        """Say it in a line."""
        counts, seconds = self.counts, self.seconds
        rate = f", {counts.n_in / seconds:,.0f} messages/s" if seconds else ""
        return (
            f"read {counts.n_in:,}  clean {counts.n_clean:,}  flagged {counts.n_flagged:,}  "
            f"duplicate {counts.n_duplicate:,}  dead {counts.n_dead:,}  in {seconds:.2f} s{rate}"
        )
