"""The account behind the card: a salary comes in every month, payments go out."""

from datetime import date

import numpy as np
import pandas as pd

from flagpost.training.simulator.payments import Payments
from flagpost.training.simulator.population import Customers, Floats, Ints
from flagpost.training.simulator.random_streams import Concern, stream

_RESERVE_PAYMENTS = 2.5
"""Customers top up before a payment when the balance is below this many of their mean payments."""
_MONTH_DAYS = 30


def balances_before_cents(payments: Payments, customers: Customers, start: date, seed: int) -> Ints:
    """The balance of the customer's account just before each payment, shape (n,).

    A genuine payment over 95 % of it needs an amount of 2.4 times the customer's mean on
    an account that is at its reserve, so it is rare; a stolen card's payment gets there sometimes.
    """
    rng = stream(seed, Concern.ACCOUNTS)
    customer = payments.customer
    monthly_spending = _MONTH_DAYS * customers.attempts_per_day * customers.mean_amount
    salary = monthly_spending * rng.uniform(0.9, 1.2, len(monthly_spending))
    reserve = _RESERVE_PAYMENTS * customers.mean_amount
    opening = reserve + salary * rng.uniform(0, 1, len(salary))
    payday = rng.integers(1, 29, len(salary))

    salaries = _paydays_until(start, payments.day, payday[customer])
    spent = pd.Series(payments.amount_cents).groupby(customer).cumsum().to_numpy()
    balance = (
        _cents(opening)[customer]
        + salaries * _cents(salary)[customer]
        - (spent - payments.amount_cents)
    )
    return balance + _topped_up(balance, customer, _cents(reserve))


def _cents(amount: Floats) -> Ints:
    cents: Ints = np.rint(100 * amount).astype(np.int64)
    return cents


def _paydays_until(start: date, day: Ints, payday: Ints) -> Ints:
    """How often each payday, a day of the month, came after the start and up to the day."""
    dates = np.datetime64(start, "D") + day
    months = (dates.astype("datetime64[M]") - np.datetime64(start, "M")).astype(np.int64)
    day_of_month = (dates - dates.astype("datetime64[M]")).astype(np.int64) + 1
    paydays: Ints = months + (day_of_month >= payday) - (start.day >= payday)
    return paydays


def _topped_up(balance: Ints, customer: Ints, reserve: Ints) -> Ints:
    """What was moved in so far, in steps of one reserve, to keep each balance above its reserve."""
    step = reserve[customer]
    shortage = pd.Series(step - balance).groupby(customer).cummax().clip(lower=0).to_numpy()
    topped_up: Ints = -(-shortage // step) * step
    return topped_up
