"""The exact sequential test for schedules that are fixed in advance.

No test finds a rise in a rate of events with fewer of them.

Given how many events a look has in all, and which part of the requests was the candidate's, the
number of its events has a known distribution if it is not worse, whatever the rate is. So the
distribution of their sum among all courses that have not alarmed can be followed from look to look,
and after each look exactly as much of its upper tail is cut off as may be spent by then. The sum is
the most powerful statistic against every ratio at once, so nothing has to be guessed.

What may be spent grows with the logarithm of the information (Lan and DeMets, 1983, with a spending
function of our own): the same part of alpha for each e-fold, because nobody knows the ratio, and
the time in which a ratio is found is then as likely to be in one e-fold as in another. It is spent
when ``planned`` events of the candidate were to be expected. The chance of a false alarm is at most
what was spent: for any number of looks and any course of the rate, if weights and looks don't
depend on the evidence. Where they do (early promotion), use `progressive.stats.sequential`.

The state is the distribution: one number for each sum that is still possible with a probability
worth counting, about 16 times the square root of ``planned``; what may be spent is spent by then,
so it never grows past that.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log1p
from typing import Final, TypeAlias

from .evidence import kept
from .special import log_binomial, log_hypergeometric

__all__ = ["INITIAL", "State", "binomial", "boundary", "hypergeometric", "log_time", "update"]

State: TypeAlias = tuple[float, float, int, int, tuple[float, ...]]
"""Expected events of the candidate; what is spent of alpha; its events; the least sum that is still
possible; and the probabilities of that sum and the following ones among the courses without alarm.
"""

INITIAL: Final[State] = (0.0, 0.0, 0, 0, (1.0,))
"""Before the first look."""

FIRST: Final = 0.05
"""Expected events at which the spending begins; earlier than this, no count of errors would be
evidence.
"""

_TINY: Final = 1e-16
"""Less probable sums are not followed: in ten million looks, that adds less than one in a billion
to the chance of a false alarm. So an alpha below one in a million has no meaning here.
"""


def log_time(expected: float, planned: float) -> float:
    """Return the part of alpha that may be spent by ``expected`` events of the candidate.

    It is 1 from ``planned`` expected events on.
    """
    return min(1.0, log1p(expected / FIRST) / log1p(planned / FIRST))


def _outwards(
    low: int, high: int, mode: int, at_mode: float, ratio: Callable[[int], float]
) -> tuple[int, list[float]]:
    """Return a distribution, computed from its mode outwards: its least value, and the chances.

    ``ratio(k)`` is the probability of ``k + 1`` over that of ``k``.
    """
    above, below = [at_mode], []
    for k in range(mode, high):
        above.append(above[-1] * ratio(k))
        if above[-1] < _TINY:
            break
    last = at_mode
    for k in range(mode - 1, low - 1, -1):
        last /= ratio(k)
        below.append(last)
        if last < _TINY:
            break
    return mode - len(below), [*reversed(below), *above]


def binomial(every: int, share: float) -> tuple[int, list[float]]:
    """Return the binomial distribution of ``every`` events: its least value, and the chances.

    ``share`` is the chance of each, between 0 and 1, exclusive.
    """
    mode = min(every, int((every + 1) * share))
    odds = share / (1 - share)
    return _outwards(
        0,
        every,
        mode,
        exp(log_binomial(mode, every, share)),
        lambda k: (every - k) / (k + 1) * odds,
    )


def hypergeometric(every: int, trials: int, control_trials: int) -> tuple[int, list[float]]:
    """Return the distribution of how many of ``every`` events fall on ``trials`` of all requests.

    Each request is as likely to have one. The result is its least value, and the chances.
    """
    low, high = max(0, every - control_trials), min(every, trials)
    mode = min(high, max(low, (every + 1) * (trials + 1) // (trials + control_trials + 2)))
    at_mode = exp(log_hypergeometric(mode, trials + control_trials, every, trials))
    return _outwards(
        low,
        high,
        mode,
        at_mode,
        lambda k: (every - k) * (trials - k) / ((k + 1) * (control_trials - every + k + 1)),
    )


def update(
    state: State,
    *,
    events: int,
    expected: float,
    chances: tuple[int, list[float]],
    allowed: Callable[[float], float],
) -> tuple[State, bool]:
    """Return the state after one more look, and whether it alarms.

    * ``events``: the candidate's.
    * ``expected``, ``chances``: how many it would have if it were not worse, in the mean and as a
      distribution (`binomial` or `hypergeometric`).
    * ``allowed``: takes expected events, and returns the chance of a false alarm that may have been
      spent by then.
    """
    expected_before, spent, total, least, probabilities = state
    expected, total, least = kept(expected_before + expected), total + events, least + chances[0]
    sums = _convolved(probabilities, chances[1])
    cut, spent = _cut(sums, spent, allowed(expected))
    alarm = total - least >= cut
    first = next(i for i, chance in enumerate(sums) if chance >= _TINY)
    return (expected, kept(spent), total, least + first, tuple(map(kept, sums[first:cut]))), alarm


def boundary(state: State) -> int:
    """Return the least number of events of the candidate that would have alarmed at the last look.

    It is where `update` has cut the distribution.
    """
    _, _, _, least, probabilities = state
    return least + len(probabilities)


def _convolved(one: tuple[float, ...], other: list[float]) -> list[float]:
    """Return the distribution of a sum.

    Only products and additions, in one order, so that it is the same on every platform.
    """
    width = len(one)
    sums = [0.0] * (width + len(other) - 1)
    for i, chance in enumerate(other):
        sums[i : i + width] = [
            so_far + chance * more for so_far, more in zip(sums[i : i + width], one, strict=True)
        ]
    return sums


def _cut(sums: list[float], spent: float, allowed: float) -> tuple[int, float]:
    """Return where to cut the upper tail, and what is then spent: at most ``allowed`` in all.

    Sums too improbable to be counted are cut without being charged.
    """
    cut = len(sums)
    while sums[cut - 1] < _TINY:
        cut -= 1
    while spent + sums[cut - 1] <= allowed:
        cut -= 1
        spent += sums[cut]
    return cut, spent
