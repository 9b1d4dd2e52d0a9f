"""The features once more, as plainly as possible: lists, sums and no windows kept."""

from dataclasses import dataclass, field

DAY = 86_400_000_000
HOUR = 3_600_000_000


@dataclass
class SlowCustomer:
    past: list[tuple[int, int, bool, int]] = field(default_factory=list)  # time, cents, high, key
    touched: int = 0


def slow_features(
    past: list[tuple[int, int, bool, int]], time_us: int, cents: int, mean_cents: float
) -> tuple[dict[str, float], bool]:
    """Features that depend on the customer's past, and whether the amount is a high one."""
    latest = max([time_us, *(t for t, *_ in past)])
    seen = [p for p in past if p[0] > latest - 45 * DAY and p[0] <= time_us]

    def within(length: int) -> list[tuple[int, int, bool, int]]:
        return [p for p in seen if p[0] > time_us - length]

    def total(length: int) -> float:
        return (sum(p[1] for p in within(length)) + cents) / 100.0

    def count(length: int) -> int:
        return len(within(length)) + 1

    habit = [p[1] for p in within(30 * DAY) if not p[2]]
    ratio = cents / ((sum(habit) + 2.0 * mean_cents) / (len(habit) + 2))
    high_7d = sum(p[2] for p in within(7 * DAY))
    recent = [p[0] for p in within(30 * DAY)]
    features = {
        "customer_tx_count_1h": count(HOUR),
        "customer_tx_count_24h": count(DAY),
        "customer_tx_count_7d": count(7 * DAY),
        "customer_tx_count_30d": count(30 * DAY),
        "customer_total_amount_1h": total(HOUR),
        "customer_total_amount_24h": total(DAY),
        "customer_avg_amount_24h": total(DAY) / count(DAY),
        "customer_avg_amount_7d": total(7 * DAY) / count(7 * DAY),
        "customer_avg_amount_30d": total(30 * DAY) / count(30 * DAY),
        "seconds_since_last": (time_us - max(recent)) / 1e6 if recent else 30 * 86_400.0,
        "amount_ratio": ratio,
        "customer_high_count_7d": high_7d,
        "customer_high_count_14d": sum(p[2] for p in within(14 * DAY)),
        "ratio_if_recent_high": min(ratio, 4.0) if high_7d else 0.0,
    }
    return features, ratio > 2.5 and len(habit) >= 3
