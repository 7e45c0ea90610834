"""What is asked of each port, and what its answer counts as."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import attrs
import pytest
from tests.support.driven import ANSWERS, GOOD, Colour, metrics, ports
from tests.support.rules import rule
from tests.support.world import ERRORS, RELEASE, START, canary

from progressive import (
    BlueGreen,
    ConflictError,
    Deadline,
    ExitCode,
    Go,
    Limit,
    Metric,
    NotYet,
    Open,
    Phase,
    Ports,
    Release,
    RouterError,
    StrategyError,
    Traffic,
    hours,
    minutes,
    percent,
    seconds,
    start,
    tick,
)
from progressive.analysis import Verdict
from progressive.errors import Failure, FleetError
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Track
from progressive.testing import (
    MemoryFleet,
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    aplay,
    play,
    steady,
)


def driven_without(
    strategy: Any, wanted: Any, *, first: dict[str, Any] | None = None, **missing: Any
) -> Any:
    """Drive with everything (``first``: otherwise than usual) until ``wanted``, then once with
    ports that lack something; the rollout after that, and its notes.
    """
    router, store, clock = MemoryRouter(), MemoryStore(), VirtualClock(START)
    given: dict[str, Any] = {
        "metrics": [ANSWERS],
        "hooks": {"smoke": lambda key, release: NotYet(clock.now + seconds(1))},
        "gates": {"freeze": lambda release, now: Open()},
        "fleet": MemoryFleet(),
    }
    full = Ports(router=router, store=store, clock=clock, **(given | (first or {})))
    rollout = start(strategy, RELEASE, id="r", ports=full)
    while not wanted(rollout):
        decision = tick("r", full)
        rollout = decision.rollout
        assert decision.wake_at is not None
        clock.until(decision.wake_at)
    clock.advance(seconds(30))
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

    assert decision.rollout.progress.retirement.value == "due"
    assert "the fleet to say what is ready" in str(decision.rollout.progress.waiting)
    assert decision.wake_at is not None


class OnlySurveyed:
    """A fleet that can't remove anything."""

    def __init__(self) -> None:
        self.survey = MemoryFleet().survey


@pytest.mark.parametrize("fleet", [None, OnlySurveyed()], ids=["gone", "another"])
def test_a_fleet_that_is_gone_once_it_was_asked_to_remove_is_asked_again_later(fleet: Any) -> None:
    class Slow(MemoryFleet):
        def retire(self, release: Any, version: Any) -> None:
            raise FleetError("not yet", failure=Failure.TRANSIENT)

    asked = driven_without(
        canary(retire_after=minutes(5)),
        lambda r: r.progress.retirement.value == "asked",
        first={"fleet": Slow()},
        fleet=fleet,
    )

    assert asked.rollout.progress.retirement.value == "asked"
    assert any("needs fleet=" in str(note) for note in asked.notes)


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


@rule("R45")
def test_every_name_that_is_bound_to_nothing_is_named_before_anything_is_touched(
    colour: Colour,
) -> None:
    strategy = BlueGreen(
        preview_hook="smoke",
        checks=[Limit(ERRORS, at_most=percent(5))],
        gates=["freeze"],
        retire_after=hours(1),
        remove_candidate_after=hours(1),
    )
    router = MemoryRouter(
        capabilities=attrs.evolve(MemoryRouter().capabilities, smallest_weight=percent(3))
    )
    bound = ports(router=router, metrics=[])
    with pytest.raises(StrategyError) as caught:
        colour.start(strategy, RELEASE, id="r", ports=bound)

    said = "\n".join(caught.value.problems)
    for problem in (
        "metric 'error-rate'",
        "hook 'smoke'",
        "gate 'freeze'",
        "retire_after",
        "remove_candidate_after",
        "not a multiple",
    ):
        assert problem in said
    assert bound.store.load("r") is None
    assert router.history == []


@rule("R19")
@pytest.mark.parametrize(
    "error", [RuntimeError, RecursionError, KeyError, RouterError, OSError, ConflictError]
)
def test_no_error_of_a_port_kills_or_fools_the_engine(
    colour: Colour, error: type[Exception]
) -> None:
    class Shaky(MemoryRouter):
        """Three calls in ten fail, before or after they were done."""

        chance = random.Random(4)

        def _maybe(self) -> None:
            if Shaky.chance.random() < 0.3:
                raise error("no")

        def read(self, release: Release) -> Served:
            self._maybe()
            return super().read(release)

        def apply(self, *given: Any, **named: Any) -> Served:
            self._maybe()
            return super().apply(*given, **named)

    asked = iter(range(10_000))

    def moody(track: Track, window: Any) -> Any:
        if next(asked) % 7 == 6:
            raise error("no")
        return GOOD(track, window)

    outcome = colour.play(canary(), RELEASE, metrics=[metrics(moody)], router=Shaky())

    assert outcome.rollout.phase is Phase.PROMOTED


@rule("R19")
@pytest.mark.parametrize("answer", [None, 3, "ok", {"weight": 5}])
def test_answers_of_the_wrong_type_are_errors_and_not_success(colour: Colour, answer: Any) -> None:
    class Odd(MemoryRouter):
        def read(self, release: Release) -> Served:
            return answer  # type: ignore[no-any-return]

    class OddMetrics(ScriptedMetrics):
        def measure(self, *given: Any) -> Any:
            return answer

    assert (
        colour.play(canary(), RELEASE, metrics=[metrics()], router=Odd()).exit_code
        == ExitCode.WRONG_INPUT
    )
    odd = colour.play(canary(), RELEASE, metrics=[OddMetrics({ERRORS: GOOD})])
    assert odd.exit_code == ExitCode.WRONG_INPUT
    assert "not a Look" in odd.rollout.progress.reason
    strategy = BlueGreen(
        preview_hook="smoke", deadline=Deadline(within=minutes(10)), unguarded="the hook is odd"
    )
    hook = colour.play(strategy, RELEASE, hooks={"smoke": lambda key, release: answer})
    assert "it must be Go(), NotYet(...) or Stop(...)" in hook.rollout.progress.reason


def test_ports_of_one_colour_only() -> None:
    class OnlyAsync:
        capabilities = MemoryRouter().capabilities

        def __init__(self) -> None:
            self.inner = MemoryRouter()

        async def aread(self, release: Release) -> Served:
            return self.inner.read(release)

        async def aapply(
            self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
        ) -> Served:
            return self.inner.apply(release, traffic, marker=marker, expect=expect)

    async def smoke(key: str, release: Release) -> Go:
        return Go()

    strategy = BlueGreen(preview_hook="smoke", bake=minutes(1), unguarded="a test")
    assert asyncio.run(
        aplay(strategy, RELEASE, router=OnlyAsync(), hooks={"smoke": smoke})
    ).promoted
    refused = play(strategy, RELEASE, router=OnlyAsync(), hooks={"smoke": smoke})
    assert (
        "asynchronous only" in str(refused.rollout.status)
        or refused.exit_code == ExitCode.WRONG_INPUT
    )
    stuck = play(strategy, RELEASE, hooks={"smoke": smoke})
    assert "asynchronous; use atick" in stuck.rollout.progress.reason


def test_a_router_that_is_no_router() -> None:
    unable = MemoryRouter()
    unable.capabilities = None  # type: ignore[assignment]
    with pytest.raises(StrategyError, match="has no read and apply"):
        play(
            canary(),
            RELEASE,
            metrics=[metrics()],
            router=type("No", (), {"capabilities": MemoryRouter().capabilities})(),
        )
    with pytest.raises(StrategyError, match="is not a Capabilities"):
        play(canary(), RELEASE, metrics=[metrics()], router=unable)


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
