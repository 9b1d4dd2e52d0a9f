"""Card payments that happen while they are sent: all of them but the time is drawn before."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CUSTOMERS, TERMINALS, SEED = 100_000, 200_000, 214
LABEL_EVERY = 100
LABELLED_BEFORE = 1_000
"""Every 100th payment is followed by a label of the one that came 1,000 before it."""


class Payments(NamedTuple):
    """n payments; the lists have n entries, `is_flagged` has shape (n,)."""

    customers: list[bytes]
    terminals: list[bytes]
    amounts: list[bytes]
    is_flagged: NDArray[np.bool_]

    def message(self, row: int, happened_at: bytes) -> bytes:
        """Write a payment of about 220 bytes."""
        return (
            b'{"transaction_id":"%b","timestamp":"%b","user_id":"%b","terminal_id":"%b",%b,'
            b'"currency":"EUR","merchant_category":"fashion","location":"Mapledale"}'
        ) % (
            transaction_id(row),
            happened_at,
            self.customers[row],
            self.terminals[row],
            self.amounts[row],
        )

    def label(self, row: int, happened_at: bytes, known_at: bytes) -> bytes:
        """Write that a payment was genuine."""
        return (
            b'{"type":"label","transaction_id":"%b","user_id":"%b","terminal_id":"%b",'
            b'"timestamp":"%b","is_fraud":false,"known_at":"%b","source":"review"}'
        ) % (
            transaction_id(row),
            self.customers[row],
            self.terminals[row],
            happened_at,
            known_at,
        )


def transaction_id(row: int) -> bytes:
    """Name a payment."""
    return b"L%08d" % row


def row_of(transaction: str) -> int:
    """Return which payment has this name."""
    return int(transaction[1:])


def draw_payments(n: int, flagged_share: float) -> Payments:
    """Draw payments of many customers.

    The first one and a share of the others empty their account, and so break the balance rule.
    """
    draw = np.random.default_rng(SEED)
    is_flagged = draw.random(n) < flagged_share
    is_flagged[0] = True
    cents = draw.integers(500, 9_000, n)
    balance_cents = np.where(is_flagged, cents + 1, cents + draw.integers(50_000, 500_000, n))
    return Payments(
        [b"C%06d" % customer for customer in draw.integers(0, CUSTOMERS, n).tolist()],
        [b"T%06d" % terminal for terminal in draw.integers(0, TERMINALS, n).tolist()],
        [
            b'"amount":%.2f,"account_balance":%.2f' % (amount / 100, balance / 100)
            for amount, balance in zip(cents.tolist(), balance_cents.tolist(), strict=True)
        ],
        is_flagged,
    )


def labelled_with(rows: range) -> list[int]:
    """Return the earlier payments whose labels are sent with these."""
    due = (row for row in rows if row % LABEL_EVERY == 0)
    return [row - LABELLED_BEFORE for row in due if row >= LABELLED_BEFORE]
