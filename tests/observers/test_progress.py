"""`Progress` says what happens as it happens: in lines everywhere, as one block in a terminal."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import attrs
import pytest
from tests.support.rules import rule
from tests.support.world import ERRORS, RELEASE, START

from progressive import (
    Abort,
    Canary,
    Hold,
    Limit,
    Metric,
    NoWorse,
    Phase,
    Ports,
    Release,
    StrategyError,
    Version,
    iterate,
    minutes,
    percent,
    percents,
    seconds,
    start,
    submit,
    tick,
)
from progressive.adapters.logs import ADAPTERS
from progressive.errors import Failure, RouterError
from progressive.model.units import format_duration
from progressive.observers import live
from progressive.observers.progress import Progress
from progressive.testing import (
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    steady,
)

SHORT = Canary(
    weights=percents(10, 100),
    bake=minutes(2),
    checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(1))],
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def ports(*observers: Any, candidate: float = 0.001, **more: Any) -> Ports:
    numbers = steady(50, stable=0.001, candidate=candidate)
    return Ports(
        router=MemoryRouter(),
        metrics=[ScriptedMetrics({ERRORS: numbers})],
        store=MemoryStore(),
        clock=VirtualClock(START),
        observers=observers,
        **more,
    )


def driven(bound: Ports, strategy: Canary = SHORT, *, id: str = "shop-2") -> Phase:
    clock: Any = bound.clock
    first = start(strategy, RELEASE, id=id, ports=bound)
    for decision in iterate(first, bound, sleep=lambda nap: clock.advance(seconds(nap))):
        last = decision.rollout
    return last.phase


def said(strategy: Canary = SHORT, **given: Any) -> list[str]:
    file = io.StringIO()
    driven(ports(Progress(file=file), **given), strategy)
    return file.getvalue().splitlines()


# -------------------------------------------------------------------------------------------- lines


def test_a_good_version_has_a_line_for_each_step_weight_and_verdict() -> None:
    lines = said()

    assert lines[0] == "shop-2: shop from v1 to v2 in 4 steps; times are UTC"
    assert [line[10:] for line in lines[1:7]] == [
        "serves 0 % candidate, read back",
        "progressing weight-10: preflight passed: the router obeys, the metrics answer",
        "asks for 10 % candidate (step weight-10)",
        "serves 10 % candidate, read back",
        "progressing bake-10: weight-10 is done",
        "waits for a bake of 2 min, watched, until 13:02:00, then roll back",
    ]
    passes = [line for line in lines if "error-rate-no-worse: PASS" in line]
    assert len(passes) == 1, "a look that says what the one before it said has no line"
    assert lines[-2].endswith("promoted: every step is done, bake-100 was the last")
    assert all(line[2] == line[5] == ":" for line in lines[1:])


def test_a_bad_version_says_why_it_goes_back() -> None:
    lines = said(candidate=0.2)

    assert any("error-rate-no-worse: FAIL: worse:" in line for line in lines)
    assert any("rolling_back: checks/error-rate" in line for line in lines)
    assert any("rolled_back: checks/error-rate" in line for line in lines)


def test_what_is_waited_for_is_said_anew_in_each_step_and_once() -> None:
    lines = [line[10:] for line in said() if "waits for a bake" in line]

    assert len(lines) == 2


def test_several_rollouts_are_told_apart() -> None:
    file = io.StringIO()
    shared = Progress(file=file)
    bound = ports(shared)
    first = start(SHORT, RELEASE, id="one", ports=bound)
    other = ports(shared)
    with shared.driving(first):
        driven(other, id="two")
    lines = file.getvalue().splitlines()

    assert lines[0].startswith("one: ")
    assert all(line.startswith("two  ") for line in lines[1:])


def test_one_that_is_taken_up_again_says_where_it_stands() -> None:
    bound = ports()
    clock: Any = bound.clock
    first = start(SHORT, RELEASE, id="r", ports=bound)
    driving = iterate(first, bound, sleep=lambda nap: clock.advance(seconds(nap)))
    for decision in driving:
        if decision.rollout.progress.step:
            break
    driving.close()  # type: ignore[attr-defined]
    file = io.StringIO()
    with Progress(file=file).driving(decision.rollout):
        pass

    assert "goes on: progressing: step 2 of 4 (bake-10)" in file.getvalue().splitlines()[1]


def test_words_of_persons_are_said() -> None:
    file = io.StringIO()
    bound = ports(Progress(file=file))
    clock: Any = bound.clock
    first = start(SHORT, RELEASE, id="r", ports=bound)
    for decision in iterate(first, bound, sleep=lambda nap: clock.advance(seconds(nap))):
        if decision.rollout.progress.step == 1 and decision.rollout.phase is Phase.PROGRESSING:
            tick("r", bound, Abort(at=clock(), by="eve", why="enough"))

    assert "eve: abort (enough)" in file.getvalue()


def test_what_others_submit_is_said_with_who_it_was() -> None:
    file = io.StringIO()
    bound = ports(Progress(file=file))
    clock, store = bound.clock, bound.store
    assert isinstance(clock, VirtualClock) and store is not None
    first = start(SHORT, RELEASE, id="r", ports=bound)
    held = False

    def sleep(nap: float) -> None:
        nonlocal held
        if not held and clock() > START + minutes(1):
            held = True
            submit(store, "r", Hold(at=clock(), by="eve", why="db slow"))
        elif held and clock() > START + minutes(1.5):
            submit(store, "r", Abort(at=clock(), by="eve", why="enough"))
        clock.advance(seconds(max(nap, 1)))

    for _ in iterate(first, bound, sleep=sleep):
        pass

    lines = file.getvalue()
    for said in (
        "eve: hold (db slow)",
        "held",
        "eve: abort (enough)",
        "rolling_back",
        "rolled_back",
    ):
        assert said in lines
        lines = lines[lines.index(said) :]


FORGED = "n\nINFO progressive.rollout r: promoted: every step is done\x1b[8m\x07"


def test_no_reason_looks_like_another_line() -> None:
    file = io.StringIO()
    bound = ports(Progress(file=file))
    start(SHORT, RELEASE, id="r", ports=bound)
    tick("r", bound)
    tick("r", bound, Abort(at=bound.clock(), by="eve", why=FORGED))

    [line] = [each for each in file.getvalue().splitlines() if "eve: abort" in each]
    assert r"(n\nINFO progressive.rollout r: promoted: every step is done\x1b[8m\x07)" in line
    assert "\x1b" not in file.getvalue()


class Refusing(MemoryRouter):
    """Can't be read for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def read(self, release: Release) -> Any:
        self.reads += 1
        if self.reads in (6, 7, 9, 10):
            raise RouterError("no answer", failure=Failure.TRANSIENT)
        return super().read(release)


def test_a_failure_that_goes_on_is_said_once_and_again_when_it_comes_back() -> None:
    bound = ports()
    router = Refusing()
    file = io.StringIO()
    bound = Ports(
        router=router,
        metrics=bound.metrics,
        store=bound.store,
        clock=bound.clock,
        observers=[Progress(file=file)],
    )
    driven(bound)
    failed = [line for line in file.getvalue().splitlines() if "read failed" in line]

    assert router.reads > 10
    assert len(failed) == 2


# ------------------------------------------------------------------------------ what is tried again


def test_what_an_adapter_tries_again_is_said_at_once_while_it_is_driven_and_not_after() -> None:
    file = io.StringIO()
    shown = Progress(file=file)
    rollout = start(SHORT, RELEASE, id="r", ports=ports())
    with shown.driving(rollout):
        for left in (10.0, 9.0):
            ADAPTERS.warning("%s; tried again for up to %.0f s", "Envoy: no answer", left)
        ADAPTERS.warning("another thing")
    ADAPTERS.warning("%s; tried again for up to %.0f s", "Envoy: later", 1.0)

    lines = [line[10:] for line in file.getvalue().splitlines()[1:]]
    assert lines == ["Envoy: no answer; tried again for up to 10 s", "another thing"]
    assert not [each for each in ADAPTERS.handlers if type(each).__name__ == "_Ear"]


# --------------------------------------------------------------------------------------- the block


def test_in_a_terminal_there_is_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    assert driven(ports(Progress(file=file))) is Phase.PROMOTED
    text = file.getvalue()

    assert "step 4 of 4: bake-100  asked 100 %, served 100 %" in text
    assert re.search(r"checks/error-rate-no-worse +\x1b\[32mpass", text)
    assert "promoted: every step is done" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1, "the cursor is back"


def drawn(rollout: Any, *, ago: float = 0.0) -> str:
    file = Terminal()
    block = live.Block([], file)
    console = live.Console(file=io.StringIO(), width=90)
    with console.capture() as got:
        console.print(*live._parts(rollout, time.monotonic() - ago), sep="\n")
    block.end()
    return got.get()


def stopped_in(step: str, strategy: Canary = SHORT, **given: Any) -> Any:
    bound = ports(**given)
    clock: Any = bound.clock
    first = start(strategy, RELEASE, id="shop-2", ports=bound)
    for decision in iterate(first, bound, sleep=lambda nap: clock.advance(seconds(nap))):
        last = decision.rollout
        if last.plan.steps[last.progress.step].id == step and last.clocks.watched > minutes(1):
            return last
    return last


def test_names_in_a_block_are_what_they_are() -> None:
    """Colons, and what else would be markup, are characters of names."""
    bug = Metric("err:bug:rate", kind="ratio")
    strategy = Canary(
        weights=percents(10, 100), bake=minutes(2), checks=[Limit(bug, at_most=percent(1))]
    )
    numbers = ScriptedMetrics({bug: steady(50, stable=0.001, candidate=0.001)})
    bound = attrs.evolve(ports(), metrics=[numbers])
    first = start(strategy, RELEASE, id="team:bug:42", ports=bound)
    shown = drawn(first)

    assert "team:bug:42" in shown
    assert "checks/err:bug:rate" in shown
    file = Terminal()
    block = live.Block([first], file)
    block.say("team:bug:42  says [bold]")
    block.end()
    assert "team:bug:42  says [bold]" in file.getvalue()


def test_a_bar_says_how_far_a_bake_is_and_goes_on_between_two_looks() -> None:
    rollout = stopped_in("bake-10")
    done = rollout.clocks.watched

    assert f"{format_duration(timedelta(seconds=int(done.total_seconds())))} of 2 min" in drawn(
        rollout
    )
    assert "2 min of 2 min" in drawn(rollout, ago=300), "and not beyond its end"
    assert "waits for" in drawn(rollout)


def test_a_bar_stands_still_while_the_router_serves_something_else() -> None:
    rollout = stopped_in("bake-10")
    lost = attrs.evolve(rollout, routing=attrs.evolve(rollout.routing, verified_since=None))

    assert drawn(lost, ago=300) == drawn(lost)


def test_the_block_of_a_rollout_that_is_over_has_no_bar() -> None:
    text = drawn(stopped_in("never"))

    assert "promoted" in text
    assert " of 2 min" not in text
    assert "waits for" not in text


def test_of_many_rollouts_the_last_heard_of_are_shown() -> None:
    bound = ports()
    file = Terminal()
    rollouts = [
        start(
            SHORT,
            Release(service=f"s{n}", stable=Version("v1"), candidate=Version("v2")),
            id=f"r{n}",
            ports=bound,
        )
        for n in range(live.MOST + 2)
    ]
    block = live.Block(rollouts, file)
    block.show(rollouts[0])
    console = live.Console(file=io.StringIO(), width=90)
    with console.capture() as got:
        console.print(block._drawn())
    block.end()
    text = got.get()

    assert "r0  " in text
    assert "r1  " not in text
    assert f"r{live.MOST + 1}  " in text


def test_without_rich_there_are_lines_and_a_block_that_was_asked_for_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "progressive.observers.live", None)
    file = Terminal()
    assert driven(ports(Progress(file=file))) is Phase.PROMOTED
    assert "\x1b" not in file.getvalue()
    with pytest.raises(StrategyError, match=r"pip install 'progressive-delivery\[rich\]'"):
        Progress(live=True)
    Progress(live=False)


def test_it_goes_to_the_standard_error_of_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    driven(ports(Progress()))

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("shop-2: shop from v1 to v2")


# ----------------------------------------------------------------------------------- a whole script


SCRIPT = """
import sys
from progressive import *
from progressive.metrics.envoy import ERRORS, EnvoyStats
from progressive.observers.progress import Progress
from progressive.routers.envoy import Envoy
from progressive.stores.file import FileStore

envoy = "http://127.0.0.1:1"
ports = Ports(
    router=Envoy(admin=envoy, prefix="checkout"),
    metrics=[EnvoyStats(admin=envoy)],
    store=FileStore(sys.argv[1]),
    observers=[Progress()],
)
release = Release(service="checkout", stable=Version("v1"), candidate=Version("v2"))
canary = Canary(weights=percents(1, 100), checks=[Limit(ERRORS, at_most=percent(1))])
sys.exit(run(start(canary, release, id="checkout-v2", ports=ports), ports).exit_code)
"""


@rule("R26")
def test_a_script_without_its_proxy_says_so_within_two_seconds_and_ctrl_c_says_what_to_do(
    tmp_path: Any,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "rollouts")],
        stderr=subprocess.PIPE,
        text=True,
    ) as script:
        assert script.stderr is not None
        first, second = script.stderr.readline(), script.stderr.readline()
        began = time.monotonic()
        script.send_signal(2)
        rest = script.stderr.read()
        assert script.wait(30) == 130

    assert first == "checkout-v2: checkout from v1 to v2 in 4 steps; times are UTC\n"
    assert "Envoy at http://127.0.0.1:1: GET /config_dump: ConnectError" in second
    assert "Traceback" not in rest
    assert rest.splitlines()[-1] == (
        "checkout-v2: interrupted in weight-1, traffic to v2 stays (asked 0 %, the router was not "
        "read); to go on, run it again with the same id; to take it back: rollback_now(Envoy(...), "
        "release)"
    )
    assert time.monotonic() - began < 20
