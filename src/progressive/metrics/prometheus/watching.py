"""The series of every version around the window of a look, up to where they can be judged.

One query brings all versions, events and total together, so that they fit together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from progressive.adapters.http import HttpFlow
from progressive.model.measurement import Measurement, NoAnswer, NoData
from progressive.model.traffic import Track

from . import promql as promql
from .answers import native, natives_of, series_of
from .asking import Asking
from .births import early_zeros, goes_on, refuse_replicas, without_zeros
from .counting import MISSED, SIGHT, Line, refuse_several_writers
from .infos import Infos, infos_of
from .memory import founded, jobs_of
from .native import spread_series_of
from .selectors import Joined, Selected
from .series import Series, Watch

__all__ = ["Found", "Watched", "around"]

_OF_A_RESOURCE: Final = re.compile(r"\bservice[._]version\b")
_PROMOTE: Final = (
    "; a version that stands in target_info alone has to be on the series "
    "(otlp.promote_resource_attributes), or joined: version=Joined('service_version')"
)


@attrs.frozen(kw_only=True)
class Found:
    """What a look found, and until when it covers its window."""

    measured: Mapping[Track, Measurement]
    end: int


@attrs.frozen(kw_only=True)
class Watched:
    """The series of every version, those of the first thing selected, of the second, and so on; and
    the end of what is judged.

    ``silent``: versions of which there is nothing to judge, with why.
    """

    watch: Watch
    mine: Mapping[Track, Sequence[Sequence[Series]]]
    end: int
    silent: Mapping[Track, NoData | NoAnswer]

    def rise(self, line: Line) -> tuple[int, ...] | None:
        """What came in this window, as far as it is judged."""
        return line.rise(self.watch.start, self.end)

    def idle(self, lines: Iterable[Line]) -> NoData:
        """Why nothing rose, though there are samples."""
        if any(line.base is None and self.rise(line) is not None for line in lines):
            return NoData(
                "first seen in this window with its whole job, so nobody knows what it showed "
                "before; the next look counts"
            )
        return NoData("no requests")


def around(
    asking: Asking, selected: Sequence[Selected], *, also: Iterable[float] = ()
) -> HttpFlow[Watched]:
    """Look at the series, one query for all, and one for the info metric of a join; one more if
    some of them seem to begin within the window.

    The last of ``selected`` is the one that is always there while a version is alive. ``also``:
    edges at which native histograms are read, too.
    """
    which, missing = asking.all_of(selected), MISSED * asking.scrape
    # Twice: the sample that holds at the start is at most so far back, and what is older shows that
    # the job is not new. What is older still only shows how the counters are kept.
    since = asking.start - 2 * missing
    spread, delta, told_by = selected[-1].spread, selected[-1].delta, selected[-1].version
    length = promql.span(max(asking.end - since, SIGHT * asking.scrape))
    answer, infos = (yield from asking.ask(f"{which}[{length}]", asking.end)), None
    if isinstance(told_by, Joined):
        infos = yield from infos_of(asking, told_by, selected)
        answer, end = infos.split(answer, selected)
        asking = attrs.evolve(asking, end=end)
    told = spread_series_of(answer, also=also) if spread else series_of(answer, deltas=delta)
    if not delta:
        _refuse_several_writers(asking, selected, told, since)
    series = tuple(each.since(since) for each in told)
    series = tuple(each.added_up() if delta else each for each in series if each.samples)
    if not delta and (suspects := early_zeros(series, asking.scrape)):
        jobs, length = jobs_of(suspects), promql.span(asking.end - since)
        up = (yield from _series(asking, f"{jobs}[{length}]", asking.end)) if jobs else ()
        series = without_zeros(series, suspects, up)
    watch = Watch(series=series, start=asking.start, end=asking.end, scrape=asking.scrape)
    watch = yield from founded(asking, selected, watch, infos)
    mine = {}
    for track, version in asking.versions.items():
        mine[track], watch = _of_one(selected, asking.names(version), watch)
    # A version that fell silent within the window is judged up to its last scrape, and with it all
    # others: what it told before it died counts, what it did not tell any more is not taken for
    # silence. The next look begins there.
    newest = {track: watch.newest(series[-1]) for track, series in mine.items()}
    ends = [at for at in newest.values() if at is not None and watch.stale(at) and at > watch.start]
    silent: dict[Track, NoData | NoAnswer] = {}
    for track, at in newest.items():
        if at is None or (watch.stale(at) and at <= watch.start):
            silent[track] = _silence(selected[-1], track, at, asking, infos)
    absent = [track for track, at in newest.items() if at is None]
    if not spread:
        silent |= yield from _native(asking, selected[-1], absent, infos)
    return Watched(watch=watch, mine=mine, end=min(ends, default=watch.end), silent=silent)


def _refuse_several_writers(
    asking: Asking, selected: Sequence[Selected], told: Iterable[Series], since: int
) -> None:
    """Raise `Misread` if one of the counters that are asked for is none."""
    names = [asking.names(version) for version in asking.versions.values()]
    for each in told:
        if any(one.has(each, of) for one in selected for of in names):
            refuse_several_writers(each.name, each.rows, asking.scrape, since, start=asking.start)


def _of_one(
    selected: Sequence[Selected], names: Mapping[str, str], watch: Watch
) -> tuple[list[list[Series]], Watch]:
    """The series of one version, for each of what is selected; and what is known of those that go
    on under other labels. Raises `Misread` where one is told twice.
    """
    chosen = {each.key: tuple(one.has(each, names) for one in selected) for each in watch.series}
    every = [each for each in watch.series if any(chosen[each.key])]
    refuse_replicas(every)
    pairs = goes_on(every, watch.start, watch.scrape, kind=lambda each: chosen[each.key])
    mine = [[each for each in every if chosen[each.key][i]] for i in range(len(selected))]
    return mine, watch.going_on(pairs)


def _native(
    asking: Asking, selected: Selected, absent: Sequence[Track], infos: Infos | None
) -> HttpFlow[dict[Track, NoAnswer]]:
    """Those of the absent versions whose histogram is a native one: it has no count that is a
    series.
    """
    name = re.sub("_(bucket|count)$", "", selected.name)
    if not absent or name == selected.name:
        return {}
    whole = Selected(name, labels=selected.labels, version=selected.version)
    query = f"{asking.all_of((whole,))}[{promql.span(MISSED * asking.scrape)}]"
    found = natives_of((yield from asking.ask(query, asking.end)))
    names = {track: asking.names(asking.versions[track]) for track in absent}
    return {
        track: NoAnswer(native(name))
        for track in absent
        if any(
            whole.has(each, names[track]) if infos is None else infos.had(each.labels, names[track])
            for each in found
        )
    }


def _series(asking: Asking, query: str, at_ms: int) -> HttpFlow[tuple[Series, ...]]:
    return series_of((yield from asking.ask(query, at_ms)))


def _silence(
    selected: Selected, track: Track, newest: int | None, asking: Asking, infos: Infos | None
) -> NoData:
    names = asking.names(asking.versions[track])
    which = selected.of(names)
    if newest is None:
        more = _PROMOTE if _OF_A_RESOURCE.search(which) else ""
        return NoData(
            f"no sample of {which}: the target is not scraped, is down, had no request yet, or has "
            f"other labels{more if infos is None else infos.hint(names)}"
        )
    age = promql.span(asking.end - newest)
    return NoData(
        f"the last sample of {which} is {age} older than the window's end: the target is down, or "
        f"scrape={promql.span(asking.scrape)} is less than the server's scrape_interval"
    )
