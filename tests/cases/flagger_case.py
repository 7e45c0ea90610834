"""A Flagger case, read: its rollouts (`attempts`), and each of their ticks.

What is compared later is the share of the *new version*: Flagger promotes by copying the new
version over the old one and giving the old one's name all traffic, here the new one is given all
traffic. Both mean 100 %.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

import attrs
from tests.cases.classes import Case

from progressive import Metric, minutes, seconds

ERRORS = Metric("error-rate", kind="ratio")


Share: TypeAlias = float | str
"""Of the new version: per cent of all requests, or which requests it gets while it has no share of
them.
"""


@attrs.frozen(kw_only=True)
class Tick:
    """One of Flagger's ticks: what goes in, and what Flagger makes of it."""

    given: Mapping[str, Any] = attrs.field(factory=dict)
    phase: str
    share: Share
    failed: int

    @property
    def good(self) -> bool:
        return self.given.get("metrics", "pass") == "pass"

    def answers(self, hook: Mapping[str, Any]) -> bool:
        """What a webhook says; a rollback hook says no unless told otherwise."""
        found: bool = self.given.get("webhooks", {}).get(hook["name"], kind_of(hook) != "rollback")
        return found


@attrs.frozen(kw_only=True)
class Attempt:
    """One rollout of a case: from a change of the target to its end, or to the next change
    (``superseded``).
    """

    case: Case
    ticks: Sequence[Tick]
    superseded: bool

    @property
    def analysis(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.case["spec"].get("analysis", {})
        return found

    @property
    def threshold(self) -> int:
        return max(1, self.analysis.get("threshold", 1))

    @property
    def interval(self) -> timedelta:
        count, unit = re.fullmatch(r"(\d+)([sm])", self.analysis.get("interval", "60s")).groups()  # type: ignore[union-attr]
        return max(seconds(10), (seconds if unit == "s" else minutes)(int(count)))

    @property
    def iterations(self) -> int:
        given: int = self.analysis.get("iterations", 0)
        return 10 if given < 1 and self.case["provider"].startswith("kubernetes") else given

    def hooks(self, kind: str) -> list[Mapping[str, Any]]:
        return [hook for hook in self.analysis.get("webhooks", ()) if kind_of(hook) == kind]

    @property
    def shares(self) -> list[Share]:
        """Of the new version at each tick."""
        return [tick.share for tick in self.ticks]

    @property
    def sooner(self) -> list[Share]:
        """The same if it goes back at the tick that sees the failure too many, and not at the next
        one.
        """
        following = [tick.phase == "Failed" for tick in self.ticks[1:]] + [False]
        full = [tick.failed >= self.threshold for tick in self.ticks]
        return [
            0 if late and many else tick.share
            for tick, late, many in zip(self.ticks, following, full, strict=True)
        ]

    @property
    def phase(self) -> str:
        return self.ticks[-1].phase

    @property
    def full(self) -> bool:
        """Did a failed check too many take it back?"""
        return any(tick.failed >= self.threshold for tick in self.ticks)


def kind_of(hook: Mapping[str, Any]) -> str:
    found: str = hook.get("type") or "rollout"
    return found


NEUTRAL = Tick(phase="Progressing", share=0, failed=0)


UNSAID = "unsaid"
"""The share at a tick that the case leaves out."""


def attempts(case: Case) -> list[Attempt]:
    """The rollouts of a case. Going back to what was promoted last starts none."""
    began: list[tuple[str, list[Tick]]] = []
    promoted = "v1"
    for row in case["trace"]:
        update = row["input"].get("update")
        if (update not in (None, promoted)) or not began:
            began.append((update or "v2", []))
        revision, ticks = began[-1]
        tick = _tick(row, case["strategy"] == "ab", revision)
        ticks += [*_before(row["input"].get("setStatus", {}), ticks, tick), tick]
        promoted = row["expect"]["primaryRevision"]
    last = len(began) - 1
    return [
        Attempt(
            case=case,
            ticks=ticks,
            superseded=i < last and ticks[-1].phase not in ("Failed", "Succeeded"),
        )
        for i, (_, ticks) in enumerate(began)
    ]


def _tick(row: Mapping[str, Any], matched: bool, revision: str) -> Tick:
    said = row["expect"]
    share: Share = said["canaryWeight"]
    if said["primaryRevision"] == revision:
        share = 100
    elif said["mirrored"]:
        share = "mirrored"
    elif matched and share == 100:
        share = "matched"
    return Tick(given=row["input"], phase=said["phase"], share=share, failed=said["failedChecks"])


def _before(preset: Mapping[str, Any], ticks: Sequence[Tick], tick: Tick) -> Iterator[Tick]:
    """What must have happened for a status that Flagger's test writes by hand: the iterations that
    passed, the checks that failed.
    """
    past = attrs.evolve(ticks[-1] if ticks else NEUTRAL, given={}, share=UNSAID)
    if preset and not ticks:
        yield from (NEUTRAL, past)
    for failed in range(preset.get("failedChecks", 0)):
        yield attrs.evolve(past, given={"metrics": "fail"}, failed=failed + 1)
    for _ in range(preset.get("iterations", 0) - max(1, len(ticks) - 1)):
        yield past
