"""What was seen of each transaction online and offline, and where the two differ."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from flagpost.core.features import FEATURE_NAMES

Seen: TypeAlias = dict[str, str]
"""Every feature value and the score in hexadecimal, so that equal means every bit; and the flag."""


def seen(features: Sequence[float], fraud_probability: float, is_flagged: object) -> Seen:
    named = zip(FEATURE_NAMES, features, strict=True)
    values = {**dict(named), "fraud_probability": fraud_probability}
    return {
        **{name: float(value).hex() for name, value in values.items()},
        "is_flagged": str(bool(is_flagged)),
    }


def skew(online: Mapping[str, Seen], offline: Mapping[str, Seen]) -> list[str]:
    """Return a line for each transaction that only one path has scored, and for each value."""
    missing = [f"{name}: scored online only" for name in sorted(online.keys() - offline.keys())]
    missing += [f"{name}: scored offline only" for name in sorted(offline.keys() - online.keys())]
    both = sorted(online.keys() & offline.keys())
    return missing + [line for name in both for line in _different(name, online, offline)]


def _different(name: str, online: Mapping[str, Seen], offline: Mapping[str, Seen]) -> Iterable[str]:
    here, there = online[name], offline[name]
    for value in sorted(here.keys() | there.keys()):
        if here.get(value) != there.get(value):
            yield f"{name}: {value} is {here.get(value)} online and {there.get(value)} offline"


def values_in(lines: Sequence[str]) -> set[str]:
    """Return the names of the values that differ."""
    return {line.split()[1] for line in lines}
