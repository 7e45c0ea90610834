"""Which version a target had at which time, by the raw samples of an info metric; and series that
are split by that, so that each part has its version as a label, and is counted like any other.

A join in PromQL is made at one moment and looks five minutes back: where a host goes from one
version to the next, both are there for that long, and each gets what the other one did. Here each
sample of a counter is joined by its own time:

* It belongs to a version that the info metric shows for its target at that time, or both before and
  after it, one of them within three scrape intervals.
* Between the last sample of one version and the first one of the next it belongs to nobody, nor
  before the first of all. A process does not change its version, so the next one began with 0, and
  what it shows first counts.
* Where no info has come yet since the last few samples, the look ends before these.
* Where none speaks for a sample of the window at all, there is no answer; nor where a target goes
  back to the version before within three scrape intervals, or shows two at once: then two processes
  write as one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from progressive.adapters.http import HttpFlow, get_path

from . import promql as promql
from .answers import Answer, labels_of, moment_of, series_of
from .asking import Asking
from .counting import MISSED, SIGHT, Misread, Unusable
from .selectors import Joined, Selected
from .series import Series

__all__ = ["HOUR", "Infos", "Says", "Target", "infos_of", "named", "says_of", "target_of"]

HOUR: Final = 3_600_000
"""Milliseconds before a window in which it is known what a target was."""

_ENDED: Final = "NaN"
"""What VictoriaMetrics shows where a series ended."""

_NAMED: Final = 5
"""So many versions are named in a message."""

Target: TypeAlias = tuple[tuple[str, str], ...]
"""The labels that a counter and its info metric have in common."""

Says: TypeAlias = tuple[str, ...]
"""The values of the labels that tell the versions apart; empty where two are shown at once."""


def infos_of(asking: Asking, joined: Joined, selected: Sequence[Selected]) -> HttpFlow[Infos]:
    """Ask for the samples of the info metric: the one request that a join costs.

    After the counters, so that what was stored with them is there too.
    """
    shared = [
        pair
        for pair in selected[0].labels
        if pair[0] in joined.on and all(pair in other.labels for other in selected)
    ]
    length = max(HOUR + asking.end - asking.start, SIGHT * asking.scrape)
    query = f"{promql.selector([joined.info], shared)}[{promql.span(length)}]"
    shown: dict[Target, dict[int, set[Says]]] = {}
    for each in series_of((yield from asking.ask(query, asking.end))):
        says = says_of(joined, each.labels)
        target = target_of(joined, each.labels)
        for moment, there in each.samples:
            if there and any(value for _, value in target):
                shown.setdefault(target, {}).setdefault(moment, set()).add(says)
    return Infos(
        joined=joined,
        shown={
            target: tuple(
                (at, next(iter(said)) if len(said) == 1 else ())
                for at, said in sorted(moments.items())
            )
            for target, moments in shown.items()
        },
        wanted=frozenset(
            _wanted(joined, asking.names(version)) for version in asking.versions.values()
        ),
        start=asking.start,
        end=asking.end,
        reach=MISSED * asking.scrape,
    )


def target_of(joined: Joined, labels: Mapping[str, str]) -> Target:
    """What is joined of a series with these labels."""
    return tuple((label, labels.get(label, "")) for label in joined.on)


def says_of(joined: Joined, labels: Mapping[str, str]) -> Says:
    """Which version an info metric with these labels shows."""
    return tuple(labels.get(label, "") for label, _ in joined.labels)


def _wanted(joined: Joined, names: Mapping[str, str]) -> Says:
    return tuple(promql.filled(text, names) for _, text in joined.labels)


@attrs.frozen(kw_only=True)
class Infos:
    """What an info metric shows of each target, around one window. Times are milliseconds since
    1970. ``wanted``: the versions that are asked for. ``reach``: how near it must be to a sample.
    """

    joined: Joined
    shown: Mapping[Target, tuple[tuple[int, Says], ...]]
    wanted: frozenset[Says]
    start: int
    end: int
    reach: int

    # ---------------------------------------------------------------------------------- splitting

    def split(self, answer: Answer, selected: Sequence[Selected]) -> tuple[Answer, int]:
        """Raw series with their versions as labels, and until when they are known. Raises
        `Unusable` if nobody can say whose they are.
        """
        found: list[tuple[Target, dict[str, Any]]] = []
        moments: dict[Target, set[int]] = {}
        for each in answer.result:
            labels = labels_of(get_path(each, "", dict))
            target = target_of(self.joined, labels)
            if any(one.selects(labels) for one in selected) and self._may_be(target):
                found.append((target, each))
                moments.setdefault(target, set()).update(at for _, at, _ in _samples(each))
        for target in moments:
            self._refuse_two(target)
        end = min((self._until(*each) for each in moments.items()), default=self.end)
        owners = {
            target: {at: self._owner(target, at) for at in sorted(times) if at <= end}
            for target, times in moments.items()
        }
        parts = [part for target, each in found for part in self._parts(each, owners[target])]
        return attrs.evolve(answer, result=parts), end

    def _may_be(self, target: Target) -> bool:
        """May it be of a version that is asked for? Not if it is only known as others."""
        known = {says for _, says in self.shown.get(target, ()) if says}
        return not known or not known.isdisjoint(self.wanted)

    def _parts(
        self, found: dict[str, Any], owners: Mapping[int, Says | None]
    ) -> Iterator[dict[str, Any]]:
        parts: dict[Says, dict[str, Any]] = {}
        for key, at, sample in _samples(found):
            if says := owners.get(at):
                part = parts.setdefault(says, {"metric": self.labelled(found["metric"], says)})
                part.setdefault(key, []).append(sample)
        yield from parts.values()

    def labelled(self, labels: Mapping[str, str], says: Says) -> dict[str, str]:
        """The labels of a series of this version."""
        columns = (self.joined.column(label) for label, _ in self.joined.labels)
        return {**labels, **dict(zip(columns, says, strict=True))}

    def _owner(self, target: Target, moment: int) -> Says | None:
        shown = self.shown.get(target, ())
        place = bisect_left(shown, moment, key=lambda info: info[0])
        if place < len(shown) and shown[place][0] == moment:
            return shown[place][1]
        beside = shown[max(place - 1, 0) : place + 1]
        if any(abs(at - moment) <= self.reach for at, _ in beside):
            said = {says for _, says in beside}
            return said.pop() if len(beside) == 2 and len(said) == 1 else None
        if moment > self.start:
            raise Unusable(self._dark(target))
        return None

    def _until(self, target: Target, moments: Iterable[int]) -> int:
        """Until when it may be judged: up to samples for which the info may not have come yet."""
        known = [at for at, _ in self.shown.get(target, ())]
        since = known[-1] if known else min(moments)
        tail = [at for at in moments if not known or at > since]
        if not tail or max(tail) <= self.start:
            return self.end
        if max(tail) <= self.end - self.reach or max(tail) - since > self.reach:
            return self.end  # nothing will come any more: the target is gone, or the info is
        if min(tail) - 1 <= self.start:
            raise Unusable(f"{self._dark(target)}; it may come late: looks count again with it")
        return min(tail) - 1

    def _refuse_two(self, target: Target) -> None:
        """Raise `Misread` if a target has two versions at once, or in turn, around the window."""
        seen: dict[Says, int] = {}
        last: Says | None = None
        for at, says in self.shown.get(target, ()):
            back = says != last and at - seen.get(says, at - self.reach - 1) <= self.reach
            if at > self.start - self.reach and (back or not says):
                raise Misread(
                    f"{self.joined.info} shows two versions of {named(target)} "
                    f"{'in turn' if says else 'at once'}: two processes write as one target, so "
                    "nobody can say whose counters these are; give each a target of its own "
                    "(service.instance.id)"
                )
            seen[says], last = at, says

    def _dark(self, target: Target) -> str:
        return (
            f"there are counters of {named(target)}, for which {self.joined.info} has no sample "
            f"within {promql.span(self.reach)}, so nobody can say whose they are; export it with "
            "them, select those which have it with labels=, or let scrape= be the longer interval "
            "of both"
        )

    # ------------------------------------------------------------------------------ what was before

    def versions(self, since: int, until: int) -> dict[Target, set[Says]]:
        """What the info metric showed of each target in this time."""
        return {
            target: {says for at, says in shown if since <= at <= until}
            for target, shown in self.shown.items()
        }

    def switched(self, series: Series) -> int | None:
        """Since when the target of a series has had its version, if it was seen to have another one
        before: then its process began with 0.
        """
        first, says = series.samples[0][0], self._says(series)
        shown = [
            info for info in self.shown[target_of(self.joined, series.labels)] if info[0] <= first
        ]
        others = [at for at, said in shown if said != says]
        return next((at for at, _ in shown if at > others[-1]), first) if others else None

    def runs(self, begun: Iterable[Series], seen: int) -> dict[Target, tuple[int, Says]]:
        """Of the targets of these series, those which went to another version before ``seen``: when
        and to which, so that what they showed from then on is of that one.
        """
        found = ((each, self.switched(each)) for each in begun)
        return {
            target_of(self.joined, each.labels): (since, self._says(each))
            for each, since in found
            if since is not None and since < seen
        }

    def unlabelled(self, series: Series) -> dict[str, str]:
        """The labels that a series has at the server."""
        columns = {self.joined.column(label) for label, _ in self.joined.labels}
        return {label: value for label, value in series.labels.items() if label not in columns}

    def _says(self, series: Series) -> Says:
        return tuple(series.labels[self.joined.column(label)] for label, _ in self.joined.labels)

    # -------------------------------------------------------------------------------------- silence

    def had(self, labels: Mapping[str, str], names: Mapping[str, str]) -> bool:
        """Did the target of a series have this version?"""
        shown = self.shown.get(target_of(self.joined, labels), ())
        return any(says == _wanted(self.joined, names) for _, says in shown)

    def hint(self, names: Mapping[str, str]) -> str:
        """What the info metric shows of a version that has no counters."""
        info, wanted = self.joined.info, _wanted(self.joined, names)
        of = [target for target, shown in self.shown.items() if wanted in dict(shown).values()]
        if of:
            return f"; {info} has this version of {named(min(of))}, which shows no such counter"
        said = sorted({", ".join(says) for shown in self.shown.values() for _, says in shown})
        if said:
            return f"; {info} shows {', '.join(map(repr, said[:_NAMED]))}, and not this version"
        return f"; {info} shows nothing in the last hour"


def _samples(found: Mapping[str, Any]) -> Iterator[tuple[str, int, object]]:
    """The samples of a series, with where they stand and when; without marks of its end."""
    for key in ("values", "histograms"):
        for sample in get_path(found, key, list) if key in found else ():
            at, shown = moment_of(sample)
            if shown != _ENDED:
                yield key, at, sample


def named(target: Target) -> str:
    """A target in messages."""
    return ", ".join(f"{label}={promql.quoted(value)}" for label, value in target)
