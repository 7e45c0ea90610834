"""The laws of a store that lists its rollouts; for those that have ``rollouts``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import attrs

from progressive.errors import StateError, StoreError, StrategyError
from progressive.model.units import hours, minutes, percent
from progressive.rollout.listing import Page
from progressive.rollout.phases import Phase
from progressive.rollout.state import Cause, Rollout, begin
from progressive.steps.standard import Approval, Bake, SetWeight
from progressive.strategies.canary import Canary

from .laws import NotTried, broken, must, must_answer
from .store_trial import AT, OTHER_SERVICE, SERVICE, Handle, Trial, a_rollout, ended

ASKED: Final = Canary(
    steps=[
        Approval("go", within=hours(9), otherwise="roll_back"),
        SetWeight(percent(100)),
        Bake(minutes(5)),
    ],
    unguarded="a store does not look at it",
)

ORDER: Final = (
    "sort by (rollout.clocks.created, rollout.id), the greatest first, and go on behind the place "
    "of `after`"
)
FILTERS: Final = (
    "apply every condition that is given to the state as it is stored now, and the limit to what "
    "is left; Wanted in progressive.rollout.listing does it"
)


def _hours(n: float) -> timedelta:
    return timedelta(hours=n)


def in_phase(rollout: Rollout, phase: Phase, *causes: Cause) -> Rollout:
    """The same, as it stands in another phase."""
    return attrs.evolve(
        rollout,
        progress=attrs.evolve(rollout.progress, phase=phase, causes=causes),
        routing=attrs.evolve(rollout.routing, any_write_sent=phase is Phase.PROGRESSING),
    )


def waiting_for_approval(id: str, *, service: str) -> Rollout:
    """A rollout whose current step is an approval."""
    begun = begin(ASKED.plan, a_rollout(service=service).release, id=id, at=AT)
    return in_phase(begun, Phase.PROGRESSING)


def a_cause(*, person: bool) -> Cause:
    """A cause of a hold, by a person or by the engine."""
    return Cause(name="why", why="why", by="Zoë", person=person, within=hours(1))


def _lists(handle: Handle) -> Callable[..., Page[Rollout]]:
    rollouts: Callable[..., Page[Rollout]] | None = getattr(handle.store, "rollouts", None)
    if rollouts is None:
        raise NotTried("store.rollouts", "pages of what is stored, for people and dashboards")
    return rollouts


def _listed(handle: Handle, **asked: object) -> Page[Rollout]:
    rollouts = _lists(handle)
    given = ", ".join(f"{name}={value}" for name, value in asked.items())
    with must_answer(f"{handle.named('rollouts')}({given})", StoreError, StateError):
        return rollouts(**asked)


def _gives(handle: Handle, expected: Sequence[str], hint: str, **asked: object) -> Page[Rollout]:
    page = _listed(handle, **asked)
    given = ", ".join(f"{name}={value}" for name, value in asked.items())
    seen = [rollout.id for rollout in page]
    must(
        seen == list(expected) and not page.unreadable,
        f"{handle.named('rollouts')}({given}) does not list what is stored",
        expected=list(expected),
        seen=[*seen, *page.unreadable],
        hint=hint,
    )
    return page


def rollouts_are_listed_newest_first(trial: Trial) -> None:
    """By when they were created, then by id, each as it was last saved; ``since`` included."""
    store = trial.store
    _gives(store, [], ORDER)
    for id, after in (("b", 1), ("z", 0), ("a", 3), ("c", 1)):
        store.save(a_rollout(id, service=id, created=AT + _hours(after)), (), expected=None)
    moved = ended(a_rollout("z", service="z", serial=1))
    store.save(moved, (), expected=0)
    page = _gives(store, ["a", "c", "b", "z"], ORDER)
    must(
        page[-1] == moved,
        f"{store.named('rollouts')} gives another state than was saved last",
        expected=moved,
        seen=page[-1],
        hint="give each rollout as `load` does",
    )
    _gives(store, ["a", "c", "b"], FILTERS, since=AT + _hours(1))
    _gives(store, ["a"], FILTERS, since=AT + _hours(1) + timedelta(milliseconds=1))
    _gives(trial.another(), ["a", "c", "b", "z"], ORDER)


def pages_go_on_whatever_is_saved_or_started_meanwhile(trial: Trial) -> None:
    """None is left out and none comes twice; ``more`` says whether the limit cut."""
    store = trial.store
    for n in range(7):
        id = f"r{n}"
        store.save(a_rollout(id, service=id, created=AT + _hours(n // 2)), (), expected=None)
    page = _gives(store, ["r6", "r5", "r4"], ORDER, limit=3)
    _must_tell_more(store, page, more=True)
    store.save(a_rollout("r9", service="r9", created=AT + _hours(9)), (), expected=None)
    store.save(
        ended(a_rollout("r3", service="r3", serial=1, created=AT + _hours(1))), (), expected=0
    )
    for after in (page[-1], page[-1].id):
        following = _gives(store, ["r3", "r2", "r1"], ORDER, limit=3, after=after)
        _must_tell_more(store, following, more=True)
    last = _gives(store, ["r0"], ORDER, limit=3, after="r1")
    _must_tell_more(store, last, more=False)
    _must_tell_more(store, _gives(store, ["r1", "r0"], ORDER, limit=2, after="r2"), more=False)
    _gives(store, [], ORDER, after="r0")
    gone = a_rollout("gone", created=AT + _hours(1.5))
    _gives(store, ["r3", "r2"], ORDER, limit=2, after=gone)
    _must_refuse(store, after="gone")


def lists_are_narrowed_by_what_is_stored_now(trial: Trial) -> None:
    """By phase, service, and whether a person is waited for; conditions are met together."""
    store = trial.store
    by_hand = in_phase(a_rollout("h1", service="h1"), Phase.HELD, a_cause(person=True))
    by_engine = in_phase(a_rollout("h2", service="h2"), Phase.HELD, a_cause(person=False))
    approval = waiting_for_approval("w1", service="w1")
    over = ended(a_rollout("e1"))
    pending, other = a_rollout("p1"), a_rollout("p2", service=OTHER_SERVICE)
    baking = in_phase(a_rollout("b1", service="b1"), Phase.PROGRESSING)
    for rollout in (by_hand, by_engine, approval, over, pending, other, baking):
        store.save(rollout, (), expected=None)
    _gives(store, ["h2", "h1"], FILTERS, phase=Phase.HELD)
    _gives(store, ["w1", "h2", "h1", "b1"], FILTERS, phase=(Phase.HELD, Phase.PROGRESSING))
    _gives(store, ["p2", "p1"], FILTERS, phase=Phase.PENDING)
    _gives(store, ["p1", "e1"], FILTERS, service=SERVICE)
    _gives(store, ["e1"], FILTERS, service=SERVICE, phase=[Phase.ROLLED_BACK])
    _gives(store, [], FILTERS, phase=())
    _gives(store, ["w1", "h2", "h1"], FILTERS, waiting_for_person=True)
    _gives(store, ["p2", "p1", "e1", "b1"], FILTERS, waiting_for_person=False)
    _gives(store, ["w1"], FILTERS, waiting_for_person=True, limit=1)
    _gives(store, ["h2"], FILTERS, waiting_for_person=True, limit=1, after="w1")
    _gives(store, ["h1"], FILTERS, waiting_for_person=True, service="h1")
    _gives(store, [], FILTERS, waiting_for_person=True, phase=Phase.PENDING)
    store.save(attrs.evolve(baking, id="h1", serial=1, release=by_hand.release), (), expected=0)
    _gives(store, ["w1", "h2"], FILTERS, waiting_for_person=True)
    _gives(store, ["w1", "h1", "b1"], FILTERS, phase=Phase.PROGRESSING)


def a_list_that_makes_no_sense_is_refused(trial: Trial) -> None:
    """By an error that names the argument, and not by an empty page."""
    store = trial.store
    for wrong in (
        {"phase": "helt"},
        {"limit": -1},
        {"since": AT.replace(tzinfo=None)},
        {"waiting_for_person": "yes"},
        {"after": "never-saved"},
    ):
        _must_refuse(store, **wrong)


def _must_tell_more(handle: Handle, page: Page[Rollout], *, more: bool) -> None:
    must(
        page.more is more,
        f"{handle.named('rollouts')} does not say whether its limit cut",
        expected=f"more={more}",
        seen=f"more={page.more}",
        hint="look for one more than the limit; whoever reads a page must know whether that is all",
    )


def _must_refuse(handle: Handle, **asked: object) -> None:
    rollouts, [(name, value)] = _lists(handle), asked.items()
    call = f"{handle.named('rollouts')}({name}={value!r})"
    try:
        seen: object = rollouts(**asked)
    except StrategyError:
        return
    except Exception as error:
        raise broken(
            f"{call} was refused with another error",
            expected="StrategyError",
            seen=error,
            hint=FILTERS,
        ) from error
    raise broken(f"{call} was answered", expected="StrategyError", seen=seen, hint=FILTERS)


LISTING_LAWS: Final[tuple[Callable[[Trial], None], ...]] = (
    rollouts_are_listed_newest_first,
    pages_go_on_whatever_is_saved_or_started_meanwhile,
    lists_are_narrowed_by_what_is_stored_now,
    a_list_that_makes_no_sense_is_refused,
)
