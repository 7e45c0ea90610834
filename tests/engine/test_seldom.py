"""What happens seldom: late answers, ports that changed under way, steps of one's own that say
stop, routers that do half of it.
"""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any, ClassVar

import attrs
import pytest
from tests.support.rules import rule
from tests.support.world import ERRORS, RELEASE, START, World, canary

from progressive import (
    Abort,
    Action,
    Approve,
    BlueGreen,
    Canary,
    ClosedUntil,
    ConflictError,
    Deadline,
    Go,
    Hold,
    Limit,
    Match,
    Metric,
    NotYet,
    OnInterrupt,
    Open,
    Phase,
    Ports,
    PromoteNow,
    Resume,
    RouterError,
    Skip,
    StrategyError,
    Track,
    Traffic,
    aiterate,
    begin,
    decide,
    hours,
    iterate,
    minutes,
    percent,
    percents,
    run,
    seconds,
    start,
    submit,
    tick,
)
from progressive.analysis import Verdict
from progressive.engine.draft import Draft
from progressive.engine.transitions import roll_back
from progressive.errors import Failure, StoreError
from progressive.model import Capabilities, Counts, Look, NoAnswer, Window
from progressive.plan import Situation, Step
from progressive.plan.step import Advance, Done, Failed, Halt, Wait
from progressive.plan.validation import capability_problems
from progressive.rollout.events import (
    CommandFailed,
    GateAnswered,
    HookAnswered,
    Inspected,
    Measured,
    RouterRead,
    Tick,
)
from progressive.runtime.protocol import ROUNDS, Execute, Persist, Persisted, tick_protocol
from progressive.steps import Approval, Bake, Pause, SetWeight
from progressive.testing import (
    MemoryFleet,
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    steady,
)

# ---------------------------------------------------------------------------- answers that are late


def refused(world: World, event: Any) -> str:
    """What the trail says of an event that changes nothing of where it stands."""
    decision = decide(world.rollout, event)
    assert (decision.rollout.progress, decision.rollout.routing.desired) == (
        world.rollout.progress,
        world.rollout.routing.desired,
    )
    assert decision.notes[0].kind == "refused"
    return str(decision.notes[0])


@rule("R27")
def test_answers_to_what_was_asked_in_another_step_are_refused_with_a_reason() -> None:
    world = World(strategy=canary(gates=["freeze"])).until_weight(5)
    at, epoch = world.now, world.rollout.epoch

    assert "preflight is over" in refused(world, Inspected(at=at))
    assert "not the current one" in refused(
        world, HookAnswered(at=at, epoch=epoch, step="hook-smoke", answer=Go())
    )
    assert f"this is {epoch}" in refused(
        world, GateAnswered(at=at, epoch=epoch - 1, gate="freeze", answer=Open())
    )
    assert "this is" in refused(
        world, GateAnswered(at=at, epoch=epoch, gate="nobody", answer=Open())
    )


def test_nothing_is_judged_on_the_way_back() -> None:
    world = World().until_weight(5)
    world.unwritable = True
    world.say(Abort(at=world.now, by="eve", why="bad"))

    assert "nothing is judged while rolling_back" in refused(world, world.answers[-1])


def test_a_write_of_an_older_epoch_that_failed_changes_nothing() -> None:
    world = World().until_weight(5)
    late = CommandFailed(
        at=world.now, command="apply", epoch=1, failure=Failure.PERMANENT, why="403"
    )
    decision = decide(world.rollout, late)

    assert decision.rollout.phase is Phase.PROGRESSING
    assert decision.rollout.routing == world.rollout.routing


@rule("R18")
@pytest.mark.parametrize(
    "end", [-seconds(1), minutes(5)], ids=["before it began", "long after it was asked"]
)
def test_numbers_of_another_time_than_was_asked_are_an_error(end: timedelta) -> None:
    world = World().until_weight(5)
    begun = world.rollout.evidence.series[0].start
    assert begun is not None
    window = Window(begun, begun + seconds(30))
    covered = Window(min(begun, begun + end), begun + end)
    tracks = {track: Counts(events=0, trials=900) for track in (Track.STABLE, Track.CANDIDATE)}
    look = Look(metric="error-rate", window=window, covered=covered, tracks=tracks)
    after = decide(world.rollout, Measured(at=window.end, analyses=("checks",), look=look)).rollout

    assert after.evidence.series[0].start == begun
    assert after.evidence.check_states[0].verdict is Verdict.ERROR
    assert "outside what was asked" in after.evidence.check_states[0].why


# --------------------------------------------------------------------------------------- the router


@rule("R45")
def test_a_router_that_refuses_to_be_read_ends_it_before_the_start() -> None:
    rollout = begin(canary().plan, RELEASE, id="r", at=START)
    decision = decide(
        rollout,
        Tick(at=START),
        CommandFailed(at=START, command="read", epoch=0, failure=Failure.PERMANENT, why="401"),
    )

    assert decision.rollout.phase is Phase.ROLLED_BACK
    assert "the router can't be read: 401" in decision.rollout.progress.reason


@rule("R9")
def test_tracks_that_run_what_the_release_says_are_no_reason_to_stop() -> None:
    world = World().until_weight(5)
    right = attrs.evolve(
        world.served(),
        identities=((Track.STABLE, "v1"), (Track.CANDIDATE, "v2"), (Track.BASELINE, "whatever")),
    )
    assert (
        decide(
            world.rollout, Tick(at=world.now), RouterRead(at=world.now, served=right)
        ).rollout.phase
        is Phase.PROGRESSING
    )
    new = World()
    right = attrs.evolve(new.served(), identities=((Track.STABLE, "v1"), (Track.CANDIDATE, "v2")))

    assert (
        decide(new.rollout, Tick(at=new.now), RouterRead(at=new.now, served=right)).rollout.phase
        is Phase.PENDING
    )


@rule("R12")
def test_what_a_router_can_t_do_is_named_step_by_step() -> None:
    steps = [
        SetWeight(
            percent(1),
            baseline=percent(1),
            mirror=percent(2),
            matches=[Match(name="beta", value="1")],
        ),
        Bake(minutes(1)),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ]
    plan = canary(weights=(), steps=steps).plan

    assert list(capability_problems(plan, Capabilities())) == [
        "weight-1: the router can't do a baseline track",
        "weight-1: the router can't do header and cookie routes",
        "weight-1: the router can't do mirroring",
    ]
    assert (
        list(capability_problems(plan, Capabilities(baseline=True, matches=True, mirror=True)))
        == []
    )


# ------------------------------------------------------------------------------- steps of one's own


@attrs.frozen
class Says(Step):
    """A step that answers what it was made with."""

    kind: ClassVar[str] = "says"

    answer: Any
    deadline: Deadline | None = Deadline(within=hours(1))
    id: str = "says"

    def advance(self, situation: Situation) -> Advance:
        assert not isinstance(self.answer, str)
        return self.answer  # type: ignore[no-any-return]


def with_step(step: Step) -> Canary:
    return Canary(steps=[SetWeight(percent(5)), step, SetWeight(percent(100))], unguarded="a law")


def reached(step: Step) -> Any:
    """The rollout after the first ticks, without a store (its kind is not the library's)."""
    bound = Ports(router=MemoryRouter(), clock=VirtualClock(START))
    rollout = start(with_step(step), RELEASE, id="r", ports=bound)
    for _ in range(6):
        decision = tick(rollout, bound)
        rollout = decision.rollout
        if decision.wake_at is None:
            break
        bound.clock.until(decision.wake_at)  # type: ignore[attr-defined]
    return rollout


@pytest.mark.parametrize(
    ("answer", "phase", "why"),
    [
        (Failed("the cache is cold"), Phase.ROLLED_BACK, "step says: the cache is cold"),
        (Halt("somebody must look"), Phase.HELD, "step:says: somebody must look"),
        (Wait("the moon"), Phase.PROGRESSING, "the moon"),
        (Done(), Phase.PROMOTED, "every step is done"),
    ],
)
def test_a_step_says_where_it_stands(answer: Advance, phase: Phase, why: str) -> None:
    rollout = reached(Says(answer))

    assert rollout.phase is phase
    assert why in (rollout.progress.reason or str(rollout.status))


def test_a_step_s_wait_ends_at_a_whole_millisecond_of_an_aware_time() -> None:
    """What is stored is in milliseconds; a time that is kept more exactly would read back as
    another one.
    """
    assert Wait("the moon", until=START + timedelta(microseconds=1_500)).until == START + timedelta(
        milliseconds=1
    )
    with pytest.raises(StrategyError, match=r"Wait\.until: .* has no time zone"):
        Wait("the moon", until=START.replace(tzinfo=None))


def test_a_step_that_would_wait_without_an_end_is_refused() -> None:
    with pytest.raises(
        StrategyError,
        match=r"steps\[1\].deadline: says has none; a wait without an end is not allowed",
    ):
        with_step(Says(Wait("for ever"), deadline=None))


def test_a_step_without_any_default_of_the_contract_says_so() -> None:
    @attrs.frozen
    class Lazy(Step):
        kind: ClassVar[str] = "lazy"
        id: str = "lazy"
        span: ClassVar[timedelta] = seconds(1)

    held = reached(Lazy())

    assert held.phase is Phase.HELD
    assert (
        held.progress.reason
        == "step:lazy: it failed: NotImplementedError: Lazy has no advance(situation)"
    )


# ---------------------------------------------------------- ports that are others than at the start

GOOD = ScriptedMetrics({ERRORS: steady(50)})


def driven_without(strategy: Any, wanted: Any, **missing: Any) -> Any:
    """Drive with everything until ``wanted``, then once with ports that lack something; the rollout
    after that, and its notes.
    """
    router, store, clock = MemoryRouter(), MemoryStore(), VirtualClock(START)
    given: dict[str, Any] = {
        "metrics": [GOOD],
        "hooks": {"smoke": lambda key, release: NotYet(clock.now + seconds(1))},
        "gates": {"freeze": lambda release, now: Open()},
        "fleet": MemoryFleet(),
    }
    full = Ports(router=router, store=store, clock=clock, **given)
    rollout = start(strategy, RELEASE, id="r", ports=full)
    while not wanted(rollout):
        decision = tick("r", full)
        rollout = decision.rollout
        assert decision.wake_at is not None
        clock.until(decision.wake_at)
    return tick("r", Ports(router=router, store=store, clock=clock, **(given | missing)))


def test_a_metric_that_nobody_answers_for_any_more_is_an_error_and_no_pass() -> None:
    decision = driven_without(canary(), lambda r: r.clocks.watched >= seconds(30), metrics=[])

    assert {check_state.verdict for check_state in decision.rollout.evidence.check_states} == {
        Verdict.ERROR
    }
    assert "no provider answers for 'error-rate'" in decision.rollout.evidence.check_states[0].why


def test_a_hook_that_is_not_bound_any_more_is_asked_again_later() -> None:
    strategy = BlueGreen(preview_hook="smoke", unguarded="its hook")
    decision = driven_without(strategy, lambda r: r.progress.answer is not None, hooks={})

    assert isinstance(decision.rollout.progress.answer, NotYet)
    assert "nothing is bound to hook 'smoke'" in decision.rollout.progress.answer.why


def test_a_gate_that_is_not_bound_any_more_stays_closed() -> None:
    decision = driven_without(
        canary(gates=["freeze"]), lambda r: r.clocks.watched >= seconds(90), gates={}
    )

    assert decision.rollout.routing.desired.candidate == percent(5)
    assert decision.rollout.progress.closed_gate is not None
    assert "nothing is bound to gate 'freeze'" in decision.rollout.progress.closed_gate.why


def test_a_fleet_that_is_not_there_any_more_is_asked_again_later() -> None:
    decision = driven_without(
        canary(retire_after=minutes(5)),
        lambda r: r.phase is Phase.PROMOTED and r.clocks.stepped >= minutes(4.5),
        fleet=None,
    )

    assert decision.rollout.progress.retirement.value == "asked"
    assert any("needs fleet=" in str(note) for note in decision.notes)
    assert decision.wake_at is not None


@rule("R45")
@pytest.mark.parametrize(
    ("offered", "said"),
    [
        (
            Metric("error-rate", kind="value"),
            "metric 'error-rate': the plan means a ratio, the provider measures a value",
        ),
        (Metric("error-rate", kind="ratio", lag=seconds(9)), "use the provider's in the checks"),
        (Metric("error-rate", kind="ratio", counter=True), "use the provider's in the checks"),
        (
            Metric("errors", kind="ratio"),
            "metric 'error-rate': no provider in metrics=[...] answers for it",
        ),
    ],
)
def test_a_provider_that_measures_something_else_is_named_before_the_start(
    offered: Metric, said: str
) -> None:
    bound = Ports(
        router=MemoryRouter(), metrics=[ScriptedMetrics({}), ScriptedMetrics({offered: steady(50)})]
    )
    with pytest.raises(StrategyError) as caught:
        start(canary(), RELEASE, id="r", ports=bound)

    assert said in str(caught.value)


def test_a_provider_that_is_not_the_first_is_found() -> None:
    other = ScriptedMetrics(
        {Metric("latency", kind="latency"): steady(1), Metric("queue", kind="value"): steady(1)}
    )
    bound = Ports(router=MemoryRouter(), metrics=[other, GOOD])

    assert bound.provider(ERRORS) == (GOOD, ERRORS)
    assert bound.provider(Metric("nobody", kind="ratio")) is None


@rule("R19")
def test_a_port_that_ends_its_thread_is_a_failed_call(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: ends.append(args.exc_value))

    class Leaves(MemoryRouter):
        def read(self, release: Any) -> Any:
            raise SystemExit("bye")

    bound = Ports(router=Leaves(), clock=VirtualClock(START))
    rollout = start(Canary(weights=percents(100), unguarded="a law"), RELEASE, id="r", ports=bound)
    decision = tick(rollout, bound)
    for thread in threading.enumerate():
        if thread.name == "progressive-read":
            thread.join()

    assert str(*ends) == "bye"
    assert any("bye" in str(note) for note in decision.notes)
    assert decision.rollout.phase is Phase.PENDING


# ------------------------------------------------------------------------------------------- rounds


def test_a_tick_ends_even_if_nobody_ever_answers() -> None:
    rollout = World().until_weight(5).rollout
    talk = tick_protocol(
        rollout,
        (),
        tick=Tick(at=rollout.clocks.now + seconds(30)),
        stored=True,
        expected=rollout.serial,
    )
    moves = [next(talk)]
    for _ in range(99):
        try:
            moves.append(talk.send(Persisted() if isinstance(moves[-1], Persist) else []))
        except StopIteration as stopped:
            ticked = stopped.value
            break

    assert len([move for move in moves if isinstance(move, Execute)]) == ROUNDS
    assert ticked.decision.wake_at is not None


def test_an_answer_that_failed_delays_the_next_call_and_says_why() -> None:
    world = World(
        strategy=BlueGreen(
            preview_hook="smoke", gates=["freeze"], bake=minutes(1), unguarded="its hook"
        )
    )
    world.until(lambda w: w.phase is Phase.PROGRESSING)
    at, epoch = world.now, world.rollout.epoch
    hook = CommandFailed(
        at=at, command="run_hook", epoch=epoch, failure=Failure.TRANSIENT, why="503"
    )
    after = decide(world.rollout, hook).rollout
    assert after.progress.answer == NotYet(at + seconds(10), "it failed: 503")
    gate = CommandFailed(
        at=at, command="ask_gate", epoch=epoch, failure=Failure.TRANSIENT, why="504"
    )
    frozen = decide(world.rollout, gate).rollout.progress.closed_gate
    assert frozen is not None
    assert (frozen.why, frozen.until) == ("it failed: 504", at + seconds(10))
    stale = decide(
        world.rollout, attrs.evolve(hook, epoch=epoch - 1), attrs.evolve(gate, epoch=epoch - 1)
    ).rollout

    assert (stale.progress.answer, stale.progress.closed_gate) == (
        world.rollout.progress.answer,
        None,
    )


@pytest.mark.parametrize("phase", [Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.PROMOTED])
def test_what_goes_back_or_is_over_does_not_turn_round_again(phase: Phase) -> None:
    rollout = World().until_weight(5).rollout
    there = attrs.evolve(rollout, progress=attrs.evolve(rollout.progress, phase=phase))
    turn = Draft(there, there.clocks.now)
    roll_back(turn, "once more")

    assert turn.progress is there.progress
    assert turn.notes == []


def test_a_gate_that_says_the_same_twice_is_noted_once() -> None:
    world = World(strategy=canary(gates=["freeze"])).until_weight(5)
    closed = GateAnswered(
        at=world.now,
        epoch=world.rollout.epoch,
        gate="freeze",
        answer=ClosedUntil(world.now + hours(1), "night"),
    )
    once = decide(world.rollout, closed)

    assert [note.kind for note in once.notes] == ["happened"]
    assert decide(once.rollout, closed).notes == ()


@rule("R5")
def test_a_step_that_is_done_waits_for_the_router_before_the_next_one() -> None:
    steps = [SetWeight(percent(5)), Pause(minutes(2)), SetWeight(percent(100)), Bake(minutes(1))]
    world = World(strategy=Canary(steps=steps, unguarded="a law")).until_weight(5)
    world.lag = minutes(3)
    world.edit(1)
    world.until(lambda w: w.rollout.clocks.stepped > minutes(2))

    assert world.rollout.status.step == "pause-5"
    assert "the router to serve 5 % candidate" in str(world.rollout.status)
    world.lag = seconds(0)
    world.until_weight(100)


def test_an_approval_is_given_once() -> None:
    asks = BlueGreen(approval=Approval("go", within=hours(1), otherwise=Action.HOLD))
    world = World(strategy=asks)
    yes = Approve(at=world.now, approval="go", by="bob", why="seen")
    world.say(yes)

    assert "'go' is approved already" in refused(world, yes)


def test_two_gates_are_both_waited_for() -> None:
    world = World(strategy=canary(gates=["freeze", "budget"])).until_weight(5)
    shut = {"freeze": minutes(9), "budget": minutes(3)}
    world.until(lambda w: w.rollout.clocks.watched >= seconds(90))
    opened = world.do

    def do(command: Any) -> Any:
        if command.kind != "ask_gate" or world.now >= START + shut[command.gate]:
            return opened(command)
        until = START + shut[command.gate]
        return GateAnswered(
            at=world.now,
            epoch=command.epoch,
            gate=command.gate,
            answer=ClosedUntil(until, command.gate),
        )

    rollout = world.rollout
    at = world.now + seconds(30)
    world.now = at
    events: list[Any] = [Tick(at=at)]
    for _ in range(6):
        decision = decide(rollout, *events)
        rollout = decision.rollout
        if not decision.commands:
            break
        events = [do(command) for command in decision.commands]

    assert rollout.progress.closed_gate is not None
    assert rollout.progress.closed_gate.gate == "freeze", "the one that is shut longest"
    assert rollout.routing.desired.candidate == percent(5)


def test_a_limit_on_what_is_no_measurement_says_so() -> None:
    limit = Limit(ERRORS, at_most=percent(1), min_sample=1)
    window = Window(START, START + seconds(1))
    judgement, _ = limit.judge(
        Look(metric="error-rate", window=window, tracks={Track.CANDIDATE: NoAnswer("503")}),
        None,
        0.0,
    )

    assert (judgement.verdict, judgement.why) == (Verdict.NO_DATA, "no data on the candidate: 503")


# ------------------------------------------------------------------------------------------- people


def test_words_that_can_t_be_taken_say_why() -> None:
    world = World(strategy=canary(retire_after=hours(1))).until_weight(5)
    who: dict[str, Any] = {"at": world.now, "by": "eve", "why": "she knows"}
    assert "waive: there is no 'lunch'" in refused(world, PromoteNow(waive=("lunch",), **who))
    world.lag = minutes(1)
    world.until(lambda w: w.rollout.status.step == "weight-50")
    assert "step 'weight-50' can't be skipped" in refused(
        world, Skip(epoch=world.rollout.epoch, **who | {"at": world.now})
    )
    world.lag = seconds(0)
    world.say(Hold(**who | {"at": world.now}))
    assert "not held for 'lunch' but for ['person']" in refused(
        world, Resume(cause="lunch", **who | {"at": world.now})
    )
    world.say(Resume(**who | {"at": world.now}))
    world.until_phase(Phase.PROMOTED)

    assert "an Abort keeps stable (v1) from being removed" in refused(
        world, Hold(**who | {"at": world.now})
    )


def test_a_resume_after_the_whole_s_time_gives_it_that_time_again() -> None:
    strategy = canary(bake=minutes(4), deadline=Deadline(within=minutes(6), then=Action.HOLD))
    world = World(strategy=strategy).until_phase(Phase.HELD)
    assert [cause.name for cause in world.rollout.progress.causes] == ["deadline:rollout"]
    world.say(Resume(at=world.now, cause="deadline:rollout", by="eve", why="it is nearly there"))
    assert world.rollout.clocks.ran == seconds(0)

    world.until_weight(100)


def test_an_answer_said_twice_is_noted_once_and_a_failed_inspection_is_asked_again() -> None:
    world = World(strategy=BlueGreen(preview_hook="smoke", bake=minutes(1), unguarded="its hook"))
    failed = CommandFailed(
        at=world.now, command="inspect", epoch=0, failure=Failure.TRANSIENT, why="?"
    )
    assert "inspect" in [
        command.kind for command in decide(world.rollout, Tick(at=world.now), failed).commands
    ]
    world.hook = lambda key: NotYet(START + minutes(2), "warm")
    world.until(lambda w: w.rollout.progress.answer is not None)
    again = HookAnswered(
        at=world.now,
        epoch=world.rollout.epoch,
        step="hook-smoke",
        answer=NotYet(START + minutes(2), "warm"),
    )

    assert decide(world.rollout, again).notes == ()


def test_a_gate_that_answers_nonsense_stays_closed() -> None:
    decision = driven_without(
        canary(gates=["freeze"]),
        lambda r: r.clocks.watched >= seconds(90),
        gates={"freeze": lambda release, now: True},
    )

    assert decision.rollout.routing.desired.candidate == percent(5)
    assert "answered True; it must be Open() or ClosedUntil(...)" in str(
        decision.rollout.progress.closed_gate
    )


# ------------------------------------------------------------------------------- drivers that go on


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
                "metrics": [GOOD],
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

        monkeypatch.setattr("progressive.runtime.drive.asyncio.sleep", asleep)
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


def test_an_old_version_that_is_being_removed_can_t_be_had_back() -> None:
    bound = Ports(
        router=MemoryRouter(),
        metrics=[GOOD],
        store=MemoryStore(),
        clock=VirtualClock(START),
        fleet=MemoryFleet(),
    )
    rollout = start(canary(retire_after=seconds(0)), RELEASE, id="r", ports=bound)
    stuck = attrs.evolve(bound, fleet=Stuck())
    while rollout.progress.retirement.value != "asked":
        decision = tick("r", stuck)
        rollout = decision.rollout
        bound.clock.until(decision.wake_at)  # type: ignore[attr-defined]
    with pytest.raises(ConflictError, match="v1 is being removed since 'r' was promoted"):
        start(canary(), RELEASE.reversed(), id="back", ports=bound)


class Stuck(MemoryFleet):
    """A fleet that never gets it done."""

    def retire(self, *given: Any) -> None:
        raise TimeoutError("still draining")
