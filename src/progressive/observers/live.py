"""The block of `Progress` in a terminal, drawn by rich."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from progressive.analysis.contract import Verdict
from progressive.model.units import format_duration
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout

from .lines import in_words

__all__ = ["Block"]

COLOURS: Final = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "yellow",
    Verdict.MISSING: "yellow",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NO_DATA: "dim",
    None: "dim",
}
PHASES: Final = {
    Phase.PROMOTED: "green",
    Phase.HELD: "yellow",
    Phase.ROLLING_BACK: "bold red",
    Phase.ROLLED_BACK: "red",
}
MOST: Final = 6
"""So many rollouts have a part of the block; of more, those that were heard of last."""

WIDTH: Final = 30
"""Columns of the bar of a bake."""


class Block:
    """A few lines for each rollout, redrawn twice a second; what is said stays above them."""

    def __init__(self, rollouts: Iterable[Rollout], file: TextIO) -> None:
        self._seen = {rollout.id: (rollout, time.monotonic()) for rollout in rollouts}
        self._live = Live(
            get_renderable=self._drawn,
            console=Console(file=file, highlight=False, emoji=False),
            refresh_per_second=2,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def show(self, rollout: Rollout) -> None:
        """Show a rollout from now on as it is."""
        self._seen.pop(rollout.id, None)
        self._seen = {**self._seen, rollout.id: (rollout, time.monotonic())}

    def say(self, line: str) -> None:
        """Put a line above the block."""
        self._live.console.print(line, markup=False, soft_wrap=True)

    def end(self) -> None:
        """Leave the block as it is, and give the terminal back."""
        self._live.stop()

    def _drawn(self) -> Group:
        latest = list(self._seen.values())[-MOST:]
        return Group(*(part for rollout, at in latest for part in _parts(rollout, at)))


def _parts(rollout: Rollout, seen_at: float) -> Iterator[RenderableType]:
    status, phase = rollout.status, rollout.phase
    yield Text.assemble(
        (rollout.id, "bold"),
        "  ",
        (phase.value.replace("_", " "), PHASES.get(phase, "cyan")),
        f"  step {status.position} of {status.steps}: {status.step}",
        f"  asked {status.asked}, served {status.declared or 'not known'}",
    )
    if (bar := _bar(rollout, seen_at)) is not None:
        yield bar
    checks = Table.grid(padding=(0, 2), expand=True)
    names = max([len(planned.key) for planned in rollout.plan.checks], default=0)
    checks.add_column(no_wrap=True, min_width=names + 2)
    checks.add_column(no_wrap=True, min_width=len("not looked yet"))
    checks.add_column(no_wrap=True, ratio=1)
    for planned, state in zip(rollout.plan.checks, rollout.evidence.check_states, strict=True):
        verdict = "not looked yet" if state.verdict is None else state.verdict.value
        checks.add_row(
            Text(f"  {planned.key}"),
            Text(verdict.replace("_", " "), style=COLOURS[state.verdict]),
            Text(state.why),
        )
    yield checks
    if rollout.progress.waiting is not None and not rollout.over:
        yield Text(f"  {in_words(rollout.progress.waiting)}", style="dim", overflow="ellipsis")


def _bar(rollout: Rollout, seen_at: float) -> Table | None:
    """Return how far a step is that takes its time; None where there is none."""
    span = rollout.plan.steps[rollout.progress.step].span
    if not span or rollout.phase is not Phase.PROGRESSING:
        return None
    done = max(
        rollout.clocks.watched, rollout.clocks.stepped if not _bakes(rollout) else timedelta()
    )
    if rollout.routing.verified_since is not None:
        done += timedelta(seconds=time.monotonic() - seen_at)
    done = min(done, span)
    row = Table.grid(padding=(0, 2))
    whole = span.total_seconds()
    shown = timedelta(seconds=int(done.total_seconds()))
    row.add_row(
        "",
        ProgressBar(total=whole, completed=done.total_seconds(), width=WIDTH),
        f"{format_duration(shown)} of {format_duration(span)}",
    )
    return row


def _bakes(rollout: Rollout) -> bool:
    return rollout.plan.steps[rollout.progress.step].kind == "bake"
