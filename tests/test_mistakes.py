"""What people write by mistake, and what they are told: what is wrong, where, and what to write.

Most are of a list of mistakes that were tried by somebody who had only the README.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import pytest
from tests.support.world import ERRORS, RELEASE, START

from progressive import (
    Abort,
    Canary,
    Limit,
    Metric,
    NoWorse,
    Ports,
    Release,
    StrategyError,
    minutes,
    ms,
    percent,
    percents,
    seconds,
    start,
    submit,
    tick,
    times,
)
from progressive.codec import loads_strategy
from progressive.observers.notify import Notify, Subscription
from progressive.observers.progress import Progress
from progressive.routers.envoy import Envoy
from progressive.senders.slack import Slack
from progressive.testing import (
    Load,
    MemoryOutbox,
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    World,
    compare,
    explain,
    notes_from,
    replay,
    simulate,
    simulate_many,
    steady,
    verify,
)

METRICS: Final = ScriptedMetrics({ERRORS: steady(50, stable=0.0, candidate=0.0)})


def canary(**changes: Any) -> Canary:
    given = {"weights": percents(1, 100), "checks": [Limit(ERRORS, at_most=percent(1))]}
    return Canary(**(given | changes))  # type: ignore[arg-type]


CANARY: Final = canary()


def ports(**changes: Any) -> Ports:
    given = {"router": MemoryRouter(), "metrics": [METRICS], "store": MemoryStore()}
    return Ports(**(given | changes))  # type: ignore[arg-type]


MISTAKES: Final[list[tuple[Callable[[], object], str]]] = [
    (
        lambda: explain(CANARY, 50),
        "explain(load): 50 is no Load; write Load(50), in requests a second",
    ),
    (
        lambda: explain(CANARY, World()),
        "explain(load): World(...) is no Load; write Load(50.0), in requests a second",
    ),
    (
        lambda: explain("canary", Load(50)),
        (
            "explain(strategy): 'canary' has no plan; pass a Canary(...), a "
            "BlueGreen(...) or a stored Rollout"
        ),
    ),
    (
        lambda: simulate(CANARY, 50),
        "simulate(world): 50 is no World; write World(load=50)",
    ),
    (
        lambda: simulate(World(), CANARY),
        "simulate(world): Canary(...) is no World; write World(load=50)",
    ),
    (
        lambda: simulate("canary"),
        (
            "simulate(strategy): 'canary' has no plan; pass a Canary(...), a "
            "BlueGreen(...) or a stored Rollout"
        ),
    ),
    (
        lambda: simulate_many(CANARY, 50, runs=2),
        "simulate_many(world): 50 is no World; write World(load=50)",
    ),
    (
        lambda: simulate_many(CANARY, runs=0),
        "simulate_many: runs=0 must be a whole number of at least 1",
    ),
    (
        lambda: compare(5, load=Load(50)),
        (
            "compare(strategies): 5 has no plan; pass a Canary(...), a BlueGreen(...) or "
            "a stored Rollout"
        ),
    ),
    (
        lambda: verify(5),
        "verify(strategy): 5 has no plan; pass a Canary(...), a BlueGreen(...) or a stored Rollout",
    ),
    (
        lambda: replay([], CANARY),
        (
            "replay(notes): there are none; pass store.notes(id) of a rollout that was "
            "driven, or notes_from(path)"
        ),
    ),
    (
        lambda: World(load="50"),
        "World.load: '50' is neither a finite number nor a curve",
    ),
    (
        lambda: Load("50"),
        "Load.rps: '50' is neither a finite number nor a curve",
    ),
    (
        lambda: Ports(router="http://127.0.0.1"),
        (
            "Ports.router: 'http://127.0.0.1' has no read and apply; write one such as "
            "Envoy(admin=...)"
        ),
    ),
    (
        lambda: Ports(router=None),
        "Ports.router: None has no read and apply; write one such as Envoy(admin=...)",
    ),
    (
        lambda: Ports(router=MemoryRouter),
        "Ports.router: MemoryRouter is a class; make one: MemoryRouter(...)",
    ),
    (
        lambda: ports(metrics=METRICS),
        "Ports.metrics: expected a list, got ScriptedMetrics(...); write metrics=[...]",
    ),
    (
        lambda: ports(metrics="errors"),
        "Ports.metrics: expected a list, got 'errors'; write metrics=[...]",
    ),
    (
        lambda: ports(metrics=[5]),
        "Ports.metrics[0]: 5 has no measure; write one such as EnvoyStats(admin=...)",
    ),
    (
        lambda: ports(metrics=[ScriptedMetrics]),
        "Ports.metrics[0]: ScriptedMetrics is a class; make one: ScriptedMetrics(...)",
    ),
    (
        lambda: ports(metrics=[METRICS, METRICS]),
        "two providers answer for 'error-rate'",
    ),
    (
        lambda: ports(store="rollouts.db"),
        "Ports.store: 'rollouts.db' has no load and save; write one such as FileStore('rollouts')",
    ),
    (
        lambda: ports(store=MemoryStore),
        "Ports.store: MemoryStore is a class; make one: MemoryStore(...)",
    ),
    (
        lambda: ports(observers=print),
        "Ports.observers: expected a list, got <built-in function print>; write observers=[...]",
    ),
    (
        lambda: ports(observers=[5]),
        (
            "Ports.observers[0]: 5 can't be called; write a function of (rollout, "
            "notes), or Progress()"
        ),
    ),
    (
        lambda: ports(observers=[Progress]),
        (
            "Ports.observers[0]: <class 'progressive.observers.progress.Progress'> can't "
            "be called; write a function of (rollout, notes), or Progress()"
        ),
    ),
    (
        lambda: ports(hooks=[print]),
        (
            "Ports.hooks: expected names with what is called for each, got [<built-in "
            "function print>]; write {'name': function}"
        ),
    ),
    (
        lambda: ports(hooks={"warm": 5}),
        "Ports.hooks['warm']: 5 can't be called; write a function of (release, traffic)",
    ),
    (
        lambda: ports(gates={"freeze": 5}),
        "Ports.gates['freeze']: 5 can't be called; write a function of (release, now)",
    ),
    (
        lambda: ports(fleet=5),
        "Ports.fleet: 5 has no survey or retire; write one such as Deployments(...)",
    ),
    (
        lambda: ports(clock=5),
        "Ports.clock: 5 can't be called; write a function that returns the time, or leave it out",
    ),
    (
        lambda: ports(timeout=30),
        "Ports.timeout: 30 has no unit; write seconds(30), minutes(...) or a timedelta",
    ),
    (
        lambda: minutes("5"),
        "minutes('5'): expected a number, such as minutes(5)",
    ),
    (
        lambda: minutes(minutes(5)),
        "minutes(datetime.timedelta(seconds=300)): expected a number, such as minutes(5)",
    ),
    (
        lambda: seconds(float("nan")),
        "seconds(nan): a duration is a finite number, of at most 999999999 days",
    ),
    (
        lambda: ms("5"),
        "ms('5'): expected a number, such as ms(5)",
    ),
    (
        lambda: percents([1, 10, 100]),
        "percent([1, 10, 100]): expected one number; for several write percents(1, 10, 100)",
    ),
    (
        lambda: percent("1%"),
        "percent('1%'): expected a number from 0 to 100",
    ),
    (
        lambda: percent(101),
        "percent(101): expected a number from 0 to 100",
    ),
    (
        lambda: percent(0.00001),
        "percent(1e-05): finer than 0.0001 %; the nearest is percent(0.0)",
    ),
    (
        lambda: times("2"),
        "times('2'): expected a finite number above 0",
    ),
    (
        lambda: Metric("errors", kind="rate"),
        "Metric.kind: 'rate' is not one of 'ratio', 'latency', 'mean', 'value'",
    ),
    (
        lambda: NoWorse("errors"),
        "check.metric: 'errors' is no Metric; write Metric('errors', kind='ratio')",
    ),
    (
        lambda: NoWorse(ERRORS, margin=percent(10)),
        "NoWorse(error-rate): margin=percent(10) is the ratio still tolerated, from 1.0 to 1000",
    ),
    (
        lambda: Limit(ERRORS, at_most=0.01),
        "Limit(error-rate): at_most=0.01: a ratio takes percent(1) or times(1.5)",
    ),
    (
        lambda: canary(weights=[1, 100]),
        "Canary.weights[0]: 1 has no unit; write percents(1, 100)",
    ),
    (
        lambda: canary(weights=percent(1)),
        "Canary.weights: expected a list, got percent(1); write percents(1, 100)",
    ),
    (
        lambda: canary(checks=Limit(ERRORS, at_most=percent(1))),
        "Canary.checks: expected a list, got Limit(...); write [Limit(...)]",
    ),
    (
        lambda: canary(bake=10),
        "Canary.bake: 10 has no unit; write seconds(10), minutes(...) or a timedelta",
    ),
    (
        lambda: canary(checks=[NoWorse(ERRORS)]),
        (
            "canary: weights[1]: no deciding check can judge it: at 100 % a comparison "
            "has nothing to compare with; add a Limit"
        ),
    ),
    (
        lambda: Release(service="a", stable="v1", candidate="v2"),
        "Release.stable: 'v1' is no Version; write Version('v1')",
    ),
    (
        lambda: start(CANARY, "v2", id="r", ports=ports()),
        (
            "begin(release): 'v2' is no Release; write Release(service=..., "
            "stable=Version(...), candidate=Version(...))"
        ),
    ),
    (
        lambda: start("canary", RELEASE, id="r", ports=ports()),
        (
            "start(strategy): 'canary' has no plan; pass a Canary(...), a BlueGreen(...) "
            "or a stored Rollout"
        ),
    ),
    (
        lambda: start(CANARY, RELEASE, id="a b", ports=ports()),
        (
            "begin(id=): 'a b' is not a name; use 1 to 128 letters, digits and . _ : / - "
            "(none of them at an end)"
        ),
    ),
    (
        lambda: start(CANARY, RELEASE, id=5, ports=ports()),
        (
            "begin(id=): 5 is not a name; use 1 to 128 letters, digits and . _ : / - "
            "(none of them at an end)"
        ),
    ),
    (
        lambda: start(CANARY, RELEASE, id="r", ports=ports(metrics=[])),
        "error-rate",
    ),
    (
        lambda: tick("r", ports(store=None)),
        "tick('r'): an id needs a store; pass the Rollout itself, or Ports(store=...)",
    ),
    (
        lambda: tick("r", ports()),
        "there is no rollout 'r' in",
    ),
    (
        lambda: submit("rollouts.db", "r", Abort(at=START, by="eve", why="enough")),
        "submit(store): 'rollouts.db' is no store; pass the one of the driver's Ports(store=...)",
    ),
    (
        lambda: Abort(at=START.replace(tzinfo=None), by="eve", why="enough"),
        "Abort.at: 2026-03-01T12:00:00 has no time zone; use datetime.now(timezone.utc)",
    ),
    (
        lambda: Envoy(admin="localhost:9901", prefix="shop"),
        "http.base_url: 'localhost:9901' has no scheme; write 'http://localhost:9901'",
    ),
    (
        lambda: Envoy(admin="http://eve:secret@localhost:9901", prefix="shop"),
        (
            "http.base_url: expected http(s)://host:port/path without user, query and "
            "fragment (not shown: it may be secret); put user and password into "
            "Http(credentials=...)"
        ),
    ),
    (
        lambda: Notify(MemoryStore(), MemoryOutbox()),
        "Notify: nobody is told anything; give a sender such as Slack(...)",
    ),
    (
        lambda: Slack("deploys team", token="xoxb-1"),
        "Slack.channel: 'deploys team' is no channel; write '#deploys', or its id",
    ),
    (
        lambda: Subscription(Slack("#deploys", token="xoxb-1"), at_least="loud"),
        (
            "Subscription.at_least: 'loud' is no severity; there are 'debug', 'info', 'warning', "
            "'error'"
        ),
    ),
    (
        lambda: Subscription(Slack("#deploys", token="xoxb-1"), template="{what}"),
        "Subscription.template: {what} is not known here; there are id, text, kind, severity,",
    ),
    (
        lambda: loads_strategy("kind: canary\nbake: 5", format="yaml", name="canary.yaml"),
        "canary.yaml:2:7: $.bake: 5 has no unit; write '5s' or '5m'",
    ),
    (
        lambda: loads_strategy("kind = 'canary'\nbakes = '5m'", format="toml"),
        "strategy:2:9: $.bakes: unknown key; do you mean bake?",
    ),
    (
        lambda: World(load=Load(50)),
        (
            "World.load: expected requests a second, got a Load; write load=50, or the world of "
            "that Load: Load(rps=50).world()"
        ),
    ),
]


@pytest.mark.parametrize(("mistake", "told"), MISTAKES, ids=[told[:60] for _, told in MISTAKES])
def test_a_mistake_is_told_with_what_to_write(mistake: Callable[[], object], told: str) -> None:
    with pytest.raises(StrategyError, match=re.escape(told)):
        mistake()


def test_notes_that_are_not_there_are_said_where_they_would_be() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        notes_from("nowhere/r.notes")

    assert caught.value.__notes__ == [
        "a FileStore has the notes of a rollout in <id>.notes of its directory"
    ]
