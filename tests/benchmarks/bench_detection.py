"""Who stops a bad version first, at what rate of false alarms: ours beside what others use, on the
same traffic.

``nox -s bench -- detection`` prints the tables, says which goals are met, and with
``--pictures FOLDER`` draws what the page on statistics shows. Looked at after every event,
everything is computed; through looks of ten seconds, it is simulated.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from detection import (
    accepting,
    adversary,
    bounds,
    broken,
    business,
    clock,
    events,
    late,
    latency,
    raises,
    rules,
    speed,
    stalls,
    traffic,
)
from figures import table

from progressive.model import Window

SMOKE = "--smoke" in sys.argv
SEED = 20_261_123
ROLLOUTS = 24 if SMOKE else 3_000

WINDOW = Window(
    datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=30)
)

GOALS: list[tuple[str, float, float]] = []
"""What was promised, what was measured, and the limit of it."""


def goal(name: str, measured: float, limit: float) -> None:
    GOALS.append((name, measured, limit))


def geometric_mean(values: list[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


# ----------------------------------------------------------------------------------- event by event


def event_by_event() -> None:
    """The candidate's errors until the alarm: of the default played, of the others computed."""
    rng = np.random.default_rng(SEED)
    played = 40 if SMOKE else 1_000
    weights = events.WEIGHTS[-1:] if SMOKE else events.WEIGHTS
    chosen: dict[str, dict[float, events.Rule]] = {
        "Wald, told the truth": {ratio: events.wald(ratio) for ratio in events.RATIOS},
        "ours, exact": dict.fromkeys(events.RATIOS, events.ours_exact),
        "ours, small=False": dict.fromkeys(events.RATIOS, events.without_small),
        "multinomial, k = 10": dict.fromkeys(events.RATIOS, events.multinomial(10)),
        "multinomial, k = 100": dict.fromkeys(events.RATIOS, events.multinomial(100)),
        "normal mixture, told the base": {
            ratio: events.normal_mixture(0.001, ratio) for ratio in events.RATIOS
        },
    }
    relative: dict[str, list[float]] = defaultdict(list)
    alarms: dict[str, list[float]] = defaultdict(list)
    for share in weights:
        least = {
            ratio: events.errors_needed(chosen["Wald, told the truth"][ratio], share, ratio)
            for ratio in events.RATIOS
        }
        rows = [
            (
                "no test can need fewer",
                "",
                *(f"{events.limit(share, ratio):.1f}" for ratio in events.RATIOS),
            )
        ]
        for name, by_ratio in chosen.items():
            errors = {
                ratio: events.errors_needed(rule, share, ratio) for ratio, rule in by_ratio.items()
            }
            plain = (
                events.normal_mixture(0.001, 1.0) if name.startswith("normal") else by_ratio[2.0]
            )
            false = events.false_alarms(plain, share)
            alarms[name].append(false)
            relative[name] += [errors[ratio] / least[ratio] for ratio in events.RATIOS]
            rows.append(
                (
                    name,
                    f"{false * 100:.1f} %",
                    *(f"{errors[r]:.1f} ({errors[r] / least[r]:.2f})" for r in events.RATIOS),
                )
            )
        found = {
            ratio: events.capped(
                rng, share, ratio, rollouts=played, most=events.enough(share, ratio)
            )[0]
            for ratio in events.RATIOS
        }
        horizon = int(events.HORIZON / share)
        false = events.capped(rng, share, 1.0, rollouts=played, most=horizon)[1]
        alarms["ours"].append(false)
        relative["ours"] += [found[ratio] / least[ratio] for ratio in events.RATIOS]
        rows.append(
            (
                "ours",
                f"{false * 100:.1f} %",
                *(f"{found[r]:.1f} ({found[r] / least[r]:.2f})" for r in events.RATIOS),
            )
        )
        head = ("rule", "false alarms", *(f"x {ratio:g}" for ratio in events.RATIOS))
        table(
            f"looked at after every event, weight {share:.0%}: the candidate's errors until "
            "the alarm (x Wald)",
            head,
            rows,
        )
    summary = [
        (
            name,
            f"{geometric_mean(values):.2f}",
            f"{max(values):.2f}",
            f"{max(alarms[name]) * 100:.1f} %",
        )
        for name, values in relative.items()
    ]
    table(
        "errors until the alarm, as a multiple of Wald's",
        ("rule", "geometric mean", "worst", "most false alarms"),
        summary,
    )
    goal("the exact test: geometric mean", geometric_mean(relative["ours, exact"]), 1.15)
    goal("the exact test: worst", max(relative["ours, exact"]), 1.25)
    goal("the default: geometric mean", geometric_mean(relative["ours"]), 1.2)
    goal("the default: worst", max(relative["ours"]), 1.35)
    goal(
        "false alarms of both, after every event",
        max(*alarms["ours"], *alarms["ours, exact"]),
        0.05 + 3 * math.sqrt(0.05 * 0.95 / played),
    )
    for name in ("multinomial, k = 10", "multinomial, k = 100", "normal mixture, told the base"):
        if max(alarms[name]) <= 0.05:
            ahead = max(a / b for a, b in zip(relative["ours"], relative[name], strict=True))
            goal(f"the default against the {name}: worst cell", ahead, 1.0)
            goal(
                f"the default against the {name}: geometric mean",
                geometric_mean(relative["ours"]) / geometric_mean(relative[name]),
                1.0,
            )


def small_rises() -> None:
    """The candidate's errors until the default finds a small rise, in multiples of the fewest that
    any test needs.
    """
    rng = np.random.default_rng(SEED)
    played = 4 if SMOKE else 400
    rows = []
    for ratio, share in events.SMALL[-1:] if SMOKE else events.SMALL:
        cells = []
        for alpha in (0.05, 0.01):
            least = events.limit(share, ratio, alpha=alpha)
            most = int(8 * least * (ratio * share + 1 - share) / (ratio * share))
            errors, _ = events.capped(rng, share, ratio, rollouts=played, most=most, alpha=alpha)
            cells.append(errors / least)
        rows.append(
            (
                f"x {ratio:g}",
                f"{share:.0%}",
                f"{events.limit(share, ratio):,.0f}",
                *(f"{cell:.2f}" for cell in cells),
            )
        )
        goal(f"a rise of {ratio:g} times at {share:.0%}, alpha 1 %", cells[1], 2 if SMOKE else 1.65)
    head = ("rise", "weight", "no test needs fewer", "ours / that, 5 %", "1 %")
    table("small rises, looked at after every event: errors until the alarm", head, rows)


def tested_bounds() -> None:
    """Requests until a breach of a bound of 1 % is found, and until a version that keeps it passes;
    and how often one that keeps it is sent back.
    """
    rng = np.random.default_rng(SEED)
    played = 4 if SMOKE else 400
    rows = []
    for times in bounds.TIMES:
        found = {
            alpha: bounds.requests_to_find(rng, times, alpha=alpha, rollouts=played)
            / bounds.wald(times, alpha)
            for alpha in (0.05, 0.01)
        }
        late = bounds.requests_to_find(rng, times, alpha=0.01, rollouts=played, late=True)
        rows.append(
            (
                f"x {times:g}",
                f"{bounds.wald(times, 0.01):,.0f}",
                *(f"{each:.2f}" for each in found.values()),
                f"{late / bounds.wald(times, 0.01):.2f}",
            )
        )
        if times == 5:
            goal("five times the bound, alpha 1 %", found[0.01], 3 if SMOKE else 1.3)
    table(
        "a bound of 1 %: requests until a breach is found, as a multiple of Wald's",
        ("rate", "Wald, told the rate, 1 %", "ours, 5 %", "1 %", "1 %, begun late"),
        rows,
    )
    parts = (0.1, 0.5, 1.0)
    table(
        "requests until five times the bound is excluded",
        tuple(f"{part:g} x the bound" for part in parts),
        [tuple(f"{bounds.requests_to_pass(rng, part, rollouts=played):.0f}" for part in parts)],
    )
    rows = []
    for part in (0.5, 1.0):
        for requests in (30,) if SMOKE else (30, 300):
            plain, tested = (
                bounds.sent_back(rng, part, WINDOW, plain=plain, requests=requests, hours=1)
                for plain in (True, False)
            )
            rows.append(
                (f"{part:g}", f"{requests}", f"{plain * 100:.1f} %", f"{tested * 100:.1f} %")
            )
            goal(f"sent back at {part:g} x the bound", tested, 0.01 + 3 * math.sqrt(0.0099 / 300))
    table(
        "good versions sent back within an hour of looks of 30 s, a least sample of 20",
        ("of the bound", "requests a look", "plain", "tested"),
        rows,
    )


def raised() -> None:
    """Harm that begins with one of four raises, beside the rules of Argo Rollouts and Flagger."""
    rows = []
    found = raises.table(2 if SMOKE else 100, SEED)
    for name, (outcomes, back) in found.items():
        cells = []
        for turn in range(len(raises.WEIGHTS)):
            seconds = [each.seconds for each in outcomes[turn]]
            harmed = [each.harmed for each in outcomes[turn]]
            cells.append(f"{np.median(seconds):.1f} s, {np.median(harmed):.0f}")
        rows.append((name, *cells, f"{back * 100:.0f} %"))
    table(
        "harm that begins with a raise (1 in 5 fails, 50 requests a second): until the candidate "
        "is back at 0 %, and failed requests, medians; healthy versions sent back",
        ("rule", *(f"to {weight} %" for weight in raises.WEIGHTS), "healthy ones"),
        rows,
    )
    ours, argo = found["ours, new numbers each second"], found["Argo Rollouts, each 5 s"]

    def median(outcomes: list[list[raises.Outcome]]) -> float:
        """The median of all raises together, each as often as the others. It hides the first, where
        ours waits for more failed requests than the rule does: the table has each by itself.
        """
        steps = [(k + 0.5) / 50 for k in range(50)]
        spread = [np.quantile([each.seconds for each in turn], steps) for turn in outcomes]
        return float(np.median(np.concatenate(spread)))

    def harmed(outcomes: list[list[raises.Outcome]]) -> float:
        return math.fsum(float(np.median([each.harmed for each in turn])) for turn in outcomes)

    goal("harm that begins with a raise: time, x Argo's", median(ours[0]) / median(argo[0]), 0.7)
    goal("failed requests, x Argo's, all raises", harmed(ours[0]) / harmed(argo[0]), 0.8)
    goal("healthy versions sent back meanwhile", ours[1], 0.01 + 3 * math.sqrt(0.0099 / 100))


def late_harm() -> None:
    """Harm that begins with a raise after a long healthy time."""
    rng = np.random.default_rng(SEED)
    played = 2 if SMOKE else 200
    rows = []
    for share in (0.1,) if SMOKE else (0.01, 0.1, 0.5):
        found = [
            late.errors_needed(rng, share, healthy, rollouts=played)
            for healthy in late.HEALTHY_ERRORS
        ]
        rows.append(
            (
                f"{share:.0%}",
                f"{found[0]:.0f}",
                *(f"{each:.0f} ({each / found[0]:.2f})" for each in found[1:]),
            )
        )
        goal(
            f"five times as bad from a raise on, at {share:.0%}",
            max(found[1:]) / found[0],
            9.0 if SMOKE else 2.0,
        )
    table(
        f"{late.RISE:g} times as bad from a raise on: the candidate's errors until the alarm "
        "(x from the beginning), after so many errors that were nobody's fault",
        ("weight", *(f"{healthy:,}" for healthy in late.HEALTHY_ERRORS)),
        rows,
    )
    table(
        "slower from a raise on: requests of the candidate, in the median",
        ("slower", "from the beginning", f"after {late.HEALTHY_REQUESTS:,}", "nothing bet anew"),
        [
            (
                f"x {slower:g}",
                *(
                    f"{late.requests_needed(rng, slower, n, again=again, rollouts=few):,.0f}"
                    for n, again, few in (
                        (0, True, played),
                        (late.HEALTHY_REQUESTS, True, played),
                        (late.HEALTHY_REQUESTS, False, max(2, played // 10)),
                    )
                ),
            )
            for slower in late.SLOWER
        ],
    )


def stalling() -> None:
    """Versions that stall by themselves."""
    rng = np.random.default_rng(SEED)
    rows = []
    for name, said, dispersion, told in stalls.table(rng, 2 if SMOKE else 40):
        cells = (f"{good * 100:.0f} %, {slow * 100:.0f} %" for good, slow in told.values())
        rows.append((name, f"{said * 100:.0f} %", f"{dispersion:.0f}", *cells))
        goal(f"stalls, good versions sent back, at {name}", told["with that dispersion"][0], 0.05)
    table(
        f"each version stalls {stalls.STALL:g} s in each {stalls.EACH:g} s, {stalls.LOOKS} looks: "
        "rollouts that say that requests are not independent, and versions sent back, good ones "
        "and ones that are a quarter slower",
        ("weight", "it is said", "dispersion_seen", "as it is", "with that", "in blocks"),
        rows,
    )


def acceptance() -> None:
    """Events until a good version is accepted, computed."""
    rows = []
    for share in (0.5,) if SMOKE else (0.01, 0.10, 0.50):
        for bad in (2.0, 1.25):
            needed, least = events.events_to_accept(share, 1.0, bad)
            rows.append(
                (
                    f"{share:.0%}",
                    f"x {bad:g}",
                    f"{needed:,.0f}",
                    f"{least:,.0f}",
                    f"{needed / least:.3f}",
                )
            )
            goal(f"accepting at {share:.0%}, excluding x {bad:g}", needed / least, 1.1)
    table(
        "a version that is as good is accepted: errors of both tracks",
        ("weight", "excluded", "needed", "no test needs fewer", "ratio"),
        rows,
    )


def acceptance_of_other_metrics() -> None:
    """Requests until a version that is as quick is accepted, and how often one that is as slow as
    is excluded.
    """
    rng = np.random.default_rng(SEED)
    rows = []
    for name, limit, good, bad, requests in accepting.table(
        rng, 4 if SMOKE else 400, 20 if SMOKE else 180
    ):
        rows.append(
            (
                name,
                f"x {limit:g}",
                f"{good * 100:.0f} %",
                "" if math.isinf(requests) else f"{requests:,.0f}",
                f"{bad * 100:.1f} %",
            )
        )
        goal(
            f"accepting a {name} that is {limit:g} times as bad",
            bad,
            0.05 + (1.0 if SMOKE else 3 * math.sqrt(0.05 * 0.95 / 400)),
        )
    head = ("metric", "excluded", "as good: accepted", "after, in the median", "as bad: accepted")
    table(
        "proof that it is not so many times as bad, half an hour of looks, 100 of the "
        "candidate and 900 of stable in each",
        head,
        rows,
    )


# ------------------------------------------------------------------------- through ten-second looks


def _cell(
    arguments: tuple[int, float, float, float, float, int],
) -> tuple[tuple[float, float, float, float], dict[str, clock.Outcome]]:
    seed, weight, base, ratio, rps, rollouts = arguments
    found = clock.cell(
        np.random.default_rng(seed),
        weight=weight,
        base=base,
        ratio=ratio,
        rps=rps,
        rollouts=rollouts,
    )
    return (weight, base, ratio, rps), found


def through_looks(pictures: Path | None) -> None:
    """An hour of looks: false alarms, detection, users harmed."""
    rates = (100.0,) if SMOKE else (10.0, 100.0, 1_000.0)
    weights = (0.1,) if SMOKE else clock.WEIGHTS
    wanted = [
        (w, b, r, rps) for w in weights for b in clock.BASES for r in clock.RATIOS for rps in rates
    ]
    work = [(SEED + i, *each, ROLLOUTS) for i, each in enumerate(wanted)]
    with ProcessPoolExecutor() as pool:
        cells = dict(pool.map(_cell, work))
    names = list(next(iter(cells.values())))
    rows = []
    relative: dict[str, list[float]] = defaultdict(list)
    by_ratio: dict[float, dict[str, list[float]]] = {
        r: defaultdict(list) for r in clock.RATIOS if r > 1
    }
    for (_, _, ratio, _), found in cells.items():
        wald = found["Wald, told the truth"]
        if ratio == 1 or wald.alarms < 0.99:
            continue
        for name, outcome in found.items():
            relative[name].append(outcome.harmed / wald.harmed)
            by_ratio[ratio][name].append(outcome.harmed / wald.harmed)
    for name in names:
        null = [found[name].alarms for (_, _, ratio, _), found in cells.items() if ratio == 1]
        bad = [
            found[name].alarms
            for (_, _, ratio, _), found in cells.items()
            if ratio > 1 and found["Wald, told the truth"].alarms >= 0.99
        ]
        worse = relative[name]
        rows.append(
            (
                name,
                f"{math.fsum(null) / len(null) * 100:.1f} %",
                f"{max(null) * 100:.1f} %",
                f"{math.fsum(bad) / len(bad) * 100:.0f} %",
                f"{geometric_mean(worse):.2f}",
                f"{max(worse):.2f}",
            )
        )
    head = (
        "rule",
        "false alarms, mean",
        "worst cell",
        "found within the hour",
        "users harmed x Wald",
        "worst cell",
    )
    table(
        f"an hour, looked at every {traffic.LOOK_SECONDS} s, {len(cells)} cells (harm: "
        "cells in which Wald finds 99 %)",
        head,
        rows,
    )
    for name in ("ours", "ours, exact"):
        null = [found[name] for (_, _, ratio, _), found in cells.items() if ratio == 1]
        above = max((each.alarms - 0.05) / math.sqrt(0.05 * 0.95 / each.rollouts) for each in null)
        goal(
            f"{name}: false alarms through looks, worst cell, standard errors above 5 %", above, 3.0
        )
    few = 2 if SMOKE else 20
    rng = np.random.default_rng(SEED)
    computed = [
        rules.exact_false_alarms(
            traffic.independent(rng, weight=w, base=b, ratio=1.0, rps=rps, rollouts=few)
        )
        for w in weights
        for b in clock.BASES
        for rps in rates
    ]
    goal(
        "ours, exact: false alarms through looks, computed from what it spends, worst cell",
        max(computed),
        0.05,
    )
    goal("the default through looks: geometric mean", geometric_mean(relative["ours"]), 1.2)
    goal("the default through looks: worst cell", max(relative["ours"]), 1.35)
    if pictures is not None:
        from detection import pictures as draw

        draw.frontier(
            pictures,
            {
                r: {name: geometric_mean(v) for name, v in found.items()}
                for r, found in by_ratio.items()
                if found
            },
        )


# ----------------------------------------------------------------------------------- and the others


def assumptions() -> None:
    """False alarms where an assumption does not hold."""
    rng = np.random.default_rng(SEED)
    found = broken.table(rng, ROLLOUTS // 5 if not SMOKE else 16)
    names = list(found[0][1])
    rows = [(scene, *(f"{alarms[name] * 100:.0f}" for name in names)) for scene, alarms, _ in found]
    table("no difference: rollouts that are rolled back, %", ("scene", *names), rows)
    table("what a user is told", ("scene", "said"), [(scene, say) for scene, _, say in found])


def lookers() -> None:
    """False alarms by an adversary."""
    rng = np.random.default_rng(SEED)
    few = ROLLOUTS if not SMOKE else 20
    rows = [
        (
            f"looks after every event, weight {share:.0%}, 3,000 errors long",
            f"{one * 100:.1f} %",
            f"{other * 100:.1f} %",
        )
        for share, one, other in adversary.every_event(rng, few, 100 if SMOKE else 3_000)
    ]
    long = 30 if SMOKE else 1_000
    normal = events.walk(events.normal_mixture(0.01, 1.0)(0.01, long * 100), 0.01)[1]
    rows.append(
        (
            f"the normal mixture after every event, weight 1 %, base 1 %, {long:,} errors long",
            f"{normal * 100:.2f} %",
            "",
        )
    )
    independent, same = (
        adversary.twenty_metrics(rng, few // 15 + 4, shared=shared) for shared in (False, True)
    )
    held = adversary.in_control(rng, few // 4)
    rows += [
        ("twenty metrics, alpha divided", f"{independent * 100:.1f} %", ""),
        ("twenty metrics that count the same errors", f"{same * 100:.1f} %", ""),
        ("moves the weight by the evidence", f"{held * 100:.1f} %", "not promised"),
    ]
    table("false alarms at 5 % by a looker who wants one", ("looker", "default", "exact"), rows)
    slack = 0 if not SMOKE else 0.3
    for name, alarms in (
        ("twenty metrics", independent),
        ("twenty equal metrics", same),
        ("the weight in the looker's hand", held),
    ):
        goal(f"false alarms: {name}", alarms, 0.05 + slack)


def other_metrics() -> None:
    """Latencies and business metrics."""
    rng = np.random.default_rng(SEED)
    few = 4 if SMOKE else 200
    rows = []
    for name, least, told in latency.table(rng, few, 20 if SMOKE else 180):
        cells = (
            f"{alarms * 100:.0f} % {'' if math.isinf(requests) else f'({requests:,.0f})'}"
            for alarms, requests in told.values()
        )
        rows.append((name, "" if math.isinf(least) else f"{least:,.0f}", *cells))
    head = ("slower", "limit", *latency.RULES)
    table(
        f"p99 from the default buckets (true p99 {latency.TRUE_P99 * 1000:.0f} ms), half an hour: "
        "alarms (requests of the candidate, in the median)",
        head,
        rows,
    )
    rows = []
    for weight, drop, told in business.table(rng, few):
        cells = (
            f"{alarms * 100:.0f} % {'' if math.isinf(minute) else f'(minute {minute:.0f})'}"
            for alarms, minute in told.values()
        )
        rows.append((f"{weight:.0%}", f"-{drop:.0%}", *cells))
    table(
        "3 % of the visitors buy, within an hour: alarms",
        ("weight", "conversions", "by conversions", "by revenue per visitor"),
        rows,
    )


def cost() -> None:
    """What a look costs."""
    scipy = speed.scipy_test()
    rows = [
        (
            name,
            f"{early * 1e6:.0f} us",
            f"{late * 1e6:.0f} us",
            f"{late / early:.1f}",
            f"{late / scipy:.2f}",
        )
        for name, early, late in speed.table()
    ]
    rows.append(("Fisher's exact test by SciPy", f"{scipy * 1e6:.0f} us", "", "", "1"))
    table(
        "one look, judged by NoWorse",
        ("of", "after 10 looks", "after 1,000", "ratio", "x SciPy's"),
        rows,
    )


def checked_against_the_library() -> None:
    """The vectorised rule is the library's, look for look; and the short way to Kayenta's word the
    long one's.
    """
    some = traffic.independent(
        np.random.default_rng(SEED), weight=0.1, base=0.01, ratio=1.5, rps=100, rollouts=20
    )
    assert [int(look) for look in rules.mixture(some)] == [
        rules.mixture_by_the_library(some, row) for row in range(20)
    ]
    for seed in range(6):
        played, by_the_library = (
            play(np.random.default_rng(seed), 0.1, 3.0, most=600, **more)
            for play, more in (
                (events.capped, {"rollouts": 1}),
                (events.capped_by_the_library, {}),
            )
        )
        assert played == (by_the_library, 1.0)
    assert [int(look) for look in rules.blocks(some)] == [
        rules.blocks_by_the_library(some, row) for row in range(20)
    ]
    rng = np.random.default_rng(SEED)
    for apart in (0.0, 0.5, 1.0, 2.0) * 10:
        own, other = (rng.normal(apart, 1, 30) ** 2).tolist(), (rng.normal(0, 1, 30) ** 2).tolist()
        assert clock.higher(own, other) is clock.higher_by_the_library(own, other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--smoke", action="store_true", help="only see that everything can be measured"
    )
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="FOLDER",
        help="draw the pictures of the page into this folder",
    )
    given = parser.parse_args()
    began = time.monotonic()
    checked_against_the_library()
    event_by_event()
    small_rises()
    tested_bounds()
    raised()
    late_harm()
    stalling()
    acceptance()
    acceptance_of_other_metrics()
    through_looks(given.pictures)
    assumptions()
    lookers()
    other_metrics()
    cost()
    if given.pictures is not None:
        from detection import pictures as draw

        draw.peeking(given.pictures, np.random.default_rng(SEED), ROLLOUTS)
        draw.bounds(given.pictures, np.random.default_rng(SEED + 7))
        draw.knowable(given.pictures)
    rows = [
        (name, f"{measured:.3f}", f"{limit:.3f}", "met" if measured <= limit else "MISSED")
        for name, measured, limit in GOALS
    ]
    table("goals", ("goal", "measured", "at most", ""), rows)
    print(f"\nseed {SEED}, {ROLLOUTS:,} rollouts in a cell, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
