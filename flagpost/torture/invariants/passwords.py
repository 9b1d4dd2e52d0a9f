"""I7: what must not be seen."""

from collections.abc import Iterator, Mapping, Sequence

from flagpost.torture.invariants.violations import Harm, Violation


def check_no_secret(texts: Mapping[str, str], secrets: Sequence[str]) -> Iterator[Violation]:
    """I7: none of the secrets is in any of the named texts."""
    for name, text in texts.items():
        if any(secret in text for secret in secrets):
            yield Violation("I7", Harm.OTHER, f"a password is in {name}")
