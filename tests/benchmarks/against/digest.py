"""What is decided in generated rollouts, by whichever version of the library is on the path.

``python digest.py COUNT``: prints one line for each rollout, with a digest of its decisions: phase,
step, traffic that is asked for, when to come back, and the commands. Not the sentences, which later
versions say otherwise. What later versions decide otherwise is switched off.
"""

from __future__ import annotations

import hashlib
import random
import sys
from typing import Any

from work import ERRORS, conversation, made, release

from progressive import Canary, Limit, NoWorse, minutes, percent, percents, seconds
from progressive.testing import ScriptedMetrics, play, steady


def generated(rng: random.Random) -> tuple[Any, ScriptedMetrics, str]:
    """A canary, what its versions do, and both in words."""
    weights = sorted(rng.sample([1, 2, 5, 10, 25, 50], rng.randint(0, 3)))
    bound, bake = rng.choice([0.5, 1, 2, 5]), rng.choice([2, 5, 10])
    interval, compared = rng.choice([15, 30, 60]), rng.random() < 0.5
    rps, errors = rng.choice([5, 50, 500]), rng.choice([0.001, 0.001, 0.005, 0.02, 0.1])
    checks = [made(NoWorse, ERRORS)] if compared else []
    strategy = made(
        Canary,
        weights=percents(*weights, 100),
        bake=minutes(bake),
        interval=seconds(interval),
        checks=[*checks, made(Limit, ERRORS, at_most=percent(bound))],
    )
    metrics = ScriptedMetrics({ERRORS: steady(rps, stable=0.001, candidate=errors)})
    words = f"{weights} bake {bake} every {interval} at most {bound} compared {compared}"
    return strategy, metrics, f"{words} at {rps} a second with {errors}"


def said(decision: Any) -> str:
    """What a decision comes to; versions name the traffic that is asked for in two ways."""
    rollout = decision.rollout
    asked = getattr(rollout.routing, "desired", None) or rollout.routing.wanted
    step = rollout.plan.steps[rollout.progress.step].id
    commands = [type(command).__name__ for command in decision.commands]
    return f"{rollout.phase} {step} {asked} {rollout.wake_at} {commands}"


def main(count: int) -> None:
    rng, honest, decided = random.Random(1), conversation.decide, list[str]()

    def recording(rollout: Any, *events: Any) -> Any:
        decision = honest(rollout, *events)
        decided.append(said(decision))
        return decision

    conversation.decide = recording
    made_so_far = 0
    while made_so_far < count:
        decided.clear()
        strategy, metrics, words = generated(rng)
        play(strategy, release(), metrics=[metrics])
        made_so_far += len(decided)
        digest = hashlib.sha256("\n".join(decided).encode()).hexdigest()[:16]
        print(f"{len(decided)} {digest} {words}; {decided[-1]}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
