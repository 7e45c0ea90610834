"""The drivers, in both colours: what they do with stores, clocks, signals and people's words."""

from __future__ import annotations

import asyncio
import gc
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from tests.support.driven import ANSWERS, BAD, Colour, fast, metrics, ports
from tests.support.rules import rule
from tests.support.world import ERRORS, RELEASE, START, canary

from progressive import (
    Abort,
    Approve,
    BlueGreen,
    ClosedUntil,
    ConflictError,
    Decision,
    ExitCode,
    Go,
    Limit,
    OnInterrupt,
    Open,
    Phase,
    Ports,
    Release,
    Rollout,
    RouterError,
    StateError,
    StrategyError,
    Traffic,
    Version,
    aiterate,
    arun,
    astart,
    atick,
    hours,
    iterate,
    minutes,
    ms,
    percent,
    percents,
    run,
    seconds,
    start,
    submit,
    tick,
)
from progressive.errors import StoreError
from progressive.model import Counts
from progressive.model.router_state import Served
from progressive.model.traffic import Track
from progressive.rollout.notes import Refused
from progressive.steps import Approval
from progressive.testing import (
    MemoryFleet,
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
)


def test_a_good_version_is_promoted_and_a_bad_one_goes_back(colour: Colour) -> None:
    router = MemoryRouter()
    assert (
        colour.play(canary(), RELEASE, metrics=[metrics()], router=router).exit_code
        == ExitCode.PROMOTED
    )
    assert router.highest == percent(100)
    router = MemoryRouter()
    outcome = colour.play(canary(), RELEASE, metrics=[metrics(BAD)], router=router)

    assert outcome.exit_code == ExitCode.ROLLED_BACK
    assert not outcome.promoted
    assert router.highest == percent(5)
    assert router.traffic == Traffic()


def test_blue_green_with_everything_that_waits(colour: Colour) -> None:
    fleet, asked = MemoryFleet(), []
    strategy = BlueGreen(
        preview_hook="smoke",
        preview_checks=[Limit(ERRORS, at_most=percent(5), id="preview-errors")],
        pause=minutes(1),
        checks=[Limit(ERRORS, at_most=percent(5))],
        gates=["freeze"],
        retire_after=hours(1),
    )

    def freeze(release: Release, now: Any) -> Any:
        asked.append(now)
        return Open() if len(asked) > 1 else ClosedUntil(now + minutes(20), "lunch")

    outcome = colour.play(
        strategy,
        RELEASE,
        metrics=[metrics()],
        hooks={"smoke": lambda key, release: Go()},
        gates={"freeze": freeze},
        fleet=fleet,
    )

    assert outcome.promoted
    assert fleet.retired == [Version("v1")]
    assert asked[1] - asked[0] == minutes(20)


def test_without_a_store_traffic_is_raised_only_by_the_tick_after_the_one_that_decided_it(
    colour: Colour,
) -> None:
    clock, router = VirtualClock(START), MemoryRouter()
    bound = ports(store=None, clock=clock, router=router)
    rollout = colour.start(canary(), RELEASE, id="r", ports=bound)
    decided: dict[Any, int] = {}
    for n in range(200):
        decision = colour.tick(rollout, bound)
        for traffic in router.history:
            decided.setdefault(("written", traffic.candidate), n)
        decided.setdefault(("wanted", decision.rollout.routing.desired.candidate), n)
        rollout = decision.rollout
        if decision.wake_at is None:
            break
        clock.until(decision.wake_at)

    assert rollout.phase is Phase.PROMOTED
    for weight in percents(5, 50, 100):
        assert decided["written", weight] == decided["wanted", weight] + 1


def test_a_tick_of_what_is_not_there(colour: Colour) -> None:
    with pytest.raises(StrategyError, match="there is no rollout 'nope'"):
        colour.tick("nope", ports())
    with pytest.raises(StrategyError, match="an id needs a store"):
        colour.tick("nope", ports(store=None))
    with pytest.raises(StrategyError, match="there is no rollout 'nope'"):
        colour.submit(MemoryStore(), "nope", Abort(at=START, by="eve", why="now"))


def test_an_abort_that_was_submitted_is_acted_on_by_the_next_tick(colour: Colour) -> None:
    bound = ports()
    colour.start(canary(), RELEASE, id="r", ports=bound)
    for _ in range(3):
        colour.tick("r", bound)
    assert bound.router.traffic.candidate == percent(5)
    assert colour.submit(bound.store, "r", Abort(at=bound.clock(), by="eve", why="now")).commands
    colour.tick("r", bound)
    again = colour.submit(bound.store, "r", Abort(at=bound.clock(), by="eve", why="now"))

    assert bound.router.traffic == Traffic()
    assert isinstance(again.notes[0], Refused)


def test_a_submit_that_always_loses_says_so(colour: Colour) -> None:
    bound = ports()
    colour.start(canary(), RELEASE, id="r", ports=bound)

    class Busy(MemoryStore):
        def load(self, id: str) -> Rollout | None:
            return bound.store.load(id)  # type: ignore[no-any-return]

        def save(self, *given: Any, **named: Any) -> None:
            raise ConflictError("busy")

    with pytest.raises(ConflictError, match="moved 20 times"):
        colour.submit(Busy(), "r", Abort(at=START, by="eve", why="now"))


def test_run_to_the_end_by_the_wall_clock(colour: Colour) -> None:
    bound = Ports(router=MemoryRouter(), metrics=[metrics()], store=MemoryStore())
    colour.start(fast(), RELEASE, id="r", ports=bound)
    outcome = colour.run("r", bound)

    assert outcome.exit_code == 0
    assert str(outcome).startswith("r: promoted")


def test_run_gives_up_when_its_budget_is_spent_and_somebody_else_goes_on(colour: Colour) -> None:
    bound = Ports(router=MemoryRouter(), metrics=[metrics()], store=MemoryStore())
    colour.start(fast(bake=minutes(5)), RELEASE, id="r", ports=bound)

    assert colour.run("r", bound, budget=timedelta()).exit_code == ExitCode.BUDGET_SPENT


def test_run_returns_when_only_a_person_can_go_on(colour: Colour) -> None:
    from progressive import Action

    strategy = BlueGreen(
        approval=Approval("go", within=hours(1), otherwise=Action.HOLD),
        bake=ms(20),
        unguarded="a test",
        watch_every=ms(100),
    )
    bound = Ports(router=MemoryRouter(), store=MemoryStore())
    colour.start(strategy, RELEASE, id="r", ports=bound)
    waiting = colour.run("r", bound, wait_for_people=False)
    assert waiting.exit_code == ExitCode.WAITS_FOR_PERSON
    assert waiting.rollout.waits_for_person
    colour.submit(bound.store, "r", Approve(at=bound.clock(), approval="go", by="eve", why="good"))

    assert colour.run("r", bound).promoted


@rule("R26")
def test_ctrl_c_leaves_a_state_that_can_be_resumed() -> None:
    bound = Ports(router=MemoryRouter(), metrics=[metrics()], store=MemoryStore())
    start(fast(), RELEASE, id="r", ports=bound)
    decisions = iterate("r", bound, sleep=lambda nap: (_ for _ in ()).throw(KeyboardInterrupt()))
    next(decisions)
    with pytest.raises(KeyboardInterrupt):
        next(decisions)

    assert run("r", bound).promoted


class InterruptingClock:
    """A clock at which somebody presses Ctrl-C once, in the driver's own thread, as soon as the
    candidate has traffic.
    """

    def __init__(self, router: MemoryRouter) -> None:
        self.router, self.pressed = router, False

    def __call__(self) -> datetime:
        driving = threading.current_thread() is threading.main_thread()
        if driving and not self.pressed and self.router.traffic.candidate.ppm:
            self.pressed = True
            raise KeyboardInterrupt
        return datetime.now(UTC)


def interrupted(store: MemoryStore) -> Ports:
    router = MemoryRouter()
    return Ports(router=router, metrics=[metrics()], store=store, clock=InterruptingClock(router))


@rule("R26")
def test_ctrl_c_can_take_everything_back() -> None:
    bound = interrupted(MemoryStore())
    start(fast(bake=minutes(5)), RELEASE, id="r", ports=bound)
    outcome = run("r", bound, on_interrupt=OnInterrupt.ROLL_BACK)

    assert outcome.exit_code == ExitCode.ROLLED_BACK
    assert bound.router.traffic == Traffic()


@rule("R11", "R26")
def test_ctrl_c_takes_everything_back_though_the_store_is_down() -> None:
    store = Flaky()
    bound = interrupted(store)
    start(fast(bake=minutes(5)), RELEASE, id="r", ports=bound)

    def down(rollout: Rollout, notes: Any) -> None:
        store.down = bool(bound.router.traffic.candidate.ppm)

    outcome = run("r", attrs.evolve(bound, observers=(down,)), on_interrupt=OnInterrupt.ROLL_BACK)

    assert outcome.exit_code == ExitCode.ROLLED_BACK
    assert bound.router.traffic == Traffic()


@rule("R26")
def test_ctrl_c_leaves_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    bound = interrupted(MemoryStore())
    start(fast(bake=minutes(5)), RELEASE, id="r", ports=bound)
    with pytest.raises(KeyboardInterrupt) as left:
        run("r", bound)

    assert bound.router.traffic.candidate == percent(10)
    assert isinstance(left.value, SystemExit), "a script ends without a traceback"
    assert left.value.code == 130
    assert capsys.readouterr().err == (
        "r: interrupted in bake-10, traffic to v2 stays (asked 10 %, served 10 % when it was last "
        "read); to go on, run it again with the same id; to take it back: router.edit(Traffic())  "
        "# shop\n"
    )


@rule("R26")
def test_ctrl_c_without_a_store_says_that_nothing_can_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bound = attrs.evolve(interrupted(MemoryStore()), store=None)
    first = start(fast(bake=minutes(5)), RELEASE, id="r", ports=bound)
    with pytest.raises(KeyboardInterrupt):
        run(first, bound)

    assert "; nothing was stored to go on from; to take it back" in capsys.readouterr().err


def test_ctrl_c_before_the_router_was_read_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    class Pressed:
        """A clock at which somebody presses Ctrl-C at once."""

        armed = False

        def __call__(self) -> datetime:
            if self.armed:
                raise KeyboardInterrupt
            return datetime.now(UTC)

    clock = Pressed()
    store = MemoryStore()
    bound = Ports(router=MemoryRouter(), metrics=[metrics()], store=store, clock=clock)
    first = start(fast(), RELEASE, id="r", ports=bound)
    clock.armed = True
    with pytest.raises(KeyboardInterrupt):
        run(first, bound)

    assert "(asked 0 %, the router was not read)" in capsys.readouterr().err


@rule("R26")
def test_a_cancelled_run_can_be_resumed() -> None:
    bound = Ports(router=MemoryRouter(), metrics=[metrics()], store=MemoryStore())

    async def main() -> None:
        await astart(fast(bake=ms(200)), RELEASE, id="r", ports=bound)
        for pause in (0.0, 0.001, 0.005, 0.02, 0.1):
            driving = asyncio.create_task(arun("r", bound))
            await asyncio.sleep(pause)
            driving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await driving
        assert (await arun("r", bound)).promoted

    asyncio.run(main())


def test_a_run_that_is_cancelled_says_where_it_has_left_traffic() -> None:
    async def main() -> list[str]:
        raised, loop = asyncio.Event(), asyncio.get_running_loop()

        def observe(rollout: Rollout, notes: object) -> None:
            if rollout.routing.desired.candidate.ppm:
                loop.call_soon_threadsafe(raised.set)

        bound = Ports(
            router=MemoryRouter(),
            metrics=[metrics()],
            store=MemoryStore(),
            observers=[observe],
        )
        await astart(fast(bake=hours(1)), RELEASE, id="r", ports=bound)
        driving = asyncio.create_task(arun("r", bound))
        await raised.wait()
        driving.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await driving
        return caught.value.__notes__

    [told] = asyncio.run(main())
    assert told.startswith("r: interrupted in ")
    assert "to go on, run it again with the same id; to take it back: router.edit(" in told


@rule("R26")
def test_a_save_that_loses_after_its_driver_was_cancelled_troubles_nobody() -> None:
    """The driver that took over has saved meanwhile; asyncio would print that an exception was
    never retrieved.
    """
    begun, may_end = threading.Event(), threading.Event()
    troubles: list[dict[str, Any]] = []

    class Overtaken(MemoryStore):
        started = False

        def save(self, *given: Any, **named: Any) -> None:
            if not self.started:
                return super().save(*given, **named)
            begun.set()
            may_end.wait(10)
            raise ConflictError("somebody else moved it")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: troubles.append(context)
        )
        bound = Ports(router=MemoryRouter(), metrics=[metrics()], store=Overtaken())
        await astart(fast(), RELEASE, id="r", ports=bound)
        bound.store.started = True
        driving = asyncio.create_task(atick("r", bound))
        await asyncio.to_thread(begun.wait, 10)
        driving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await driving
        saving = [each for each in threading.enumerate() if each.name.startswith("progressive-")]
        assert saving
        may_end.set()
        for thread in saving:
            await asyncio.to_thread(thread.join, 10)
        await asyncio.sleep(0)
        del driving, saving
        gc.collect()

    asyncio.run(main())

    assert troubles == []


@rule("R21")
def test_an_event_submitted_during_a_tick_is_not_lost(colour: Colour) -> None:
    store = MemoryStore()
    said: list[Any] = []

    class Meddling(MemoryRouter):
        def read(self, release: Release) -> Served:
            if self.traffic.candidate.ppm and not said:
                said.append(submit(store, "r", Abort(at=bound.clock(), by="eve", why="now")))
            return super().read(release)

    bound = Ports(router=Meddling(), metrics=[metrics()], store=store)
    colour.start(fast(bake=minutes(1)), RELEASE, id="r", ports=bound)
    outcome = colour.run("r", bound)

    assert outcome.exit_code == ExitCode.ROLLED_BACK
    assert outcome.rollout.progress.reason == "aborted: now"


class Flaky(MemoryStore):
    """A store that is down when told."""

    down = False

    def save(self, *given: Any, **named: Any) -> None:
        if self.down:
            raise StoreError("disk full")
        super().save(*given, **named)


def test_an_abort_does_not_wait_for_a_store_that_is_down(colour: Colour) -> None:
    store = Flaky()
    bound = ports(store=store)
    colour.start(canary(), RELEASE, id="r", ports=bound)
    for _ in range(3):
        colour.tick("r", bound)
    assert bound.router.traffic.candidate == percent(5)
    store.down = True
    with pytest.raises(StoreError, match="not saved: disk full"):
        colour.tick("r", bound, Abort(at=bound.clock(), by="eve", why="now"))

    assert bound.router.traffic == Traffic()
    assert bound.router.marker.closed
    store.down = False
    bound.clock.advance(seconds(1))
    colour.tick("r", bound)
    assert bound.store.load("r").phase is Phase.ROLLED_BACK


def test_a_run_waits_for_a_store_that_is_down_and_loses_no_note(colour: Colour) -> None:
    store = Flaky()
    told: list[Any] = []

    def observer(rollout: Rollout, notes: Any) -> None:
        told.extend(notes)
        store.down = 10 < len(told) < 20

    bound = Ports(router=MemoryRouter(), metrics=[metrics()], store=store, observers=[observer])
    colour.start(fast(), RELEASE, id="r", ports=bound)

    assert colour.run("r", bound).promoted
    assert [note for _, note in store.notes("r")] == told


def test_a_store_that_keeps_second_drivers_out_is_asked(colour: Colour) -> None:
    from contextlib import contextmanager

    driving: list[str] = []

    class Exclusive(MemoryStore):
        @contextmanager
        def driving(self, id: str) -> Any:
            if driving:
                raise ConflictError(f"{id!r} is driven already")
            driving.append(id)
            yield
            driving.remove(id)

    bound = Ports(router=MemoryRouter(), metrics=[metrics()], store=Exclusive())
    colour.start(fast(), RELEASE, id="r", ports=bound)
    driving.append("somebody")
    with pytest.raises(ConflictError, match="driven already"):
        colour.run("r", bound)
    driving.clear()

    assert colour.run("r", bound).promoted
    assert driving == []


def test_aiterate_yields_each_decision() -> None:
    async def main() -> list[Decision]:
        bound = Ports(router=MemoryRouter(), metrics=[metrics()], store=MemoryStore())
        await astart(fast(), RELEASE, id="r", ports=bound)
        return [decision async for decision in aiterate("r", bound)]

    decisions = asyncio.run(main())

    assert decisions[-1].rollout.phase is Phase.PROMOTED
    assert len(decisions) > 3


class Damaged(MemoryStore):
    """A store whose file was damaged after it was loaded."""

    def save(self, *given: Any, **named: Any) -> None:
        if named.get("expected") is not None:
            raise StateError("cut off", path="r.json")
        super().save(*given, **named)


def test_an_abort_does_not_wait_for_a_state_that_was_damaged(colour: Colour) -> None:
    healthy, bound = MemoryStore(), ports()
    bound = attrs.evolve(bound, store=healthy)
    colour.start(canary(), RELEASE, id="r", ports=bound)
    for _ in range(3):
        colour.tick("r", bound)
    assert bound.router.traffic.candidate == percent(5)
    damaged = Damaged()
    damaged.__dict__.update(healthy.__dict__)
    bound.clock.advance(seconds(5))
    with pytest.raises(StoreError, match="cut off"):
        colour.tick(
            "r", attrs.evolve(bound, store=damaged), Abort(at=bound.clock(), by="eve", why="now")
        )

    assert bound.router.traffic == Traffic()


def test_a_store_too_broken_to_lock_keeps_nobody_from_driving(colour: Colour) -> None:
    class Unlockable(MemoryStore):
        def driving(self, id: str) -> Any:
            raise StoreError("read-only file system")

    bound = Ports(router=MemoryRouter(), metrics=[metrics()], store=Unlockable())
    colour.start(fast(), RELEASE, id="r", ports=bound)

    assert colour.run("r", bound).promoted


class Troubled(MemoryStore):
    """A store that is moved, broken or hidden when told."""

    conflicts = 0
    broken: type[Exception] | None = None

    def save(self, *given: Any, **named: Any) -> None:
        if self.broken is not None:
            raise self.broken("disk full")
        if self.conflicts:
            self.conflicts -= 1
            raise ConflictError("moved")
        super().save(*given, **named)

    def load(self, id: str) -> Any:
        if self.broken is not None:
            raise self.broken("disk full")
        return super().load(id)


def begun(**changes: Any) -> Ports:
    bound = Ports(
        **(
            {
                "router": MemoryRouter(),
                "metrics": [ANSWERS],
                "store": Troubled(),
                "clock": VirtualClock(START),
            }
            | changes
        )
    )
    start(canary(), RELEASE, id="r", ports=bound)
    return bound


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_word_that_is_submitted_during_a_long_sleep_is_heard_before_it_ends(
    colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = begun()
    clock: Any = bound.clock
    said: list[Any] = []

    def sleep(length: float) -> None:
        clock.advance(seconds(length))
        if not said and bound.router.traffic.candidate == percent(5):
            said.append(clock.now)
            submit(bound.store, "r", Abort(at=clock.now, by="eve", why="now"))

    if colour == "sync":
        last = list(iterate("r", bound, sleep=sleep))[-1]
    else:

        async def asleep(length: float) -> None:
            sleep(length)

        async def main() -> Any:
            return [decision async for decision in aiterate("r", bound)][-1]

        monkeypatch.setattr("asyncio.sleep", asleep)
        last = asyncio.run(main())

    assert last.rollout.phase is Phase.ROLLED_BACK
    assert clock.now - said[0] <= seconds(1)


@pytest.mark.parametrize("error", [StoreError, OSError])
def test_a_store_that_can_t_be_read_or_written_is_waited_for(error: type[Exception]) -> None:
    bound = begun()
    clock: Any = bound.clock
    slept: list[float] = []

    def sleep(length: float) -> None:
        clock.advance(seconds(length))
        slept.append(length)
        bound.store.broken = error if 10 < len(slept) < 200 else None

    assert list(iterate("r", bound, sleep=sleep))[-1].rollout.phase is Phase.PROMOTED
    assert max(slept) <= 0.5


def test_a_store_in_which_somebody_always_moves_it_is_given_up() -> None:
    bound = begun()
    bound.store.conflicts = 10**6
    with pytest.raises(ConflictError, match="moved"):
        next(iterate("r", bound))
    bound.store.conflicts = 3

    assert next(iterate("r", bound)).rollout.serial > 0


def test_ctrl_c_takes_everything_back_past_conflicts_and_a_router_that_is_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Clock(VirtualClock):
        armed = False

        def __call__(self) -> Any:
            if self.armed:
                self.armed = False
                raise KeyboardInterrupt
            return super().__call__()

    class Down(MemoryRouter):
        failing = 0

        def apply(self, *given: Any, **named: Any) -> Any:
            if self.failing:
                Down.failing -= 1
                raise RouterError("503")
            return super().apply(*given, **named)

    clock = Clock(START)
    bound = begun(router=Down(), clock=clock)
    while bound.router.traffic.candidate != percent(5):
        decision = tick("r", bound)
        clock.until(decision.wake_at)  # type: ignore[arg-type]
    monkeypatch.setattr(
        "progressive.runtime.drive.time.sleep", lambda length: clock.advance(seconds(length))
    )
    clock.armed, Down.failing, bound.store.conflicts = True, 3, 2
    outcome = run("r", bound, on_interrupt=OnInterrupt.ROLL_BACK)

    assert outcome.rollout.phase is Phase.ROLLED_BACK
    assert bound.router.traffic == Traffic()


# ----------------------------------------------------------------------------- what hangs


class Harmed:
    """A candidate that fails half of its requests once `begun`; whatever is asked of `hangs`."""

    def __init__(self) -> None:
        self.begun = False
        self.ended = threading.Event()

    def metrics(self, track: Any, window: Any) -> Any:
        bad = self.begun and track is Track.CANDIDATE
        return Counts(events=50 if bad else 0, trials=100)

    def hang(self) -> None:
        if self.begun:
            self.ended.wait(10)


@rule("R4", "R11", "R19")
@pytest.mark.parametrize("place", ["load", "save"])
def test_a_store_that_hangs_keeps_no_traffic_up(colour: Colour, place: str) -> None:
    """It does not fail, it never answers: the write that lowers is done all the same, and its
    marker is closed, because nobody knows what is stored.
    """
    harmed, router = Harmed(), MemoryRouter()

    class Stuck(MemoryStore):
        def load(self, id: str) -> Any:
            if place == "load":
                harmed.hang()
            return super().load(id)

        def save(self, *given: Any, **named: Any) -> None:
            if place == "save":
                harmed.hang()
            super().save(*given, **named)

    def begin_at(rollout: Rollout, notes: Any) -> None:
        harmed.begun = harmed.begun or router.traffic.candidate.ppm > 0
        if router.traffic.candidate.ppm == 0 and harmed.begun:
            harmed.ended.set()

    bound = Ports(
        router=router,
        metrics=[ScriptedMetrics({ERRORS: harmed.metrics})],
        store=Stuck(),
        timeout=ms(300),
        observers=[begin_at],
    )
    start(fast(bake=seconds(30)), RELEASE, id="r", ports=bound)
    colour.run("r", bound)

    assert router.traffic == Traffic()
    assert router.marker is not None
    assert harmed.ended.is_set()


@rule("R14")
def test_what_a_look_into_the_store_takes_is_no_time_slept_beside_it() -> None:
    clock, slept = VirtualClock(START), 0.0

    class Slow(MemoryStore):
        def load(self, id: str) -> Any:
            clock.advance(seconds(2))
            return super().load(id)

    def sleep(nap: float) -> None:
        nonlocal slept
        slept += nap
        clock.advance(seconds(nap))

    bound = Ports(router=MemoryRouter(), metrics=[metrics()], store=Slow(), clock=clock)
    start(canary(bake=minutes(10)), RELEASE, id="r", ports=bound)
    late = []
    for decision in iterate("r", bound, sleep=sleep):
        late += [note for note in decision.notes if note.kind == "late"]

    assert decision.rollout.phase is Phase.PROMOTED
    assert late == []


@rule("R19")
def test_a_tick_whose_store_never_answers_ends_in_an_error(colour: Colour) -> None:
    ended = threading.Event()

    class Stuck(MemoryStore):
        def load(self, id: str) -> Any:
            ended.wait(10)
            return super().load(id)

    bound = Ports(router=MemoryRouter(), metrics=[metrics()], store=Stuck(), timeout=ms(50))
    with pytest.raises(StoreError, match=r"Stuck: no answer within 0\.05 s"):
        colour.tick("r", bound)
    ended.set()


def test_a_clock_that_stands_still_is_an_error_and_no_driver_that_never_ends(
    colour: Colour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progressive.runtime.drive.STANDS_STILL", 0.6)
    bound = Ports(
        router=MemoryRouter(), metrics=[metrics()], store=MemoryStore(), clock=VirtualClock(START)
    )
    start(fast(bake=minutes(5)), RELEASE, id="r", ports=bound)

    with pytest.raises(StrategyError, match="clock has stood still for 1 s; to go through"):
        colour.run("r", bound)
