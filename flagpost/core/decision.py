"""What a score means: flagged or not, how risky, and why in words."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flagpost.core.calendar import EPOCH
from flagpost.core.features import (
    AMOUNT_TO_BALANCE,
    FEATURES,
    TERMINAL_RUN_AGE_DAYS,
    Feature,
    ReasonCode,
)
from flagpost.core.history import Int64s
from flagpost.core.scorer import Floats, Scorer
from flagpost.events import UNKNOWN_BALANCE

HIGH_RISK_PROBABILITY = 0.5
BALANCE_SHARE_PERCENT = 95
N_REASONS = 3

Bools = NDArray[np.bool_]
Reason = dict[str, str | float]


class RiskLevel(StrEnum):
    """HIGH: more likely fraud than not. MEDIUM: over the model's threshold. LOW: a rule alone."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


@dataclass(frozen=True, slots=True)
class Decisions:
    """What is decided on n transactions; shape (n,) each."""

    fraud_probability: Floats
    breaks_balance_rule: Bools
    is_flagged: Bools


def decide(
    fraud_probability: Floats, threshold: float, amount_cents: Int64s, balance_cents: Int64s
) -> Decisions:
    """Flag what the model scores at its threshold or above, and what breaks the balance rule.

    The rule HIGH_TX_VS_BALANCE: the amount is more than 95 % of a known account balance.
    """
    breaks_rule = (balance_cents != UNKNOWN_BALANCE) & (
        amount_cents * 100.0 > balance_cents * float(BALANCE_SHARE_PERCENT)
    )
    return Decisions(
        fraud_probability=fraud_probability,
        breaks_balance_rule=breaks_rule,
        is_flagged=(fraud_probability >= threshold) | breaks_rule,
    )


def risk_level(fraud_probability: float, threshold: float) -> RiskLevel:
    """Return the level of a flagged transaction."""
    if fraud_probability >= HIGH_RISK_PROBABILITY:
        return RiskLevel.HIGH
    return RiskLevel.MEDIUM if fraud_probability >= threshold else RiskLevel.LOW


def explain(
    scorer: Scorer, features: Floats, breaks_balance_rule: Bools, event_time_us: Int64s
) -> list[list[Reason]]:
    """Give the strongest reasons of n flagged transactions, the balance rule first.

    A reason is a feature that raises the log-odds over those of an average transaction.
    `log_odds` is its exact term and `share` that term's part of all that raise.
    """
    terms = scorer.terms(features)
    totals = np.maximum(terms, 0.0).sum(axis=1)
    strongest = np.argsort(-terms, axis=1, kind="stable")[:, :N_REASONS]
    columns = [FEATURES[column] for column in scorer.columns.tolist()]
    values = features[:, scorer.columns]
    reasons = []
    for row in range(features.shape[0]):
        began = _RunBegan(int(event_time_us[row]), float(features[row, TERMINAL_RUN_AGE_DAYS]))
        rule = [_balance_reason(features[row])] if breaks_balance_rule[row] else []
        raising = [term for term in strongest[row].tolist() if terms[row, term] > 0]
        reasons.append(
            rule
            + [
                _reason(
                    columns[term], values.item(row, term), terms.item(row, term), totals[row], began
                )
                for term in raising
            ]
        )
    return reasons


class _RunBegan(NamedTuple):
    """When a terminal's run of frauds began; worked out only for the sentences that say it."""

    event_time_us: int
    age_days: float

    def __format__(self, _: str) -> str:
        moment = EPOCH + timedelta(microseconds=self.event_time_us, days=-self.age_days)
        return f"{moment.day} {moment:%B}"


def _reason(
    feature: Feature, value: float, log_odds: float, total: float, run_began: _RunBegan
) -> Reason:
    return {
        "code": feature.reason.value,
        "feature": feature.name,
        "value": round(value, 4),
        "log_odds": round(log_odds, 4),
        "share": round(float(log_odds / total), 4),
        "text": feature.sentence.format(value, since=run_began),
    }


def _balance_reason(row: Floats) -> Reason:
    return {
        "code": ReasonCode.HIGH_TX_VS_BALANCE.value,
        "feature": FEATURES[AMOUNT_TO_BALANCE].name,
        "value": round(float(row[AMOUNT_TO_BALANCE]), 4),
        "text": f"amount is over {BALANCE_SHARE_PERCENT} % of the account balance",
    }
