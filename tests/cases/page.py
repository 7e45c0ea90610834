"""The page for people who come from Argo Rollouts or Flagger: made from the rules by which their
cases are judged, and from how many there are.

``python tests/cases/page.py`` writes it anew; `test_page.py` fails while it is not what the rules
say.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.cases import argo, flagger
from tests.cases.classes import HERE, Fate, Rule, cases, counted

PAGE = HERE.parents[1] / "docs" / "explanation" / "other-systems.md"

INTRODUCTION = """\
# Coming from Argo Rollouts or Flagger

What those two do in their own tests, and what comes of the same here.
Their cases are facts, kept as data beside our tests (`tests/cases/`, with the source of each).
Those that make sense without a cluster are run as strategies in simulated worlds, and asserted.
This page is made from the rules by which they are run (`python tests/cases/page.py`), so it says \
what is tested.
"""

EVERYWHERE = """\
## What is different everywhere

**Nothing is copied.**
Flagger promotes by a second rollout, of the old name with the new version, that nobody watches.
Here the candidate gets all traffic, is watched at 100 %, and *is* the stable version then.

**Six verdicts, not two.**
Flagger counts no data and a query that fails as failed checks.
Argo Rollouts counts errors apart, and an analysis that is terminated before it has measured \
anything as a success.
Here a look is PASS, FAIL, INCONCLUSIVE, NO_DATA, ERROR or MISSING, and only the first ever raises \
traffic.

**A candidate without its requests is not quiet.**
Where a proxy ejects the new version's instances, or they refuse connections, its own metrics are \
clean, and users go on failing.
There that is no data, or a pass. Here a candidate that has far fewer requests than its weight \
asks for is MISSING them, nothing is raised, and it goes back after four such looks and two minutes.

**A last look before each raise.**
Both raise on what the last interval said.
Here each check is asked once more up to the last moment that was watched, however short, so that \
no part of a step goes unjudged.

**Written is not done.**
Before the first per cent, 0 % is written and read back: a router that does not obey is found \
while nobody is harmed.
Every weight after it is read back too, and so is the way back; until then it is tried for ever, \
and a person is told.

**Every wait has an end.**
A webhook that never opens, a pause without a duration, a canary without steps: there they wait \
for ever.
Here each has a deadline, and an action that is not "go on".

**Instances are somebody else's.**
Both scale the new version up and the old one down.
Here your deployment does.
A fleet is asked what the instances can carry, and told at the very end what is not needed any \
more (`retire_after=`, `remove_candidate_after=`).

## When the metrics don't answer

A metrics server that takes connections and answers nothing, while a bad version is at 10 % \
(50 requests a second, a fifth of them fail).
The two others were run for real in November 2026, on a Kubernetes 1.36 with Istio's objects, \
steps of 1, 10, 50 and 100 %, a Prometheus that hangs as the version turns bad; ours is the \
simulation below.

| | the rule | back after | harmed | a healthy version, a server that restarts for 90 s |
|---|---|---|---|---|
| Argo Rollouts 1.9.1 | the fifth measurement that fails in a row; the steps go on meanwhile | \
192 s; with bakes of 20 s never: promoted | 201 | goes on, unwatched |
| Flagger 1.44.0 | a query that fails is a failed check (threshold 1, each 10 s) | 13 s | 18 | \
goes back |
| here, by default | nothing is raised from the first unanswered look on; the longer of four looks \
and two minutes | 125 s | 116 | is raised later |
| here, `Tolerance(no_answer=Budget(looks=0))` | the first | 5 s | 0 | goes back |

```python
from progressive import Action, Budget, Canary, Limit, Metric, NoWorse, Release, Tolerance
from progressive import Version, minutes, percent, percents, seconds
from progressive.testing import After, Behaviour, World, simulate, troubles

errors = Metric("error-rate", kind="ratio")
turns_bad, silence = After(minutes(7), 0.002, 0.2), troubles.MetricsDown(minutes(7))


def story(errors_of_candidate, trouble, **more):
    strategy = Canary(
        weights=percents(1, 10, 50, 100),
        bake=minutes(5),
        checks=[
            NoWorse(errors, **more),
            Limit(errors, at_most=percent(1), min_sample=20, **more),
        ],
        interval=seconds(10),
    )
    world = World(
        load=50,
        scrape=seconds(1),
        stable=Behaviour(errors=0.002),
        candidate=Behaviour(errors=errors_of_candidate),
        troubles=[trouble],
    )
    return simulate(strategy, world)


default = story(turns_bad, silence)
assert default.rolled_back
assert minutes(2) <= default.duration - minutes(7) <= seconds(140)
assert 60 < default.exposed.failed < 200

at_once = story(
    turns_bad, silence, tolerance=Tolerance(no_answer=Budget(looks=0, then=Action.ROLL_BACK))
)
assert at_once.rolled_back
assert at_once.duration - minutes(7) <= seconds(20)

restarts = troubles.MetricsDown(minutes(7), lasting=seconds(90))
assert story(0.002, restarts).promoted
```
"""

FLAGGER = """\
## Flagger

A Flagger case is a list of ticks: at each, what the metrics and webhooks say, and what Flagger \
makes of it.
Here it is a strategy with a step for each weight, in a world whose requests fail in just those \
intervals.
Compared is the share of the new version at each tick, and the end.
Flagger copies the new version over the old one and gives the old one's name all traffic, here \
the new one is given all traffic:
both are 100 % of the new version.

A canary with `interval: 1m`, `threshold: 5`, `stepWeight: 10` and `maxWeight: 50` is this:

```python
from progressive import Canary, Limit, Metric, Tolerance, minutes, percent, percents
from progressive.steps import Analyze, Bake, SetWeight

errors = Metric("error-rate", kind="ratio")
threshold = Tolerance(in_a_row=5, failures=4)
ways = [(SetWeight(w), Analyze("checks")) for w in percents(10, 20, 30, 40, 50)]

flagger = Canary(
    steps=[
        *(step for way in ways for step in way),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ],
    interval=minutes(1),
    checks=[Limit(errors, at_most=percent(1), plain=True, tolerance=threshold)],
)
```
"""

ARGO = """\
## Argo Rollouts

An Argo case is one look of a controller at a state, or one answer of a function.
Here it is a strategy with a step for each of Argo's, driven until that state is reached; then \
happens what the case says.
Compared is what a person sees: step, weight, paused, gone back, promoted.
Many cases are about sizes of ReplicaSets, which this library does not own.

Steps like `setWeight: 20`, `pause: {duration: 10m}`, `analysis`, `setWeight: 60`, `pause: {}` \
are these,
and the analysis runs in the background too:

```python
from progressive import Action, Analysis, Canary, Limit, Metric, hours, minutes, percent
from progressive.steps import Analyze, Approval, Bake, Pause, SetWeight

errors = Metric("error-rate", kind="ratio")

argo = Canary(
    steps=[
        SetWeight(percent(20)),
        Pause(minutes(10)),
        Analyze("success-rate"),
        SetWeight(percent(60)),
        Approval("go-on", within=hours(24), otherwise=Action.HOLD),
        SetWeight(percent(100)),
        Bake(minutes(10)),
    ],
    analyses=[Analysis("success-rate", checks=[Limit(errors, at_most=percent(1), plain=True)])],
    guards=["success-rate"],
)
```
"""

TIMES = """\
## What a replay does not compare

*When*, below one interval.
Flagger's first tick only detects the change; here there is a preflight instead, of a few seconds.

*Words*: messages, reasons, conditions, events and counters for dashboards are each system's own.
"""

SYSTEMS: Sequence[tuple[str, str, str, Sequence[Rule]]] = (
    ("Flagger", FLAGGER, flagger.FILE, flagger.RULES),
    ("Argo Rollouts", ARGO, argo.FILE, argo.RULES),
)

HEADS = {
    Fate.SAME: ("The same", "what | cases | here"),
    Fate.DIFFERS: ("Different on purpose", "what | cases | why"),
    Fate.CLUSTER: ("Not without a cluster", "what | cases | why"),
}


def page() -> str:
    """The page, from the rules and the data."""
    lines = [INTRODUCTION, *_overview(), "", EVERYWHERE]
    for _, how, file, rules in SYSTEMS:
        lines += [how, *_tables(file, rules)]
    return "\n".join([*lines, TIMES])


def _overview() -> Iterator[str]:
    yield "| system | cases | the same | different on purpose | not without a cluster |"
    yield "|---|---|---|---|---|"
    for name, _, file, rules in SYSTEMS:
        found = list(counted(cases(file), rules))
        sums = [sum(count for rule, count in found if rule.fate is fate) for fate in Fate]
        yield f"| {name} | {sum(sums)} | {' | '.join(map(str, sums))} |"


def _tables(file: str, rules: Sequence[Rule]) -> Iterator[str]:
    found = list(counted(cases(file), rules))
    for fate, (head, columns) in HEADS.items():
        rows: dict[tuple[str, str], int] = {}
        for rule, count in found:
            if rule.fate is fate and count:
                rows[rule.feature, rule.why] = rows.get((rule.feature, rule.why), 0) + count
        if rows:
            yield from (f"### {head}", "", f"| {columns} |", "|---|---|---|")
            yield from (
                f"| {feature} | {count} | {why} |" for (feature, why), count in rows.items()
            )
            yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
