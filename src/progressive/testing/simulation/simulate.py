"""Simulate one rollout: drive a strategy through a world that does not exist, in virtual time.

The engine, the protocol and the checks are those of production, with a simulated service behind the
ports. The same strategy, world and seed give the same story on every machine and every Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import Go, Open
from progressive.model.release import Release, Version
from progressive.model.traffic import Track
from progressive.model.units import hours
from progressive.plan.plan import Plan, Strategy, plan_of
from progressive.ports import AnyFleet, Gate, Hook, Ports
from progressive.rollout.commands import Command
from progressive.rollout.events import Approve, Event, Reject, Tick
from progressive.rollout.notes import Note
from progressive.rollout.state import Rollout, begin
from progressive.runtime.dispatch import Call, call_for
from progressive.runtime.protocol import Persist, Persisted, Reply, tick_protocol

from .ports import Simulated
from .running import Met, Service
from .service import World
from .story import Exposure, Slice, Story
from .troubles import AnswersTwice, NotReady, going_on

__all__ = ["RELEASE", "simulate"]

RELEASE: Final = Release(
    service="simulated",
    stable=Version("v1"),
    candidate=Version("v2"),
    baseline=Version("v1", backend="baseline"),
)
"""The default release."""

UNTIL: Final = hours(24 * 30)
"""The default time after which a simulation stops."""


def simulate(
    strategy: Strategy,
    world: World | None = None,
    *,
    seed: object = 0,
    release: Release = RELEASE,
    hooks: Mapping[str, Hook] | None = None,
    gates: Mapping[str, Gate] | None = None,
    fleet: AnyFleet | None = None,
    before_tick: Callable[[Rollout], Sequence[Event] | None] | None = None,
    until: timedelta = UNTIL,
) -> Story:
    """Simulate a rollout of ``strategy`` in ``world`` to its end, and return what happened.

    * ``seed``: the same one gives the same story.
    * ``hooks``, ``gates``: by name; those that are missing answer `Go` and `Open`.
    * ``fleet``: one of yours (see `Fleet`), such as a `MemoryFleet`; without one, every instance is
      ready except for the world's troubles (`NotReady`).
    * ``before_tick``: called with the rollout before each tick; may return more events.
    * ``until``: the time after which it stops, counted from the start.

    Raises `StrategyError`, with nothing simulated, if the release or the world lacks what the
    strategy needs, and for a hook, a gate or a person's approval that the strategy has not.
    """
    world = world_of(world, "simulate(world)")
    plan = plan_of(strategy, "simulate(strategy)")
    _refuse_unknown_names(plan, world, hooks or {}, gates or {})
    return Run(strategy, world, seed, release, hooks=hooks, gates=gates, fleet=fleet).to_its_end(
        before_tick, until
    )


def world_of(world: object, what: str) -> World:
    """Return the world, an ordinary one if none is given; ``what`` names it in the error."""
    if world is None or isinstance(world, World):
        return World() if world is None else world
    hint = f"World(load={fields.brief(world)})" if fields.is_finite(world) else "World(load=50)"
    raise StrategyError(f"{what}: {fields.brief(world)} is no World; write {hint}")


class RunOptions(TypedDict, total=False):
    """The keywords of a `Run`: see `simulate`."""

    release: Release
    hooks: Mapping[str, Hook]
    gates: Mapping[str, Gate]
    fleet: AnyFleet


class Run:
    """One rollout in one world, tick by tick. `simulate` drives it to its end."""

    def __init__(
        self,
        strategy: Strategy,
        world: World,
        seed: object,
        release: Release = RELEASE,
        hooks: Mapping[str, Hook] | None = None,
        gates: Mapping[str, Gate] | None = None,
        fleet: AnyFleet | None = None,
    ) -> None:
        plan = strategy.plan
        world.measures(plan.metrics)
        self.world, self.seed = world, seed
        self.simulated = Simulated(
            world, plan.metrics, seed, preview=any(each.synthetic for each in plan.analyses)
        )
        self.ports = self._ports(
            plan,
            hooks or {},
            gates or {},
            self._own_fleet(plan) if fleet is None else _synchronous(fleet),
        )
        self.rollout = begin(plan, release, id="simulated", at=world.start)
        self.notes: list[Note] = []
        self._people = list(world.people)

    def _own_fleet(self, plan: Plan) -> Any:
        """Return the simulated fleet; None if it is not needed.

        That spares a survey in every tick whose answer is always 100 %.
        """
        removes = (plan.retire_after, plan.remove_candidate_after) != (None, None)
        needed = removes or any(isinstance(trouble, NotReady) for trouble in self.world.troubles)
        return self.simulated if needed else None

    def _ports(
        self,
        plan: Plan,
        hooks: Mapping[str, Hook],
        gates: Mapping[str, Gate],
        fleet: AnyFleet | None,
    ) -> Ports:
        named = [step.hook for step in plan.steps if step.hook is not None]
        return Ports(
            router=self.simulated,
            metrics=[self.simulated] if plan.metrics else (),
            hooks={**dict.fromkeys(named, _always_go), **hooks},
            gates={**dict.fromkeys(plan.gates, _always_open), **gates},
            fleet=fleet,
            clock=self.simulated.clock,
        )

    def to_its_end(
        self, before_tick: Callable[[Rollout], Sequence[Event] | None] | None, until: timedelta
    ) -> Story:
        """Tick at every ``wake_at`` and at every person's event, to the end or to ``until``."""
        end = self.world.start + until
        wake: datetime | None = self.simulated.clock.now
        while wake is not None and wake < end:
            self.simulated.pass_time(wake)
            more = () if before_tick is None else before_tick(self.rollout) or ()
            wake = self.tick(*self._due_person_events(), *more)
            if wake is not None and self._people:
                wake = min(
                    wake,
                    max(
                        self.world.start + self._people[0].after,
                        self.simulated.clock.now + timedelta(milliseconds=1),
                    ),
                )
        return self.story()

    def _due_person_events(self) -> list[Event]:
        due: list[Event] = []
        while self._people and self._people[0].after <= self.simulated.ran:
            due.append(attrs.evolve(self._people.pop(0).event, at=self.simulated.clock.now))
        return due

    def tick(self, *events: Event) -> datetime | None:
        """Tick once, and return when to tick next; None if the rollout is over."""
        rollout = self.rollout
        protocol = tick_protocol(
            rollout,
            events,
            tick=Tick(at=self.simulated.clock.now),
            stored=True,
            expected=rollout.serial,
        )
        reply: Reply | None = None
        while True:
            try:
                effect = protocol.send(reply)  # type: ignore[arg-type]
            except StopIteration as stop:
                decision = stop.value.decision
                break
            if isinstance(effect, Persist):
                reply = self.save(effect)
            else:
                reply = self._answers(effect.commands)
        self.rollout = decision.rollout
        wake: datetime | None = decision.wake_at
        return wake

    def save(self, effect: Persist) -> Persisted:
        """Keep the notes, in place of a store."""
        self.notes += effect.notes
        return Persisted()

    def _answers(self, commands: Sequence[Command]) -> list[Event]:
        answers = [self.do(command) for command in commands]
        twice = going_on(self.world.troubles, AnswersTwice, self.simulated.ran)
        return answers if twice is None else answers * 2

    def do(self, command: Command) -> Event:
        """Execute one command, and return its event."""
        call = call_for(command, self.rollout, self.ports)
        if not isinstance(call, Call):
            return call
        assert call.sync is not None
        try:
            value = call.sync()
        except Exception as error:
            return call.trouble(error, self.simulated.clock.now)
        return call.answer(value, self.simulated.clock.now)

    def story(self) -> Story:
        """Return the story so far."""
        service = self.simulated.service
        return Story(
            strategy=self.rollout.plan.strategy,
            seed=self.seed,
            rollout=self.rollout,
            began=self.world.start,
            weights=tuple(self.simulated.weights),
            notes=tuple(self.notes),
            exposed=_exposure(service, Track.CANDIDATE),
            spared=_exposure(service, Track.STABLE),
            slices=_slices(service, self.world.start),
        )


def _refuse_unknown_names(
    plan: Plan, world: World, hooks: Mapping[str, Any], gates: Mapping[str, Any]
) -> None:
    """Raise `StrategyError` for hooks, gates and approvals whose names the plan has not.

    They would be ignored in silence: a misspelt hook answers `Go`, a misspelt approval is never
    given.
    """
    events = [action.event for action in world.people]
    approvals = [
        (f"World.people: {type(event).__name__}", event.approval)
        for event in events
        if isinstance(event, Approve | Reject)
    ]
    named = (
        (
            "hook",
            [("simulate(hooks=)", name) for name in hooks],
            [step.hook for step in plan.steps],
        ),
        ("gate", [("simulate(gates=)", name) for name in gates], plan.gates),
        ("approval", approvals, [step.approval for step in plan.steps]),
    )
    problems = []
    for what, given, in_plan in named:
        names = dict.fromkeys(name for name in in_plan if name is not None)
        has = f"it has {', '.join(map(repr, names))}" if names else "it has none"
        problems += [
            f"{where}: {plan.strategy} has no {what} {name!r}; {has}"
            for where, name in given
            if name not in names
        ]
    if problems:
        raise StrategyError(problems)


def _synchronous(fleet: Any) -> Any:
    for verb in ("survey", "retire"):
        if hasattr(fleet, f"a{verb}") and not hasattr(fleet, verb):
            raise StrategyError(
                f"simulate(fleet=): {fleet!r} has only a{verb}, and nothing is awaited "
                f"here; give it {verb} too"
            )
    return fleet


def _always_go(key: str, release: Release) -> Go:
    return Go()


def _always_open(release: Release, now: datetime) -> Open:
    return Open()


def _exposure(service: Service, track: Track) -> Exposure:
    met: Met = service.whom(track)
    counts = [stretch.users for stretch in service.stretches[track] if stretch.users is not None]
    return Exposure(
        requests=sum(requests for requests, _ in counts),
        failed=sum(failed for _, failed in counts),
        users=met.met,
        harmed=met.harmed,
    )


def _slices(service: Service, began: datetime) -> tuple[Slice, ...]:
    return tuple(
        Slice(track, stretch.start - began, stretch.end - began, *stretch.users)
        for track in (Track.STABLE, Track.CANDIDATE)
        for stretch in service.stretches[track]
        if stretch.users is not None
    )
