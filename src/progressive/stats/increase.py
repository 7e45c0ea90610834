"""A sequential test for a rise of an event rate over a control's, however small.

It may be looked at at any time. Given a look's requests and the events of both tracks together, how
many of these are the candidate's has a known distribution if it is not worse: hypergeometric, as
each request is as likely to have one; and fewer if it is better. `progressive.stats.capping` tests
that, and has the proof: the chance of an alarm is at most ``alpha`` for a candidate that is no
worse, whatever the rate is, for any number of looks and any schedule of weights, also if they are
chosen by the evidence.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from . import capping, ratios
from .evidence import kept
from .exact import hypergeometric

__all__ = [
    "INITIAL",
    "RESERVED",
    "State",
    "again",
    "begun_again",
    "estimated",
    "evidence",
    "update",
]

State: TypeAlias = tuple[capping.State, tuple[float, float, float]]
"""The evidence, and the three sums of `progressive.stats.ratios` from which the ratio is estimated.
"""

INITIAL: Final[State] = (capping.INITIAL, (0, 0.0, 0.0))
"""The state before the first look."""

RESERVED: Final[State] = (capping.RESERVED, INITIAL[1])
"""The same, of a test that holds something back for when it begins `again`."""


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
    known, (seen, expected, own) = state
    every, whole = events + control_events, trials + control_trials
    look = capping.Look(
        every=every,
        part=trials,
        whole=whole,
        possible=range(max(0, every - control_trials), min(every, trials) + 1),
        chances=lambda: hypergeometric(every, trials, control_trials),
    )
    return capping.update(known, look, events, alpha=alpha), (
        seen + events,
        kept(expected + every * look.share),
        kept(own + events * look.share),
    )


def evidence(state: State, *, alpha: float) -> float:
    """Return the evidence of a rise, in nats: ``log(1 / alpha)`` and more is an alarm.

    Up to there it says how much is left; beyond, it is what the looks would be worth without a cap.
    """
    known, _ = state
    return capping.evidence(known, alpha=alpha)


def estimated(state: State) -> ratios.State:
    """Return the part of the state that `progressive.stats.ratios` estimates from."""
    (logs, *_), sums = state
    return (*logs, *sums)


def again(state: State) -> State:
    """Return the state before a look in which the candidate may have become worse, as with a raise:
    what was seen while it was not does not hide that, and what spoke for harm is not lost.

    What is estimated begins with that look.
    """
    known, _ = state
    _, sums = INITIAL
    return capping.again(known), sums


def begun_again(state: State) -> bool:
    """Return whether it was begun `again`."""
    known, _ = state
    return capping.begun_again(known)
