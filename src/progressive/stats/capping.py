"""A sequential test of how the events of a look fall, which is capped at its alarm and finds every
excess in the end.

It may be looked at at any time. In each look, how many of all events are own ones has a known
distribution if nothing is wrong, as that of how the events of two versions that are alike fall on
them (`progressive.stats.increase`). Two parts share one level:

**A capped mixture** of the alternatives `RISES`, multiples of the odds that an event is an own one.
An alarm is all that the capital of a test is for, so what it would have beyond ``1 / alpha`` is of
no use, and most tests waste much of it: one event more makes it several times as much as was
needed. So before the own events are looked at, the capital ``M`` is raised by the largest factor
``b`` for which

    E[min(b M', 1 / alpha)]  <=  M

where ``M'`` is what it comes to in the look. The capital that is capped at ``1 / alpha`` expects no
growth, for any number of looks and any schedule of them, also if they are chosen by the evidence,
and reaches ``1 / alpha`` with a probability of at most ``alpha`` (Ville's inequality; the factor is
the "boosting" of Wang and Ramdas, "False discovery rate control with e-values", 2022, for a look at
a time). What is saved pays for alternatives below 1.5, of which the least is 1.02: what is seen
fast is seen no later than without them.

**Where something may have changed**, as with a raise, a fifth of the capital is bet anew on all
alternatives (`again`): what was lost on a large one while nothing was wrong does not hide it any
more, and what speaks for a small one from before is kept (Herbster and Warmuth, "Tracking the best
expert", 1998). A test that may begin again (`RESERVED`) holds a fiftieth back at first, of which
each time half is bet anew, so that no time without harm is too long. The capital is the same before
and after, so the level stays.

Where a look has few events, the expectation is added up. Where it has many, the part below the cap
and the chance of the part above it are bounded by Chernoff's inequality, which holds for a
hypergeometric number as for a binomial one (Hoeffding, 1963); the factor is then less than it might
be.

**An excess of less than a fiftieth** is looked for with a fiftieth of the level, at half as much, a
quarter, an eighth, and so on. For each multiple ``exp(x)``,

    exp(x d - (exp(x) - 1 - x) v)

expects no growth, ``d`` being the sum over the looks of how many more own events there were than
expected, and ``v`` the variance of that sum, ``every w (1 - w)`` a look with the share ``w``
(Bennett, 1962).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from math import ceil, exp, expm1, factorial, floor, fsum, log, log1p
from operator import truediv
from typing import Final, TypeAlias

from .evidence import averaged, begin_again, kept, reserved, summed
from .sequential import RISES, Alternatives

__all__ = [
    "INITIAL",
    "LEAST",
    "RESERVED",
    "SMALL",
    "Look",
    "State",
    "again",
    "begun_again",
    "evidence",
    "factor",
    "update",
]

_Begun: TypeAlias = tuple[tuple[float, ...], float, float, float]

_Betting: TypeAlias = tuple[tuple[float, ...], float, float, float, tuple[float, ...]]

State: TypeAlias = _Begun | _Betting
"""The log likelihood ratios of the alternatives `RISES`; the logarithm of all factors ``b``; the
sums ``d`` and ``v``; and, of a test that may begin `again` or did, the logarithms of what is bet on
each, and of what is held back, if anything is.
"""

INITIAL: Final[_Begun] = ((0.0,) * len(RISES.ratios), 0.0, 0.0, 0.0)
"""The state before the first look."""

RESERVED: Final[_Betting] = (*INITIAL, reserved(RISES.log_prior))
"""The same, of a test that holds something back for when it begins `again`."""

LEAST: Final = 1.01
"""From this multiple of the odds on an excess is found by the mixture; nearer to 1 it takes more
events for each of the halvings.
"""

SMALL: Final = 0.02
"""The part of the level with which a smaller excess is looked for."""

_PARTS: Final = (log1p(-SMALL), log(SMALL))

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
"""Up to so many expected own events a look is added up, not bounded."""

_LOST: Final = 1e-13
"""More than the chances that the distributions of `progressive.stats.exact` leave out."""

_LEAST_LEFT: Final = 1e-9

_DIGITS: Final = 1e-14
"""To such a part of the largest number, the sums here are exact."""

_TOO_MANY: Final = 10**12
"""From so many events on a float has not digits enough for a factor; none is used."""


class Look:
    """The events of one look, before it is known which of them are own ones.

    * ``every``: how many events there are.
    * ``part``, ``whole``: of ``whole`` events ``part`` are own ones in the mean, if nothing is
      wrong; whole numbers, so that no digit is lost.
    * ``possible``: how many may be own ones.
    * ``chances``: returns the least number of own ones with a probability worth counting, and the
      probabilities of it and the following ones.
    """

    def __init__(
        self,
        *,
        every: int,
        part: int,
        whole: int,
        possible: range,
        chances: Callable[[], tuple[int, list[float]]],
    ) -> None:
        self.every, self.possible, self.chances = every, possible, chances
        self.share = part / whole
        self.variance = every * self.share * ((whole - part) / whole)
        self._part, self._whole = part, whole

    def excess(self, own: int) -> float:
        """Return how many more than expected ``own`` events are."""
        return (own * self._whole - self.every * self._part) / self._whole

    def cost(self, x: float) -> float:
        """Return the logarithm of the mean of ``exp(x d)``; never below 0."""
        return self.every * (log1p(self.share * expm1(x)) - self.share * x)

    def learned(
        self, logs: Sequence[float], bets: Alternatives, excess: float
    ) -> tuple[float, ...]:
        """Return the log likelihood ratios of ``bets`` after this look, in which so many more own
        events than expected were seen.
        """
        return tuple(
            kept(before + excess * x - self.cost(x))
            for before, x in zip(logs, bets.log_ratios, strict=True)
        )

    def tilt(self, own: int) -> float:
        """Return ``x`` for which ``own`` events are the mean if the odds are ``exp(x)`` times."""
        inside = min(max(own, 0.5), self.every - 0.5)
        return log(inside / (self.every - inside)) - log(self._part / (self._whole - self._part))


def update(state: State, look: Look, own: int, *, alpha: float) -> State:
    """Return the state after one more look, of whose events ``own`` are own ones.

    ``alpha`` is the level, the same in every look.
    """
    logs, gained, excess, variance, *_ = state
    capital = [each + gained for each in _capital(state)]
    gained += factor(capital, _alternatives(capital), look, cap=-log(alpha) - log1p(-SMALL))
    d = look.excess(own)
    after = (
        look.learned(logs, RISES, d),
        kept(gained),
        kept(excess + d),
        kept(variance + look.variance),
    )
    return after if len(state) == 4 else (*after, state[4])


def again(state: State) -> State:
    """Return the state before a look in which something may have changed.

    The log likelihood ratios begin anew.
    """
    logs, gained, excess, variance, *_ = state
    bets = begin_again(_capital(state), RISES.log_prior)
    return (0.0,) * len(logs), gained, excess, variance, bets


def begun_again(state: State) -> bool:
    """Return whether it was begun `again`."""
    return len(state) == 5 and state[4] != RESERVED[4]


def _capital(state: State) -> list[float]:
    """Return the logarithms of what the bets have come to, and of what is held back."""
    bets = state[4] if len(state) == 5 else RISES.log_prior
    return [before + bet for before, bet in zip((*state[0], 0.0), bets, strict=False)]


_ALTERNATIVES: Final = {
    len(each.ratios): each
    for each in (RISES, Alternatives((*RISES.ratios, 1.0), (*RISES.log_ratios, 0.0), ()))
}
"""What the capital is bet on; what is held back is bet on nothing, the odds as they are."""


def _alternatives(capital: Sequence[float]) -> Alternatives:
    return _ALTERNATIVES[len(capital)]


def evidence(state: State, *, alpha: float) -> float:
    """Return the evidence of an excess, in nats: ``log(1 / alpha)`` and more is an alarm.

    Up to there it says how much is left; beyond, it is what the looks would be worth without a cap.
    """
    _, gained, excess, variance, *_ = state
    small = averaged(
        (*[x * excess - cost * variance + weight for x, cost, weight in _HALVED], _KEPT),
        (0.0,) * (_HALVINGS + 1),
    )
    capital = _capital(state)
    mixture, needed = averaged(capital, (0.0,) * len(capital)), -log(alpha)
    capped = averaged((mixture + gained, small), _PARTS)
    if capped < needed:
        return capped
    return max(needed, averaged((mixture, small), _PARTS))


def factor(capital: list[float], bets: Alternatives, look: Look, *, cap: float) -> float:
    """Return the logarithm of the factor by which the capital may be raised before a look.

    ``capital``, for each of ``bets``, and ``cap`` are logarithms.
    """
    now = summed(capital)
    if look.every >= _TOO_MANY or now >= cap:
        return 0.0
    costs = [look.cost(x) for x in bets.log_ratios]

    def each_with(own: int) -> list[float]:
        d = look.excess(own)
        return [
            before + d * x - cost
            for before, x, cost in zip(capital, bets.log_ratios, costs, strict=True)
        ]

    possible = look.possible
    low, high = _around(capital, bets, look, costs, cap)
    start, end = (min(max(0, own - possible.start), len(possible)) for own in (low, high))
    place = bisect_left(possible, cap, start, end, key=lambda own: summed(each_with(own)))
    first = place + possible.start
    if first not in possible or first == possible.start:
        return 0.0  # none is enough; or, by rounding alone, each is
    if look.every * look.share <= _FEW:
        below, above = _added_up(each_with, bets, look, first, cap)
    else:
        below, above = _bounded(each_with(first - 1), bets, look, first)
    # The chance is at most the capital's part of the cap (Markov), but a bound of it may be more.
    wasted = exp(min(-_LEAST_LEFT, cap + above - now))
    return max(0.0, now + log1p(-wasted) - below - _DIGITS * (1 + max(costs)))


def _around(
    capital: list[float], bets: Alternatives, look: Look, costs: list[float], cap: float
) -> tuple[int, int]:
    """Return two numbers of own events, near each other: with fewer than the first the capital does
    not come to the cap, and with the second it does.

    An alternative comes to it alone, or to no less than its part where all are equal.
    """
    expected, part = -look.excess(0), log(len(capital))
    needed = [
        (expected + (cap - before + cost) / x, part / x)
        for before, x, cost in zip(capital, bets.log_ratios, costs, strict=True)
        if x  # what is kept back does not grow
    ]
    least = min([alone - together for alone, together in needed])
    return floor(least) - 1, ceil(min(needed)[0]) + 2


def _added_up(
    each_with: Callable[[int], list[float]],
    bets: Alternatives,
    look: Look,
    first: int,
    cap: float,
) -> tuple[float, float]:
    """Return the logarithms of the mean of the capital with fewer than ``first`` own events, and of
    the chance of ``first`` or more.
    """
    least, chances = look.chances()
    top = min(first, least + len(chances)) - 1
    parts = [exp(each) for each in each_with(top)]
    below = _LOST * exp(cap)
    for chance in reversed(chances[: top - least + 1]):
        below += chance * fsum(parts)
        parts = list(map(truediv, parts, bets.ratios))
    return log(below), log(_LOST + fsum(chances[first - least :]))


def _bounded(
    just_below: list[float], bets: Alternatives, look: Look, first: int
) -> tuple[float, float]:
    """Return bounds of the same, by Chernoff's inequality; ``just_below``: with one event less."""
    d, tilt = look.excess(first - 1), look.tilt(first - 1)
    below = [
        each - d * min(x, tilt) + look.cost(min(x, tilt))
        for each, x in zip(just_below, bets.log_ratios, strict=True)
    ]
    tilt = max(0.0, look.tilt(first))
    return summed(below), look.cost(tilt) - look.excess(first) * tilt
