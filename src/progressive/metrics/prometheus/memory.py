"""What series that seem to begin within a window showed before it: nothing, if they were born in
it, or else what they count on from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import attrs

from progressive.adapters.http import HttpFlow, get_path

from . import promql as promql
from .answers import Answer, labels_of, series_of
from .asking import Asking
from .counting import MISSED, Unusable
from .infos import HOUR, Infos, Says, Target, named, says_of, target_of
from .native import spread_series_of
from .promql import Regex
from .selectors import Selected
from .series import Series, Watch

__all__ = ["founded", "jobs_of"]

_MEMORY: Final = "1h"
"""How far back a series is looked for that seems to begin within a window, before it counts as born
in it. Longer than a target is unreachable without anybody noticing; not so long that the pods of
all the day's releases are in the answer.
"""

_DAY: Final = "24h"
"""How far back series are looked for, one by one, whose first sample would count as a whole."""

_ONE_BY_ONE: Final = 60
"""So many of these at most: a query has a length, and a server its limits."""


def founded(
    asking: Asking, selected: Sequence[Selected], watch: Watch, infos: Infos | None
) -> HttpFlow[Watch]:
    """The same with what is known of the time before, asked for if any of its series seem to begin
    in the window.

    Born, or not scraped for a while? And was its job scraped before? ``up`` says so even if there
    was nothing to tell yet.
    """
    begun = watch.unfounded()
    if not begun:
        return watch
    jobs, offset = jobs_of(begun), promql.span(MISSED * asking.scrape)
    jobs_too = f" or last_over_time({jobs}[{_MEMORY}] offset {offset})" if jobs else ""
    query = f"last_over_time({asking.all_of(selected)}[{_MEMORY}]){jobs_too}"
    last = yield from asking.ask(query, asking.start)
    if infos is None:
        before = _series(last, selected, watch)
    else:
        said = infos.versions(asking.start - HOUR, asking.start)
        before = _series(_joined(last, selected, infos, said), selected, watch)
        before += yield from _since_they_switched(asking, selected, watch, infos)
    watch = watch.founded(before)
    whole = [each for each in watch.whole(begun) if infos is None or infos.switched(each) is None]
    if whole:
        older = yield from _of_a_day(asking, selected, whole[:_ONE_BY_ONE], infos)
        watch = watch.founded((*before, *older))
    return watch


def _since_they_switched(
    asking: Asking, selected: Sequence[Selected], watch: Watch, infos: Infos
) -> HttpFlow[tuple[Series, ...]]:
    """What series showed since their target went to the version that it has, where that was before
    all that is in sight: their last value alone does not say of which version it is.
    """
    runs = infos.runs(watch.unfounded(), asking.start - 2 * MISSED * asking.scrape)
    if not runs:
        return ()
    terms = [
        f"last_over_time({asking.all_of(selected, target)}[{promql.span(asking.start - since)}])"
        for target, (since, _) in runs.items()
    ]
    last = yield from asking.ask(" or ".join(terms), asking.start)
    said = {target: [says] for target, (_, says) in runs.items()}
    return _series(_joined(last, selected, infos, said), selected, watch)


def _of_a_day(
    asking: Asking, selected: Sequence[Selected], whole: Sequence[Series], infos: Infos | None
) -> HttpFlow[tuple[Series, ...]]:
    """What these showed last within a day. Raises `Unusable` where a target had several versions in
    that time, as nobody knows when a series ended.
    """
    if infos is None:
        terms = [_last(each.labels) for each in whole]
        return series_of((yield from asking.ask(" or ".join(terms), asking.start)))
    info, joined = infos.joined.info, infos.joined
    targets = dict.fromkeys(target_of(joined, each.labels) for each in whole)
    terms = [_last(infos.unlabelled(each)) for each in whole]
    terms += [_last({"__name__": info, **dict(target)}) for target in targets]
    last = yield from asking.ask(" or ".join(terms), asking.start)
    said: dict[Target, set[Says]] = {}
    found = series_of(last)
    for each in (each for each in found if each.name == info):
        said.setdefault(target_of(joined, each.labels), set()).add(says_of(joined, each.labels))
    for each in (each for each in found if each.name != info):
        if len(said.get(target := target_of(joined, each.labels), ())) > 1:
            raise Unusable(
                f"{each.name} of {named(target)} was away for over an hour, and {info} had several "
                "versions there in the last day, so nobody can say from where it counts on; the "
                "next look counts"
            )
    # The info metric tells of which version they were, and not since when its job was scraped.
    older = series_of(_joined(last, selected, infos, said))
    return tuple(each for each in older if each.name != info)


def _joined(
    answer: Answer,
    selected: Sequence[Selected],
    infos: Infos,
    said: Mapping[Target, Collection[Says]],
) -> Answer:
    """One value of each series, with the version as a label where its target had only one."""

    def labelled(labels: dict[str, str]) -> dict[str, str]:
        says = said.get(target_of(infos.joined, labels), ())
        wanted = len(says) == 1 and all(says) and any(one.selects(labels) for one in selected)
        return infos.labelled(labels, *says) if wanted else labels

    found = [get_path(each, "", dict) for each in answer.result]
    result = [{**each, "metric": labelled(labels_of(each))} for each in found]
    return attrs.evolve(answer, result=result)


def _series(answer: Answer, selected: Sequence[Selected], watch: Watch) -> tuple[Series, ...]:
    return spread_series_of(answer, like=watch.series) if selected[-1].spread else series_of(answer)


def _last(labels: Mapping[str, str]) -> str:
    rest = [pair for pair in sorted(labels.items()) if pair[0] != "__name__"]
    return f"last_over_time({promql.selector([labels['__name__']], rest)}[{_DAY}])"


def jobs_of(series: Iterable[Series]) -> str:
    """What selects the ``up`` of all targets of their jobs; empty if they have none."""
    jobs = sorted({each.job for each in series if each.job})
    pattern = Regex("|".join(promql.only(job) for job in jobs))
    return promql.selector(["up"], [("job", pattern)]) if jobs else ""
