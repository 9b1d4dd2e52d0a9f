"""The terminal features once more, as plainly as possible: a list of transactions and of labels."""

from dataclasses import dataclass

DAY = 86_400_000_000


@dataclass(frozen=True, order=True)
class At:
    """A transaction at the terminal."""

    time_us: int
    key: int
    ratio: float
    high_count: int


@dataclass(frozen=True)
class Said:
    """A label of a transaction at the terminal."""

    time_us: int
    key: int
    known_at_us: int
    is_fraud: bool


def slow_terminal_features(past: list[At], said: list[Said], now_us: int) -> dict[str, float]:
    until = now_us - 7 * DAY
    known = sorted(a for a in past if until - 30 * DAY < a.time_us <= until)

    def is_fraud(a: At) -> bool:
        counting = [
            (s.known_at_us, s.is_fraud)
            for s in said
            if (s.time_us, s.key) == (a.time_us, a.key)
            and max(s.time_us + 7 * DAY, s.known_at_us + DAY) <= now_us
        ]
        return max(counting)[1] if counting else False

    features: dict[str, float] = {}
    for name, days in (("1d", 1), ("7d", 7), ("30d", 30)):
        window = [a for a in known if a.time_us > until - days * DAY]
        frauds = sum(map(is_fraud, window))
        features[f"terminal_tx_count_{name}"] = len(window)
        features[f"terminal_risk_{name}"] = frauds / len(window) if window else 0.0
    run: list[At] = []
    genuine_us = now_us - 37 * DAY
    for a in reversed(known):
        if not is_fraud(a):
            genuine_us = a.time_us
            break
        if a.ratio <= 2.5:
            run.append(a)
    features["terminal_run"] = len(run)
    features["terminal_run_plain"] = sum(a.high_count == 0 for a in run)
    features["terminal_run_age_days"] = (now_us - run[-1].time_us) / DAY if run else 0.0
    features["terminal_run_min_ratio"] = min([a.ratio for a in run] + [3.0])
    features["terminal_days_since_genuine"] = (now_us - genuine_us) / DAY if run else 7.0
    features["terminal_quiet_days"] = (
        (now_us - known[-1].time_us) / DAY if known and not run else 7.0
    )
    return features
