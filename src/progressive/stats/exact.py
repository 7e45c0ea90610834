"""The exact test for schedules that are fixed in advance: nothing sees a rise in a rate of events
with fewer of them.

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
    """The part of alpha that may be spent by the time at which ``expected`` events of the candidate
    were to be expected; 1 from ``planned``.
    """
    return min(1.0, log1p(expected / FIRST) / log1p(planned / FIRST))


def _outwards(
    low: int, high: int, mode: int, at_mode: float, ratio: Callable[[int], float]
) -> tuple[int, list[float]]:
    """A distribution from its mode outwards: ``ratio(k)`` is what the probability of ``k + 1`` is
    to that of ``k``.
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
    """The binomial distribution of ``every`` events with ``share`` (between 0 and 1, exclusive):
    its least value, and the probabilities.
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
    """How many of ``every`` events fall on ``trials`` of all requests if each is as likely to: its
    least value, and the probabilities.
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
    """After one more look: the new state, and whether it alarms.

    ``events`` are the candidate's, ``expected`` and ``chances`` how many it would have if it were
    not worse (`binomial` or `hypergeometric`); ``allowed`` tells the chance of a false alarm that
    may have been spent at a number of expected events.
    """
    so_far, spent, total, low, before = state
    so_far, total, low = kept(so_far + expected), total + events, low + chances[0]
    found = _convolved(before, chances[1])
    cut, spent = _cut(found, spent, allowed(so_far))
    alarm = total - low >= cut
    first = next(i for i, chance in enumerate(found) if chance >= _TINY)
    return (so_far, kept(spent), total, low + first, tuple(map(kept, found[first:cut]))), alarm


def boundary(state: State) -> int:
    """The least number of events of the candidate that would have alarmed at the last look
    (`update` cuts at it).
    """
    return state[3] + len(state[4])


def _convolved(one: tuple[float, ...], other: list[float]) -> list[float]:
    """The distribution of a sum. Products and additions only, in one order: the same on every
    platform.
    """
    width = len(one)
    found = [0.0] * (width + len(other) - 1)
    for i, chance in enumerate(other):
        found[i : i + width] = [
            so_far + chance * more for so_far, more in zip(found[i : i + width], one, strict=True)
        ]
    return found


def _cut(found: list[float], spent: float, allowed: float) -> tuple[int, float]:
    """Where to cut the upper tail so that no more than ``allowed`` is spent in all, and what is
    spent then.

    What is too improbable to be counted is cut without being charged.
    """
    cut = len(found)
    while found[cut - 1] < _TINY:
        cut -= 1
    while spent + found[cut - 1] <= allowed:
        cut -= 1
        spent += found[cut]
    return cut, spent
