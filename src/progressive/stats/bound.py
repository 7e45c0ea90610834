"""A sequential test for a rate of events above a bound: "at most 1 % of the requests fail".

It may be looked at at any time: the chance of an alarm is at most ``alpha`` for a rate that is at
or below the bound in every look, for any number of looks of any size, also if weights and looks are
chosen by the evidence. It is for requests that fail independently of each other.

Most of the capital is bet from the first look on, on the multiples `RATES` of the bound's odds.
What a version was like before is no evidence of what it will be like in new traffic, nor for ever,
and a long time at a good rate would hide that it has become bad. So a part of the capital is kept
back: some of it is bet anew after each look, and some at each change of traffic, for the ``k``-th
``1 / (k (k + 1))`` of either part. The capital is what all bets have come to and what is not bet
yet, which expects no growth, as each of the bets does (Ville's inequality). Before each look it is
raised by what the cap at the alarm would cut off (`progressive.stats.capping`).
"""

from __future__ import annotations

from fractions import Fraction
from math import exp, fsum, log, log1p
from typing import Final, TypeAlias

from . import capping
from .evidence import kept
from .exact import binomial
from .sequential import Alternatives

__all__ = ["INITIAL", "RATES", "State", "evidence", "look_at", "update"]

RATES: Final = Alternatives.of(
    [
        (1.02, 0.03),
        (1.07, 0.04),
        (1.25, 0.05),
        (1.7, 0.09),
        (2.8, 0.14),
        (5.0, 0.3),
        (8.0, 0.2),
        (40.0, 0.15),
    ]
)
"""The alternatives, as multiples of the odds of the bound, and their weights: what is a hundredth
above the bound is found in the end.
"""

_BETS: Final = Alternatives((*RATES.ratios, 1.0), (*RATES.log_ratios, 0.0), (*RATES.log_prior, 0.0))
"""The alternatives, and what is kept back."""

RESERVE: Final = 0.05
"""The part of the capital that is kept back for later looks, and as much for new traffic."""

State: TypeAlias = tuple[tuple[float, ...], float, int, int]
"""The logarithms of what each alternative has come to; that of all factors by which the capital was
raised; and how many looks there were, and changes of traffic.
"""

INITIAL: Final[State] = ((log1p(-2 * RESERVE),) * len(RATES.ratios), 0.0, 0, 0)
"""The state before the first look."""


def look_at(trials: int, rate: Fraction) -> capping.Look:
    """Return a look of ``trials`` (1 or more) requests at a bound of ``rate``, between 0 and 1."""
    return capping.Look(
        every=trials,
        part=rate.numerator,
        whole=rate.denominator,
        possible=range(trials + 1),
        chances=lambda: binomial(trials, float(rate)),
    )


def update(
    state: State, *, events: int, trials: int, rate: Fraction, alpha: float, anew: bool = False
) -> State:
    """Return the state after one more look of ``trials`` (1 or more) requests.

    * ``rate``: the bound, between 0 and 1, exclusive.
    * ``alpha``: the level, the same in every look.
    * ``anew``: whether this is the first look in new traffic.
    """
    logs, gained, looks, changes = state
    look, bet = look_at(trials, rate), 0.0
    if looks:
        bet = RESERVE / (looks * (looks + 1))
        if anew:
            changes += 1
            bet += RESERVE / (changes * (changes + 1))
        added = log(bet)
        logs = tuple([_sum((each, added)) for each in logs])
    looks += 1
    gained += capping.factor(_capital((logs, gained, looks, changes)), _BETS, look, cap=-log(alpha))
    return (
        look.learned(logs, RATES, look.excess(events)),
        kept(gained),
        looks,
        changes,
    )


def evidence(state: State, *, alpha: float) -> float:
    """Return the evidence of a rate above the bound, in nats: ``log(1 / alpha)`` is an alarm.

    Up to there it says how much is left; beyond, it is what the looks would be worth without a cap.
    """
    capped, needed = kept(_sum(_capital(state))), -log(alpha)
    if capped < needed:
        return capped
    logs, _, looks, changes = state
    return max(needed, kept(_sum(_capital((logs, 0.0, looks, changes)))))


def _capital(state: State) -> list[float]:
    """Return the logarithms of what each bet has come to, and of what is kept back."""
    logs, gained, looks, changes = state
    left = RESERVE / max(looks, 1) + RESERVE / (changes + 1)
    return [
        *(each + weight + gained for each, weight in zip(logs, RATES.log_prior, strict=True)),
        log(left) + gained,
    ]


def _sum(logs: tuple[float, ...] | list[float]) -> float:
    """Return the logarithm of the sum of the values whose logarithms are ``logs``."""
    top = max(logs)
    return top + log(fsum([exp(each - top) for each in logs]))
