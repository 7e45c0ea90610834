"""One look at the server: what is sent, and the series of every version around a window, up to
where they can be judged.

One query brings all versions, events and total together, so that they fit together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

import attrs

from progressive.adapters.http import HttpFlow, Request
from progressive.adapters.provider import versions_of
from progressive.model.measurement import Measurement, NoAnswer, NoData, Window
from progressive.model.release import Release, Version
from progressive.model.traffic import Track

from . import promql as promql
from .answers import Answer, answer_of, native, natives_of, series_of
from .births import early_zeros, goes_on, refuse_replicas, without_zeros
from .counting import MISSED, SIGHT, Line, refuse_several_writers
from .native import spread_series_of
from .promql import Regex
from .selectors import Selected
from .series import Series, Watch

__all__ = ["Asking", "Found", "Watched", "around"]

_MEMORY: Final = "1h"
"""How far back a series is looked for that seems to begin within a window, before it counts as born
in it. Longer than a target is unreachable without anybody noticing; not so long that the pods of
all the day's releases are in the answer.
"""

_DAY: Final = "24h"
"""How far back series are looked for, one by one, whose first sample would count as a whole."""

_ONE_BY_ONE: Final = 60
"""So many of these at most: a query has a length, and a server its limits."""


@attrs.frozen(kw_only=True)
class Asking:
    """One look: for whom, when (milliseconds since 1970), and what was sent for it so far."""

    release: Release
    versions: Mapping[Track, Version]
    start: int
    end: int
    scrape: int
    sent: list[str] = attrs.field(factory=list)

    @classmethod
    def of(
        cls, release: Release, tracks: Iterable[Track], window: Window, scrape: timedelta
    ) -> Asking:
        """The look at these tracks, as far as the release has a version for them."""
        versions = versions_of(release, tracks)
        start, end = promql.epoch_ms(window.start), promql.epoch_ms(window.end)
        return cls(
            release=release,
            versions=versions,
            start=start,
            end=end,
            scrape=scrape // timedelta(milliseconds=1),
        )

    def names(self, version: Version) -> Mapping[str, str]:
        """What the placeholders stand for."""
        return promql.names_of(self.release, version)

    def ask(self, query: str, at_ms: int, *, fresh: bool = False) -> HttpFlow[Answer]:
        """The answer of the server to one query at one moment.

        As a form and not in the address, which proxies cut at a few thousand characters; it writes
        nothing all the same, so it may be repeated. ``nocache``: VictoriaMetrics would otherwise
        move a query within the last 30 s (``-search.latencyOffset``) back in time without saying
        so; Prometheus doesn't know the word.

        ``fresh``: what has no sample in the last three scrape intervals is not there. A series of
        which a scrape failed half-way has no mark of its end, and would answer for five minutes;
        Prometheus knows one word for that (2.53 does, 2.42 did not yet), VictoriaMetrics the other.
        """
        time = promql.moment(at_ms)
        self.sent.append(f"{query}  # time={time}")
        words = {"query": query, "time": time, "nocache": "1"}
        if fresh:
            lookback = promql.span(MISSED * self.scrape)
            words |= {"lookback_delta": lookback, "max_lookback": lookback}
        form = urlencode(words)
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return answer_of(
            (yield Request("POST", "/api/v1/query", headers=headers, content=form.encode()))
        )


_OF_A_RESOURCE: Final = re.compile(r"\bservice[._]version\b")
_PROMOTE: Final = (
    "; a version that stands in target_info alone has to be on the series: "
    "otlp.promote_resource_attributes"
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
    """Look at the series, one query for all; one more if some of them seem to begin within the
    window.

    The last of ``selected`` is the one that is always there while a version is alive. ``also``:
    edges at which native histograms are read, too.
    """
    which, missing = _of_all(asking, selected), MISSED * asking.scrape
    # Twice: the sample that holds at the start is at most so far back, and what is older shows that
    # the job is not new. What is older still only shows how the counters are kept.
    near = asking.end - asking.start + 2 * missing
    spread, delta = selected[-1].spread, selected[-1].delta
    length = promql.span(max(near, SIGHT * asking.scrape))
    answer = yield from asking.ask(f"{which}[{length}]", asking.end)
    told = spread_series_of(answer, also=also) if spread else series_of(answer, deltas=delta)
    if not delta:
        _refuse_several_writers(asking, selected, told, asking.end - near)
    series = tuple(each.since(asking.end - near) for each in told)
    series = tuple(each.added_up() if delta else each for each in series if each.samples)
    if not delta and (suspects := early_zeros(series, asking.scrape)):
        jobs, length = _jobs(suspects), promql.span(near)
        up = (yield from _series(asking, f"{jobs}[{length}]", asking.end)) if jobs else ()
        series = without_zeros(series, suspects, up)
    watch = Watch(series=series, start=asking.start, end=asking.end, scrape=asking.scrape)
    if begun := watch.unfounded():
        # Born, or not scraped for a while? And was its job scraped before? `up` says so even if
        # there was nothing to tell yet.
        jobs, offset = _jobs(begun), promql.span(missing)
        jobs_too = f" or last_over_time({jobs}[{_MEMORY}] offset {offset})" if jobs else ""
        last = yield from asking.ask(f"last_over_time({which}[{_MEMORY}]){jobs_too}", asking.start)
        before = spread_series_of(last, like=series) if spread else series_of(last)
        watch = watch.founded(before)
        if older := " or ".join(map(_last_of_a_day, watch.whole(begun)[:_ONE_BY_ONE])):
            found = yield from asking.ask(older, asking.start)
            watch = watch.founded((*before, *series_of(found)))
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
            silent[track] = _silence(
                selected[-1].of(asking.names(asking.versions[track])), at, asking
            )
    absent = [track for track, at in newest.items() if at is None]
    if not spread:
        silent |= yield from _native(asking, selected[-1], absent)
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
    asking: Asking, selected: Selected, absent: Sequence[Track]
) -> HttpFlow[dict[Track, NoAnswer]]:
    """Those of the absent versions whose histogram is a native one: it has no count that is a
    series.
    """
    name = re.sub("_(bucket|count)$", "", selected.name)
    if not absent or name == selected.name:
        return {}
    whole = Selected(name, labels=selected.labels, version=selected.version)
    query = f"{_of_all(asking, (whole,))}[{promql.span(MISSED * asking.scrape)}]"
    found = natives_of((yield from asking.ask(query, asking.end)))
    return {
        track: NoAnswer(native(name))
        for track in absent
        if any(whole.has(each, asking.names(asking.versions[track])) for each in found)
    }


def _last_of_a_day(series: Series) -> str:
    labels = [pair for pair in series.key if pair[0] != "__name__"]
    return f"last_over_time({promql.selector([series.name], labels)}[{_DAY}])"


def _jobs(series: Iterable[Series]) -> str:
    """What selects the ``up`` of all targets of their jobs; empty if they have none."""
    jobs = sorted({each.job for each in series if each.job})
    pattern = Regex("|".join(promql.only(job) for job in jobs))
    return promql.selector(["up"], [("job", pattern)]) if jobs else ""


def _series(asking: Asking, query: str, at_ms: int) -> HttpFlow[tuple[Series, ...]]:
    return series_of((yield from asking.ask(query, at_ms)))


def _of_all(asking: Asking, selected: Sequence[Selected]) -> str:
    """The series of all versions and names, and perhaps a few more, which `Selected.has` leaves out
    again.
    """
    shared = [
        pair for pair in selected[0].labels if all(pair in other.labels for other in selected)
    ]
    for label, template in selected[0].version:
        values = sorted(
            {promql.filled(template, asking.names(version)) for version in asking.versions.values()}
        )
        shared.append(
            (
                label,
                values[0]
                if len(values) == 1
                else Regex("|".join(promql.only(value) for value in values)),
            )
        )
    return promql.selector([one.name for one in selected], sorted(shared, key=lambda pair: pair[0]))


def _silence(which: str, newest: int | None, asking: Asking) -> NoData:
    if newest is None:
        return NoData(
            f"no sample of {which}: the target is not scraped, is down, had no request yet, or has "
            f"other labels{_PROMOTE if _OF_A_RESOURCE.search(which) else ''}"
        )
    age = promql.span(asking.end - newest)
    return NoData(
        f"the last sample of {which} is {age} older than the window's end: the target is down, or "
        f"scrape={promql.span(asking.scrape)} is less than the server's scrape_interval"
    )
