"""Flagger's cases: what is claimed of each, and the rules that say which claim is made of which
case.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.cases.classes import Case, Fate, Rule
from tests.cases.flagger_case import Attempt, Share, attempts, kind_of
from tests.cases.flagger_scene import distinct, is_exact, play, strategy, weights
from tests.cases.scene import Scene

from progressive import Phase, Release, StrategyError, Version

FILE = "flagger.json"


ENDS: dict[str, set[Phase]] = {"Succeeded": {Phase.PROMOTED}, "Failed": {Phase.ROLLED_BACK}}
"""Flagger's last phase and ours. While it runs, there, it runs here, or has just got all the
traffic.
"""


RUNNING = {Phase.PENDING, Phase.PROGRESSING, Phase.PROMOTED}


def same_at_every_tick(case: Case) -> None:
    """The new version has Flagger's share of the traffic at each of its ticks, and the end is the
    same.
    """
    for attempt in attempts(case):
        played = play(attempt)

        assert played.shares == played.said(attempt.shares), played
        assert played.phase in _ends(attempt), played


def same_in_order(case: Case) -> None:
    """The same shares in the same order, and the same end; not tick by tick."""
    for attempt in attempts(case):
        played = play(attempt)

        assert played.distinct == _with_the_way_back(
            distinct([0, *played.said(attempt.shares)]), attempt
        ), played
        assert played.phase in _ends(attempt), played


def sooner(case: Case) -> None:
    """As Flagger does, but back at the tick that sees the failure too many."""
    for attempt in attempts(case):
        played = play(attempt)

        assert played.shares == played.said(attempt.sooner), played
        assert played.phase in _ends(attempt), played


def put_back(case: Case) -> None:
    """Asked for is what the plan says and nothing else; a weight that somebody set is gone with the
    next look.
    """
    for attempt in attempts(case):
        edited = [tick.given["setRoutes"][1] for tick in attempt.ticks if "setRoutes" in tick.given]
        played = play(attempt)
        planned, asked = (
            distinct([0, *weights(attempt.analysis), 100]),
            distinct([0, *_asked(played.scene)]),
        )

        assert asked == planned[: len(asked)], played
        for before, edit, after in zip(
            played.distinct, played.distinct[1:], played.distinct[2:], strict=False
        ):
            assert before == after or edit not in edited, played


def refused(case: Case) -> None:
    """A description that would never end is refused when it is made."""
    with pytest.raises(StrategyError, match="steps: none"):
        strategy(attempts(case)[0])


def no_exact_match(case: Case) -> None:
    """What is not an exact header or cookie can't be said."""
    with pytest.raises(StrategyError, match="not one exact header or cookie"):
        strategy(attempts(case)[0])


def against_itself(case: Case) -> None:
    """A version can't be released against itself."""
    with pytest.raises(StrategyError, match="two versions"):
        Release(service="shop", stable=Version("v1"), candidate=Version("v1"))


def each_its_own(case: Case) -> None:
    """A hook that fails and a check that fails are not added up; nothing alone was too much, so
    nothing goes back for it.
    """
    for attempt in attempts(case):
        failing = (
            [not tick.good for tick in attempt.ticks],
            *([not t.answers(h) for t in attempt.ticks] for h in attempt.hooks("rollout")),
        )
        played = play(attempt)

        assert (played.phase is Phase.ROLLED_BACK) is any(
            sum(each) >= attempt.threshold for each in failing
        )


def never_raised_without_a_way_back(case: Case) -> None:
    """While the old instances can't carry everything, the new ones get no more than they have."""
    for attempt in attempts(case):
        played = play(attempt)

        assert played.phase is not Phase.PROMOTED, played
        assert max(played.distinct, key=float) != 100, played


def _asked(scene: Scene) -> list[Share]:
    return [note.traffic.candidate.number for note in scene.notes if note.kind == "asked"]


def _with_the_way_back(shares: list[Share], attempt: Attempt) -> list[Share]:
    """A rollout that is superseded goes back to 0 % first."""
    return distinct([*shares, 0]) if attempt.superseded else shares


def _ends(attempt: Attempt) -> set[Phase]:
    return {Phase.ROLLED_BACK} if attempt.superseded else ENDS.get(attempt.phase, RUNNING)


def _given(case: Case, name: str) -> list[Any]:
    return [row["input"][name] for row in case["trace"] if name in row["input"]]


def _hooked(case: Case, *kinds: str) -> bool:
    return any(
        kind_of(hook) in kinds for hook in case["spec"].get("analysis", {}).get("webhooks", ())
    )


def _closed(case: Case, *kinds: str) -> bool:
    """Does a webhook of these kinds ever say what it usually does not?"""
    found = [
        hook
        for hook in case["spec"].get("analysis", {}).get("webhooks", ())
        if kind_of(hook) in kinds
    ]
    return any(
        answers.get(hook["name"], True) is False
        for answers in _given(case, "webhooks")
        for hook in found
    )


def _copying(case: Case) -> bool:
    """Is it about what becomes of the copy of the new version under the old one's name?"""
    preset = any(
        status.get("phase") in ("Promoting", "Finalising") for status in _given(case, "setStatus")
    )
    phases = ["", *(row["expect"]["phase"] for row in case["trace"])]
    stuck = any(
        row["input"].get("primary", "ready") != "ready" and before in ("Promoting", "Finalising")
        for row, before in zip(case["trace"], phases, strict=False)
    )
    return preset or stuck


def _shaky(attempt: Attempt) -> bool:
    """Are the old instances not ready at a tick after the first traffic?"""
    begun = next((n for n, share in enumerate(attempt.shares) if share), len(attempt.ticks))
    return any(tick.given.get("primary", "ready") != "ready" for tick in attempt.ticks[begun:])


def _endless(case: Case) -> bool:
    analysis = case["spec"].get("analysis", {})
    none = not any(analysis.get(name) for name in ("stepWeight", "stepWeights", "iterations"))
    return (
        none
        and not case["spec"].get("skipAnalysis")
        and not case["provider"].startswith("kubernetes")
    )


def _back_while_running(case: Case) -> bool:
    running = False
    for row in case["trace"]:
        if running and row["input"].get("update") == row["expect"]["primaryRevision"]:
            return True
        running = row["expect"]["phase"] not in ("Failed", "Succeeded")
    return False


def _added_up(case: Case) -> bool:
    """Do hooks and metrics fail in the same attempt, so that it matters that Flagger adds them
    up?
    """
    kinds = [
        _closed(case, "pre-rollout"),
        _closed(case, "rollout"),
        "fail" in _given(case, "metrics"),
    ]
    return sum(kinds) > 1


RULES: tuple[Rule, ...] = (
    Rule(
        feature="promotion by copying, and what can fail in it",
        when=_copying,
        fate=Fate.CLUSTER,
        why="Flagger promotes by copying the new version over the old one, and a copy that "
        "does not start is a second rollout "
        "inside the first. Here traffic moves and nothing is copied: after 100 % there is "
        "nothing left that could fail.",
    ),
    Rule(
        feature="an analysis without steps and iterations",
        when=_endless,
        fate=Fate.DIFFERS,
        why="Flagger takes it and waits for ever. Here it is a `StrategyError` when the "
        "strategy is made.",
        replay=refused,
    ),
    Rule(
        feature="header and cookie routes by regular expression or prefix",
        when=lambda case: not is_exact(case),
        fate=Fate.DIFFERS,
        why="A `Match` is an exact header or cookie: it means the same on every router. A "
        "regular expression that means one "
        "cookie with one value is translated.",
        replay=no_exact_match,
    ),
    Rule(
        feature="somebody edits the weights by hand",
        when=lambda case: bool(_given(case, "setRoutes")),
        fate=Fate.DIFFERS,
        why="Flagger takes the weight that it finds as its own and goes on from there (a "
        "weight that is not in its list jumps to "
        "100 %). Here it is drift: noted, put back, and after the third time the rollout "
        "ends or holds. A rollout does not "
        "begin while somebody else's weights stand.",
        replay=put_back,
    ),
    Rule(
        feature="the target goes back to the promoted version in the middle",
        when=_back_while_running,
        fate=Fate.DIFFERS,
        why="Flagger then releases the old version against itself. Here a release of a version "
        "against itself is refused; the "
        "way back is an `Abort`.",
        replay=against_itself,
    ),
    Rule(
        feature="failing hooks and failing metrics together",
        when=_added_up,
        fate=Fate.DIFFERS,
        why="Flagger has one counter for all of them. Here every check has its own "
        "`Tolerance`, and a hook answers for itself.",
        replay=each_its_own,
    ),
    Rule(
        feature="failed checks up to the threshold",
        when=lambda case: (
            any(attempt.full for attempt in attempts(case))
            or "failedChecks" in str(_given(case, "setStatus"))
        ),
        fate=Fate.DIFFERS,
        why="The same weights, and as many failed checks are tolerated "
        "(`Tolerance(failures=threshold - 1)`: they add up, passes "
        "do not forgive them). But Flagger goes back one interval after the last of them, "
        "here it is the same tick.",
        replay=sooner,
    ),
    Rule(
        feature="old instances that are not ready in the middle",
        when=lambda case: any(_shaky(attempt) for attempt in attempts(case)),
        fate=Fate.DIFFERS,
        why="Flagger waits, and after its deadline gives them all the traffic back. Here the "
        "start and every raise wait for a stable "
        "that can carry everything, for as long as the step may take; the way back goes in "
        "steps then, and a person is told at once.",
        replay=never_raised_without_a_way_back,
    ),
    Rule(
        feature="instances that are not ready",
        when=lambda case: any(
            state != "ready" for name in ("primary", "canary") for state in _given(case, name)
        ),
        fate=Fate.SAME,
        why="A fleet says what the instances can carry. Traffic is not raised to what can't "
        "carry it, nothing is counted against "
        "it, and the deadline of the step takes it back.",
        replay=same_in_order,
    ),
    Rule(
        feature="a rollback webhook",
        when=lambda case: _hooked(case, "rollback"),
        fate=Fate.SAME,
        why="An `Abort` that your code submits.",
        replay=same_at_every_tick,
    ),
    Rule(
        feature="webhooks that confirm: to begin, to raise, to promote",
        when=lambda case: _hooked(
            case, "confirm-rollout", "confirm-promotion", "confirm-traffic-increase"
        ),
        fate=Fate.SAME,
        why="A `Hook` or an `Approval` at its place among the steps, and a gate before every "
        "raise. Checks go on meanwhile. All "
        "of them have a deadline.",
        replay=lambda case: (
            same_in_order
            if case["strategy"] != "canary" and _closed(case, "confirm-promotion")
            else same_at_every_tick
        )(case),
    ),
    Rule(
        feature="skipAnalysis",
        when=lambda case: bool(case["spec"].get("skipAnalysis")),
        fate=Fate.SAME,
        why="One step to 100 %. A canary without checks must say why (`unguarded=`).",
        replay=same_at_every_tick,
    ),
    Rule(
        feature="A/B by header or cookie",
        when=lambda case: case["strategy"] == "ab",
        fate=Fate.SAME,
        why="`SetWeight(percent(0), matches=[...])` and `Analyze(..., count=iterations)`, then "
        "100 %.",
        replay=same_at_every_tick,
    ),
    Rule(
        feature="blue-green by iterations",
        when=lambda case: case["strategy"] == "bluegreen",
        fate=Fate.SAME,
        why="`BlueGreen(preview_checks=..., preview_count=iterations)`; with mirroring, "
        "`SetWeight(percent(0), mirror=...)` "
        "before it.",
        replay=same_at_every_tick,
    ),
    Rule(
        feature="mirroring before the first step",
        when=lambda case: bool(case["spec"].get("analysis", {}).get("mirror")),
        fate=Fate.SAME,
        why="`SetWeight(percent(0), mirror=percent(100))` and an `Analyze` as the first steps.",
        replay=same_at_every_tick,
    ),
    Rule(
        feature="canary by stepWeight and maxWeight, or by stepWeights",
        when=lambda case: case["strategy"] == "canary",
        fate=Fate.SAME,
        why="A `SetWeight` and an `Analyze` for each weight. There is no "
        "`stepWeightPromotion`, because nothing is moved back.",
        replay=same_at_every_tick,
    ),
)
