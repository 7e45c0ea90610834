"""The figures of rollouts as a page for Prometheus, without any dependency: `MetricsPage`.

::

    page = MetricsPage(store)
    ports = Ports(..., store=store, observers=[page])
    page.text()  # for a handler of your own, with MetricsPage.CONTENT_TYPE
    page.write("/var/lib/node_exporter/progressive.prom")  # for the textfile collector
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from threading import RLock
from typing import ClassVar

from progressive.ports import Store
from progressive.rollout.notes import Note
from progressive.rollout.state import Rollout

from .catching_up import CatchingUp
from .figures import FIGURES, Figure, Form, counted, levels, zeros
from .tally import Tally

__all__ = ["MetricsPage"]


class MetricsPage:
    """An observer that keeps a page in Prometheus' text format, of all rollouts that it was told
    of. Safe for threads.

    * ``store``: that of the rollouts, out of which it knows what others decided and what people
      submitted: every rollout counts from its beginning, so that jobs of one step each go on with
      the same counters. None if you keep rollouts yourself: then a page counts what it was told.
    """

    CONTENT_TYPE: ClassVar[str] = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, store: Store | None) -> None:
        self._known = CatchingUp(store, "MetricsPage")
        self._gauges = Tally()
        self._past = Tally()
        """What rollouts that are over have added."""
        self._counts: dict[str, Tally] = {}
        """What each of the others has added so far."""
        self._lock = RLock()

    def __call__(self, rollout: Rollout, notes: Sequence[Note]) -> None:
        """Add what a tick noted."""
        with self._lock:
            told = self._known.told(rollout, notes)
            if rollout.id not in self._counts:
                self._counts[rollout.id] = Tally(zeros(rollout))
            counts = self._counts[rollout.id]
            if told.before is None:
                counts.add(counted(rollout, told.new))
            else:
                counts.rise_to(Tally(counted(rollout, (*told.before, *told.new))))
            self._gauges.add(levels(rollout, told.new))
            if rollout.over:
                self._past.add_all(self._counts.pop(rollout.id))

    @contextmanager
    def driving(self, rollout: Rollout) -> Iterator[None]:
        """Add at the end what a person has ended meanwhile, of which no tick tells."""
        with self._known.driving(rollout) as ended:
            yield
        for stored in ended:
            self(stored, ())

    def text(self) -> str:
        """Return the page: every figure with its help and type, and its values, in a fixed order.

        UTF-8, in the text format 0.0.4, with a newline at its end.
        """
        whole = Tally()
        with self._lock:
            for tally in (self._gauges, self._past, *self._counts.values()):
                whole.add_all(tally)
        return "".join(f"{line}\n" for figure in FIGURES for line in _lines(figure, whole))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, all at once: who reads it sees the old or the new one.

        The directory must be there. Raises `OSError`.
        """
        to = Path(path)
        new = to.with_name(f".{to.name}.{os.getpid()}")
        with self._lock:
            try:
                new.write_text(self.text(), encoding="utf-8", newline="\n")
                os.replace(new, to)
            finally:
                new.unlink(missing_ok=True)


def _lines(figure: Figure, tally: Tally) -> Iterator[str]:
    name = figure.prometheus
    yield f"# HELP {name} {figure.says}"
    yield f"# TYPE {name} {figure.form.value}"
    for values, numbers in tally.of(figure):
        if figure.form is not Form.HISTOGRAM:
            yield sample_line(name, figure.labels, values, *numbers)
            continue
        *buckets, total = numbers
        bounds = [*map(repr, figure.bounds), "+Inf"]
        for bound, least in zip(bounds, accumulate(buckets), strict=True):
            labels = (*figure.labels, "le")
            yield sample_line(f"{name}_bucket", labels, (*values, bound), least)
        yield sample_line(f"{name}_sum", figure.labels, values, total)
        yield sample_line(f"{name}_count", figure.labels, values, sum(buckets))


def sample_line(name: str, labels: Sequence[str], values: Sequence[str], value: float) -> str:
    """Return the line of one value. The values of labels may be any text."""
    pairs = zip(labels, values, strict=True)
    within = ",".join(f'{label}="{_escaped(given)}"' for label, given in pairs)
    return f"{name}{{{within}}} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
