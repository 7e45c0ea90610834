"""The protocol of one tick: which commands are executed in which order, and what is saved before
them. Pure, and shared by the sync and the async drivers.

A tick has a few rounds. In each, the commands of the last decision are executed at the same time,
and all of their answers are absorbed in one decision. *Persist, then act*: before a command that
raises traffic is executed, the rollout that authorises it is saved; without a store it is executed
only if the rollout that was given had that epoch already. A command that only lowers waits for
nothing, not even for a store that is down; it then leaves a closed marker, so that whoever reads it
later rolls back too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Final, TypeAlias

import attrs

from progressive.engine.decide import Decision, decide
from progressive.model.replace import evolve
from progressive.rollout.commands import Apply, Command, Retire, RunHook
from progressive.rollout.events import Event, Tick
from progressive.rollout.notes import Note
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout

__all__ = ["Effect", "Execute", "Persist", "Persisted", "Reply", "TickResult", "tick_protocol"]

ROUNDS: Final = 10
"""The most rounds of a tick. The longest correct one has six: read, measure, ask gates, write, read
again, opening looks.
"""


@attrs.frozen
class Execute:
    """Execute these commands of a rollout at the same time, and reply with the events that they led
    to. The rollout is the one that was decided: what its commands are about may be other than in
    the one that the tick began with.
    """

    commands: tuple[Command, ...]
    rollout: Rollout


@attrs.frozen
class Persist:
    """Save the rollout and its notes if the stored serial is ``expected`` (None: not stored yet).

    The reply is a `Persisted`. ``urgent``: a write that lowers traffic waits for it, so a store
    that hangs has failed soon.
    """

    rollout: Rollout
    notes: tuple[Note, ...]
    expected: int | None
    urgent: bool = False


@attrs.frozen
class Persisted:
    """The result of a save. ``failed`` is why it failed; None if it did not.

    A lost compare-and-set is raised as `ConflictError` instead.
    """

    failed: str | None = None


Effect: TypeAlias = Execute | Persist
Reply: TypeAlias = Persisted | Sequence[Event]


@attrs.frozen(kw_only=True)
class TickResult:
    """The result of a tick.

    * ``decision``: the last decision, with all the notes of the tick.
    * ``saved``: the serial that the store has now; None if it has none.
    * ``unsaved``: the notes that are not saved yet.
    * ``failed``: why they are not; None if all is saved, or there is no store.
    """

    decision: Decision
    saved: int | None
    unsaved: tuple[Note, ...] = ()
    failed: str | None = None


def tick_protocol(
    rollout: Rollout,
    events: Sequence[Event],
    *,
    tick: Tick,
    stored: bool,
    expected: int | None,
    backlog: tuple[Note, ...] = (),
    decided_by: Callable[..., Decision] | None = None,
) -> Generator[Effect, Reply, TickResult]:
    """Run one tick as a generator: yield effects, be sent their replies, and return the result.

    * ``stored``: whether there is a store.
    * ``expected``: the serial that the store has; older than the rollout's only after a save that
      failed.
    * ``backlog``: the notes of that save.
    * ``decided_by``: the engine; or one that remembers what it has decided.
    """
    kept_epoch = rollout.epoch if not stored or expected == rollout.serial else -1
    decided = decided_by or decide
    decision = decided(rollout, *events, tick)
    notes = list(decision.notes)
    unsaved = [*backlog, *decision.notes]
    down: str | None = None
    failed_last = stored and expected != rollout.serial
    for _ in range(ROUNDS):
        commands = decision.commands
        if not commands:
            break
        urgent = any(_lowers(command, decision.rollout) for command in commands)
        to_save = (
            stored
            and down is None
            and decision.rollout.serial != expected
            and any(_acts(command) for command in commands)
        )
        if to_save and urgent and failed_last:
            down = NOT_TRIED
        elif to_save:
            saved = yield Persist(decision.rollout, tuple(unsaved), expected, urgent)
            assert isinstance(saved, Persisted)
            down = saved.failed
            if down is None:
                expected, kept_epoch, unsaved = decision.rollout.serial, decision.rollout.epoch, []
        allowed = tuple(
            _permitted(command, decision.rollout, kept_epoch, down) for command in commands
        )
        executable = tuple(command for command in allowed if command is not None)
        if not executable:
            break
        answers = yield Execute(executable, decision.rollout)
        assert not isinstance(answers, Persisted)
        decision = decided(decision.rollout, *answers)
        notes += decision.notes
        unsaved += decision.notes
    if stored and down in (None, NOT_TRIED) and decision.rollout.serial != expected:
        saved = yield Persist(decision.rollout, tuple(unsaved), expected)
        assert isinstance(saved, Persisted)
        down = saved.failed
        if down is None:
            expected, unsaved = decision.rollout.serial, []
    return TickResult(
        decision=evolve(decision, notes=tuple(notes)),
        saved=expected,
        unsaved=tuple(unsaved),
        failed=down,
    )


NOT_TRIED: Final = "the last save failed, and what lowers traffic went first"
"""Why a tick acts as if the store were down, before it tries to save."""


_ACTIONS: Final = (Apply, RunHook, Retire)


def _acts(command: Command) -> bool:
    """Return whether a command changes the world; the decision behind it is then saved first."""
    return isinstance(command, _ACTIONS)


def _lowers(command: Command, rollout: Rollout) -> bool:
    """Return whether a command is a write that takes traffic away; a claim is none."""
    return isinstance(command, Apply) and not command.raises and rollout.phase is not Phase.PENDING


def _permitted(
    command: Command, rollout: Rollout, kept_epoch: int, down: str | None
) -> Command | None:
    """Return the command as it may be executed now; None if it may not be.

    ``kept_epoch`` is the epoch of the rollout that is known to be stored; ``down``, why the store
    failed.
    """
    if isinstance(command, Apply) and _lowers(command, rollout):
        if down is not None and rollout.phase is Phase.ROLLING_BACK:
            return attrs.evolve(command, marker=attrs.evolve(command.marker, closed=True))
        return command
    if _acts(command) and (down is not None or getattr(command, "epoch", kept_epoch) != kept_epoch):
        return None
    return command
