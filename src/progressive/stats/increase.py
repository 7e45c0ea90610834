"""A sequential test for a rise of an event rate that finds every rise in the end, and wastes
nothing beyond its alarm.

It may be looked at at any time. Two parts share one level:

**A capped mixture** of the alternatives `RATIOS`, whose factors are those of
`progressive.stats.sequential`. An alarm is all that the capital of a test is for, so what it would
have beyond ``1 / alpha`` is of no use, and most tests waste much of it: one event more makes it
several times as much as was needed. Given a look's requests and the events of both tracks together,
how many of these are the candidate's has a known distribution if it is not worse (hypergeometric;
and fewer if it is better). So before the candidate's are looked at, the capital ``M`` is raised by
the largest factor ``b`` for which

    E[min(b M', 1 / alpha)]  <=  M

where ``M'`` is what it comes to in the look. The capital that is capped at ``1 / alpha`` expects no
growth, for any number of looks and any schedule of weights, also if they are chosen by the
evidence, and reaches ``1 / alpha`` with a probability of at most ``alpha`` (Ville's inequality; the
factor is the "boosting" of Wang and Ramdas, "False discovery rate control with e-values", 2022, for
a look at a time). What is saved pays for alternatives below 1.5, of which the least is 1.02: the
harm that is seen fast is seen no later than without them.

Where a look has few events, the expectation is added up. Where it has many, the part below the cap
and the chance of the part above it are bounded by Chernoff's inequality, which holds for a
hypergeometric number as for a binomial one (Hoeffding, 1963); the factor is then less than it might
be.

**Rises of less than a fiftieth** are looked for with a fiftieth of the level, at half as much, a
quarter, an eighth, and so on without an end. For each multiple ``exp(x)``,

    exp(x d - (exp(x) - 1 - x) v)

expects no growth, ``d`` being the sum over the looks of how many more events than expected the
candidate has, and ``v`` the variance of that sum, ``all_events w (1 - w)`` a look (Bennett, 1962).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from math import exp, expm1, factorial, fsum, log, log1p
from typing import Final, TypeAlias

from . import ratios
from .evidence import averaged, kept
from .exact import hypergeometric
from .sequential import RISES

__all__ = ["INITIAL", "LEAST", "SMALL", "State", "estimated", "evidence", "update"]

State: TypeAlias = tuple[ratios.State, float, float, float]
"""The state of `progressive.stats.ratios` for the alternatives `RISES`; the logarithm of all
factors ``b``; and the sums ``d`` and ``v``.
"""

INITIAL: Final[State] = (ratios.initial(RISES), 0.0, 0.0, 0.0)
"""The state before the first look."""

LEAST: Final = 1.01
"""From this ratio on a rise is found by the mixture; nearer to 1 it takes more events for each of
the halvings.
"""

SMALL: Final = 0.02
"""The part of the level with which smaller rises are looked for."""

_HALVINGS: Final = 32
"""So many multiples are tried; to find the least of them takes more events than there are. The
weights are 1 / ((k + 1) (k + 2)); what is left of them is not bet.
"""


def _halved() -> Iterator[tuple[float, float, float]]:
    """Yield ``x``, what a unit of variance costs it, and the logarithm of its weight."""
    for k in range(_HALVINGS):
        x = log(1.01) / 2**k
        cost = fsum([x**n / factorial(n) for n in range(2, 9)])  # exp(x) - 1 - x, to all digits
        yield x, cost, -log((k + 1) * (k + 2))


_HALVED: Final = tuple(_halved())
_KEPT: Final = -log(_HALVINGS + 1)

_FEW: Final = 300
"""Up to so many expected events of the candidate a look is added up, not bounded."""

_LOST: Final = 1e-13
"""More than the chances that `progressive.stats.exact.hypergeometric` leaves out."""

_LEAST_LEFT: Final = 1e-9

_DIGITS: Final = 1e-14
"""To such a part of the largest number, the sums here are exact."""

_TOO_MANY: Final = 10**12
"""From so many events on a float has not digits enough for a factor; none is used."""


def update(
    state: State,
    *,
    events: int,
    trials: int,
    control_events: int,
    control_trials: int,
    alpha: float,
) -> State:
    """Return the state after one more look; trials must be above 0 on both tracks.

    ``alpha`` is the level, the same in every look.
    """
    estimate, gained, excess, variance = state
    every, whole = events + control_events, trials + control_trials
    capital = [
        before + weight + gained for before, weight in zip(estimate, RISES.log_prior, strict=False)
    ]
    gained += _factor(capital, every, trials, control_trials, _needed(alpha) - log1p(-SMALL))
    estimate = ratios.update(
        estimate,
        events=events,
        trials=trials,
        control_events=control_events,
        control_trials=control_trials,
    )
    share = trials / whole
    return (
        estimate,
        kept(gained),
        kept(excess + (events * whole - every * trials) / whole),
        kept(variance + every * share * (control_trials / whole)),
    )


def evidence(state: State, *, alpha: float) -> float:
    """Return the evidence of a rise, in nats: ``log(1 / alpha)`` and more is an alarm.

    Up to there it says how much is left; beyond, it is what the looks would be worth without a cap.
    """
    estimate, gained, excess, variance = state
    small = _of_small(excess, variance)
    plain = ratios.evidence(estimate)
    capped = averaged((plain + gained, small), _PARTS)
    needed = _needed(alpha)
    if capped < needed:
        return capped
    return max(needed, averaged((plain, small), _PARTS))


_PARTS: Final = (log1p(-SMALL), log(SMALL))


def estimated(state: State) -> ratios.State:
    """Return the part of the state that `progressive.stats.ratios` estimates from."""
    return state[0]


def _needed(alpha: float) -> float:
    return -log(alpha)


def _of_small(excess: float, variance: float) -> float:
    """Return the evidence of rises of less than a fiftieth, in nats."""
    gains = [x * excess - cost * variance + weight for x, cost, weight in _HALVED]
    return averaged((*gains, _KEPT), (0.0,) * (len(gains) + 1))


def _factor(
    capital: list[float], every: int, trials: int, control_trials: int, cap: float
) -> float:
    """Return the logarithm of the factor by which the capital may be raised before a look.

    ``capital``, for each alternative, and ``cap`` are logarithms.
    """
    now = _sum(capital)
    if every >= _TOO_MANY or now >= cap:
        return 0.0
    look = _Look(capital, every, trials, control_trials)
    first = bisect_left(look.possible, cap, key=look.capital_with) + look.possible.start
    if first not in look.possible or first == look.possible.start:
        return 0.0  # none is enough; or, by rounding alone, each is
    below, above = look.added_up(first, cap) if look.few else look.bounded(first)
    # The chance is at most the capital's part of the cap (Markov), but a bound of it may be more.
    wasted = exp(min(-_LEAST_LEFT, cap + above - now))
    return max(0.0, now + log1p(-wasted) - below - look.rounding)


class _Look:
    """A look of which only the events of both tracks together are known."""

    def __init__(self, capital: list[float], every: int, trials: int, control_trials: int) -> None:
        self._capital, self._every = capital, every
        self._trials, self._control_trials = trials, control_trials
        self._share = trials / (trials + control_trials)
        self._costs = [every * _spread(self._share, x) for x in RISES.log_ratios]
        self.possible = range(max(0, every - control_trials), min(every, trials) + 1)
        self.few = every * self._share <= _FEW
        self.rounding = _DIGITS * (1 + max(self._costs))

    def _excess(self, own: int) -> float:
        whole = self._trials + self._control_trials
        return (own * whole - self._every * self._trials) / whole

    def _each_with(self, own: int) -> list[float]:
        d = self._excess(own)
        return [
            before + d * x - cost
            for before, x, cost in zip(self._capital, RISES.log_ratios, self._costs, strict=True)
        ]

    def capital_with(self, own: int) -> float:
        """Return what the capital comes to if so many of the events are the candidate's."""
        return _sum(self._each_with(own))

    def added_up(self, first: int, cap: float) -> tuple[float, float]:
        """Return the logarithms of the mean of the capital with fewer than ``first``, and of the
        chance of ``first`` or more.
        """
        least, chances = hypergeometric(self._every, self._trials, self._control_trials)
        top = min(first, least + len(chances)) - 1
        parts = [exp(each) for each in self._each_with(top)]
        below = _LOST * exp(cap)
        for chance in reversed(chances[: top - least + 1]):
            below += chance * fsum(parts)
            parts = [part / ratio for part, ratio in zip(parts, RISES.ratios, strict=True)]
        return log(below), log(_LOST + fsum(chances[first - least :]))

    def bounded(self, first: int) -> tuple[float, float]:
        """Return bounds of the same, by Chernoff's inequality."""
        d, tilt = self._excess(first - 1), self._tilt(first - 1)
        below = [
            before
            + d * (x - min(x, tilt))
            - cost
            + self._every * _spread(self._share, min(x, tilt))
            for before, x, cost in zip(self._capital, RISES.log_ratios, self._costs, strict=True)
        ]
        tilt = max(0.0, self._tilt(first))
        above = self._every * _spread(self._share, tilt) - self._excess(first) * tilt
        return _sum(below), above

    def _tilt(self, own: int) -> float:
        """Return ``x`` for which so many events are the mean if it is ``exp(x)`` times as bad."""
        inside = min(max(own, 0.5), self._every - 0.5)
        return log(inside / (self._every - inside)) - log(self._trials / self._control_trials)


def _sum(logs: list[float]) -> float:
    """Return the logarithm of the sum of the values whose logarithms are ``logs``."""
    top = max(logs)
    return top + log(fsum([exp(each - top) for each in logs]))


def _spread(share: float, x: float) -> float:
    """Return what an event costs the multiple ``exp(x)``, if it is the candidate's with ``share``
    and its excess is counted: the logarithm of the mean of ``exp(x d)``. Never below 0.
    """
    return log1p(share * expm1(x)) - share * x
