"""One look at the server: for whom and when, what is sent, and the series that all versions have in
one query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from urllib.parse import urlencode

import attrs

from progressive.adapters.http import HttpFlow, Request
from progressive.adapters.provider import versions_of
from progressive.model.measurement import Window
from progressive.model.release import Release, Version
from progressive.model.traffic import Track

from . import promql as promql
from .answers import Answer, answer_of
from .counting import MISSED
from .promql import Match, Regex
from .selectors import Selected

__all__ = ["Asking"]


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

    def all_of(self, selected: Sequence[Selected], at: Iterable[tuple[str, str]] = ()) -> str:
        """What selects the series of all versions and names, and perhaps a few more, which
        `Selected.has` leaves out again. ``at``: labels of one target.
        """
        first, *others = selected
        shared: dict[str, Match] = {
            label: match
            for label, match in first.labels
            if all((label, match) in other.labels for other in others)
        }
        for label, template in first.own:
            values = sorted(
                {promql.filled(template, self.names(version)) for version in self.versions.values()}
            )
            shared[label] = (
                values[0]
                if len(values) == 1
                else Regex("|".join(promql.only(value) for value in values))
            )
        shared |= dict(at)
        return promql.selector([one.name for one in selected], sorted(shared.items()))
