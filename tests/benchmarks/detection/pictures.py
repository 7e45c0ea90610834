"""The pictures of the page that explains the statistics, drawn from what the benchmark computed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from progressive.stats import planning as limits
from progressive.stats import ratios, sequential

from . import rules
from .traffic import LOOK_SECONDS, independent

mpl.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "progressive",
        "font.family": "sans-serif",
        "font.size": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#dddddd",
        "legend.frameon": False,
    }
)

BLUE, ORANGE, GREEN, GREY, RED, PURPLE = (
    "#0060a8",
    "#d97706",
    "#15803d",
    "#6b7280",
    "#b91c1c",
    "#7c3aed",
)


def _axes(width: float = 8.0, height: float = 4.2) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    path.write_text(
        "\n".join(line.rstrip() for line in path.read_text(encoding="utf-8").splitlines()) + "\n",
        encoding="utf-8",
    )


def peeking(folder: Path, rng: np.random.Generator, rollouts: int) -> None:
    """How many good versions have been rolled back so far, the longer one looks."""
    traffic = independent(rng, weight=0.1, base=0.005, ratio=1.0, rps=100, rollouts=rollouts)
    figure, axes = _axes()
    minutes = np.arange(1, traffic.candidate.shape[1] + 1) * LOOK_SECONDS / 60
    for name, rule, colour in (
        ("a limit at twice the usual rate, each minute", rules.threshold(0.01, 0), GREY),
        ("the same, three failures allowed", rules.threshold(0.01, 3), PURPLE),
        ("a z-test at 5 %, looked at each minute", rules.peeked, ORANGE),
        ("ours at 5 %, looked at each ten seconds", rules.mixture, BLUE),
    ):
        alarms = rule(traffic)
        so_far = [float(((alarms >= 0) & (alarms <= k)).mean()) * 100 for k in range(len(minutes))]
        axes.plot(minutes, so_far, color=colour, label=name, linewidth=2)
    axes.axhline(5, color=BLUE, linewidth=1, linestyle=":")
    axes.set(
        xlabel="minutes since the rollout began",
        ylabel="good versions rolled back so far, %",
        xlim=(0, 60),
        ylim=(0, 100),
    )
    figure.legend(loc="outside upper left", ncols=2, fontsize=9)
    _save(figure, folder / "peeking.svg")


SHOWN: Final = {
    "ours, exact": (GREEN, "s"),
    "ours": (BLUE, "o"),
    "normal mixture": (PURPLE, "v"),
    "multinomial, k = 10": (GREY, "^"),
    "Kayenta, each 10 minutes": (ORANGE, "D"),
    "limit, 3 failures allowed": (RED, "x"),
}


def frontier(folder: Path, harmed: dict[float, dict[str, float]]) -> None:
    """Users harmed until the bad version is at 0 %, as a multiple of the least that any test could
    do.
    """
    figure, axes = _axes()
    for name, (colour, marker) in SHOWN.items():
        axes.plot(
            list(harmed),
            [harmed[ratio][name] for ratio in harmed],
            color=colour,
            marker=marker,
            label=name,
            linewidth=1.5,
        )
    axes.axhline(1, color="black", linewidth=1)
    axes.text(20, 0.93, "Wald's test, told how bad the version is", ha="right", va="top")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="how many times as many errors the bad version has",
        ylabel="users harmed, as a multiple",
        xticks=list(harmed),
        xticklabels=[f"x {ratio:g}" for ratio in harmed],
        yticks=[1, 2, 5, 10, 20, 50],
        yticklabels=["1", "2", "5", "10", "20", "50"],
        ylim=(0.7, 100),
    )
    axes.minorticks_off()
    figure.legend(loc="outside upper left", ncols=3, fontsize=9)
    _save(figure, folder / "frontier.svg")


def bounds(folder: Path, rng: np.random.Generator) -> None:
    """What one rollout knows as it goes on: a version that is as good, and one that fails twice as
    often.
    """
    figure, axes = _axes()
    for ratio, colour, name in ((1.0, GREEN, "as good as stable"), (2.0, RED, "twice as bad")):
        traffic = independent(
            rng, weight=0.1, base=0.01, ratio=ratio, rps=100, rollouts=1, looks=120
        )
        found = list(
            _followed(
                traffic.candidate[0],
                traffic.candidate_errors[0],
                traffic.stable[0],
                traffic.stable_errors[0],
            )
        )
        minutes = [(k + 1) * LOOK_SECONDS / 60 for k in range(len(found))]
        axes.plot(minutes, [each for each, _, _ in found], color=colour, linewidth=2, label=name)
        axes.fill_between(
            minutes,
            [max(low, 0.2) for _, low, _ in found],
            [min(high, 8) for _, _, high in found],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
    axes.axhline(1, color="black", linewidth=1)
    axes.set(
        yscale="log",
        xlabel="minutes at 10 % of 100 requests a second",
        ylabel="times stable's error rate, with 95 % bounds",
        yticks=[0.25, 0.5, 1, 2, 4, 8],
        yticklabels=["¼", "½", "1", "2", "4", "8"],
        ylim=(0.2, 8),
        xlim=(0, 20),
    )
    axes.minorticks_off()
    axes.legend(loc="upper right")
    _save(figure, folder / "bounds.svg")


def _followed(trials: Any, own: Any, others: Any, control: Any) -> Any:
    logs, total, expected, mine = sequential.INITIAL, 0, 0.0, 0.0
    for n, e, m, c in zip(
        trials.tolist(), own.tolist(), others.tolist(), control.tolist(), strict=True
    ):
        share = n / (n + m)
        logs = sequential.update(logs, events=e, trials=n, control_events=c, control_trials=m)
        total, expected, mine = total + e, expected + (e + c) * share, mine + e * share
        low, high = ratios.bounds(logs, events=total, expected=expected)
        estimate = ratios.estimate(total, expected, mine)
        yield (estimate if math.isfinite(estimate) else math.nan), low, high


def knowable(folder: Path) -> None:
    """How many requests the candidate has to get before anybody can know."""
    figure, axes = _axes()
    worse = np.geomspace(1.2, 20, 60)
    for base, colour in ((0.0001, GREY), (0.001, BLUE), (0.01, ORANGE)):
        needed = [
            limits.requests_needed(math.log(100), ratio * base, base, 0.05) * 0.05
            for ratio in worse
        ]
        axes.plot(
            worse, needed, color=colour, linewidth=2, label=f"stable fails with {base * 100:g} %"
        )
    for requests, words in (
        (300, "1 request a second, 5 minutes"),
        (3_600, "1 a second, an hour"),
        (86_400, "1 a second, a day"),
    ):
        axes.axhline(requests, color="black", linewidth=0.8, linestyle=":")
        axes.text(19.5, requests * 1.1, words, ha="right", va="bottom", fontsize=9)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="how many times as many errors the bad version has",
        ylabel="requests of the candidate, at least",
        xticks=[1.2, 1.5, 2, 5, 10, 20],
        xticklabels=["x 1.2", "x 1.5", "x 2", "x 5", "x 10", "x 20"],
        ylim=(50, 1e7),
    )
    axes.minorticks_off()
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, 1.0))
    _save(figure, folder / "knowable.svg")
