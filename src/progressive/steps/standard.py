"""The standard steps: set a weight, bake, pause, wait for an approval, an analysis or a hook."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar, Final

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import Action, Go, NotYet, Stop, action_of
from progressive.model.replace import evolve
from progressive.model.traffic import Match, Traffic, is_matches, is_percent, is_stay, matches_of
from progressive.model.units import MILLION, Percent, format_duration, hours, minutes
from progressive.plan.step import (
    Advance,
    Deadline,
    Done,
    Failed,
    Situation,
    Step,
    Wait,
    is_deadline,
)


@attrs.frozen
class SetWeight(Step):
    """Send ``weight`` of all requests to the candidate.

    It is done when the router, read back, serves exactly the traffic that is asked for. By default
    it rolls back if that is not verified within ten minutes.

    * ``baseline``: the weight of the baseline track.
    * ``matches``: header and cookie routes to the candidate on top of the weight.
    * ``mirror``: the share of the requests that is copied to the candidate.
    * ``sticky``: how long a user stays on the version that answered first (`Traffic.sticky`);
      between 0 % and 100 %.
    """

    kind: ClassVar[str] = "set_weight"

    weight: Percent = attrs.field(validator=is_percent)
    baseline: Percent = attrs.field(kw_only=True, default=Percent(0), validator=is_percent)
    matches: tuple[Match, ...] = attrs.field(
        kw_only=True, default=(), converter=matches_of, validator=is_matches
    )
    mirror: Percent = attrs.field(kw_only=True, default=Percent(0), validator=is_percent)
    sticky: timedelta | None = attrs.field(kw_only=True, default=None, validator=is_stay)
    deadline: Deadline = attrs.field(
        kw_only=True, default=Deadline(within=minutes(10)), validator=is_deadline
    )
    id: str = attrs.field(kw_only=True, default="", validator=fields.is_a(str, "a name"))
    skippable: ClassVar[bool] = False
    traffic: Traffic = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if self.sticky is not None and self.weight.ppm in (0, MILLION):
            raise StrategyError(
                f"SetWeight({self.weight}, sticky=...): at 0 % and 100 % nobody is to be kept on a "
                "version; leave it out there"
            )
        traffic = Traffic(
            candidate=self.weight,
            baseline=self.baseline,
            matches=self.matches,
            mirror=self.mirror,
            sticky=self.sticky,
        )
        object.__setattr__(self, "traffic", traffic)

    def advance(self, situation: Situation) -> Advance:
        return Done() if situation.verified else Wait(f"the router to serve {self.traffic}")


@attrs.frozen
class Bake(Step):
    """Keep the traffic for ``duration`` of *watched* time.

    Time counts as watched between reads that verified the traffic and were no further apart than
    the plan's ``watch_every``. A bake that does not get on ends by its deadline, by default an hour
    more than the duration.
    """

    kind: ClassVar[str] = "bake"

    duration: timedelta = attrs.field(converter=fields.whole_ms, validator=fields.is_duration)
    deadline: Deadline = attrs.field(
        kw_only=True,
        validator=is_deadline,
        default=attrs.Factory(lambda self: Deadline.an_hour_after(self.duration), takes_self=True),
    )
    id: str = attrs.field(kw_only=True, default="", validator=fields.is_a(str, "a name"))

    @property
    def span(self) -> timedelta:
        return self.duration

    @cached_property
    def _waiting(self) -> Wait:
        return Wait(f"a bake of {format_duration(self.duration)}, watched")

    def advance(self, situation: Situation) -> Advance:
        left = self.duration - situation.watched
        if left <= timedelta():
            return Done()
        return evolve(self._waiting, until=situation.now + left)


@attrs.frozen
class Pause(Step):
    """Wait for ``duration`` by the clock, watched or not; 0 only parts two steps.

    To let checks judge use a bake; to ask a person use an approval.
    """

    kind: ClassVar[str] = "pause"

    duration: timedelta = attrs.field(converter=fields.whole_ms, validator=fields.is_span)
    deadline: Deadline = attrs.field(
        kw_only=True,
        validator=is_deadline,
        default=attrs.Factory(lambda self: Deadline.an_hour_after(self.duration), takes_self=True),
    )
    id: str = attrs.field(kw_only=True, default="", validator=fields.is_a(str, "a name"))

    @property
    def span(self) -> timedelta:
        return self.duration

    def advance(self, situation: Situation) -> Advance:
        left = self.duration - situation.stepped
        return (
            Done()
            if left <= timedelta()
            else Wait(f"a pause of {format_duration(self.duration)}", until=situation.now + left)
        )


def _is_no_wait(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is Action.WAIT:
        raise StrategyError(
            "Approval.otherwise: 'wait' would wait for ever; use Action.ROLL_BACK or Action.HOLD"
        )


@attrs.frozen
class Approval(Step):
    """Wait until a person approves ``name`` by an `Approve` event; an early one counts.

    Guards go on meanwhile. Without an answer ``within`` this time, the action is ``otherwise``;
    neither has a default.
    """

    kind: ClassVar[str] = "approval"

    name: str = attrs.field(validator=fields.is_name)
    within: timedelta = attrs.field(
        kw_only=True, converter=fields.whole_ms, validator=fields.is_duration
    )
    otherwise: Action = attrs.field(
        kw_only=True, converter=action_of, validator=[fields.is_one_of(Action), _is_no_wait]
    )
    id: str = attrs.field(kw_only=True, default="", validator=fields.is_a(str, "a name"))

    @property
    def approval(self) -> str:
        return self.name

    @property
    def deadline(self) -> Deadline:
        return Deadline(within=self.within, then=self.otherwise)

    def advance(self, situation: Situation) -> Advance:
        return Done() if situation.approved else Wait(f"somebody to approve {self.name!r}")


@attrs.frozen
class Analyze(Step):
    """Wait until each deciding check of an analysis has passed ``count`` looks in this step.

    A guard of the same name shares its evidence. Failing checks act by their own tolerance.
    """

    kind: ClassVar[str] = "analyze"

    analysis: str = attrs.field(validator=fields.is_name)
    count: int = attrs.field(kw_only=True, default=1, validator=fields.at_least(1))
    deadline: Deadline = attrs.field(
        kw_only=True, default=Deadline(within=hours(1)), validator=is_deadline
    )
    id: str = attrs.field(kw_only=True, default="", validator=fields.is_a(str, "a name"))

    @property
    def analyses(self) -> tuple[str, ...]:
        return (self.analysis,)

    def advance(self, situation: Situation) -> Advance:
        passes = situation.passes(self.analysis)
        # A query that changes starts the count anew.
        before = min(situation.memory, passes) if isinstance(situation.memory, int) else passes
        passed = passes - before
        if passed >= self.count:
            return Done()
        return Wait(f"{self.analysis}: {passed} of {self.count} looks passed", memory=before)


@attrs.frozen
class Hook(Step):
    """Call the hook bound to ``name`` until it answers `Go` or `Stop`.

    It is called at least once, beside the guards.
    """

    kind: ClassVar[str] = "hook"

    name: str = attrs.field(validator=fields.is_name)
    deadline: Deadline = attrs.field(
        kw_only=True, default=Deadline(within=hours(1)), validator=is_deadline
    )
    skippable: bool = attrs.field(kw_only=True, default=True)
    id: str = attrs.field(kw_only=True, default="", validator=fields.is_a(str, "a name"))

    @property
    def hook(self) -> str:
        return self.name

    def advance(self, situation: Situation) -> Advance:
        match situation.answer:
            case Go():
                return Done()
            case Stop(why=why):
                return Failed(f"hook {self.name!r} says stop: {why}")
            case NotYet(until=until, why=why):
                return Wait(f"hook {self.name!r}: {why or 'not yet'}", until=until)
            case _:
                return Wait(f"hook {self.name!r} to answer")


KINDS: Final[tuple[type[Any], ...]] = (Analyze, Approval, Bake, Hook, Pause, SetWeight)
"""The step kinds that stored state may name."""
