"""Which series are meant: a name, labels that all versions share, and labels that tell the versions
apart, which may be those of another series.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import attrs

from progressive.errors import StrategyError
from progressive.model import fields

from . import promql as promql
from .promql import Match, Not, Regex
from .series import Series

__all__ = ["Counter", "Joined", "Selected", "Telling"]


def _labels(
    value: Mapping[str, Match] | tuple[tuple[str, Match], ...],
) -> tuple[tuple[str, Match], ...]:
    return (
        tuple(sorted(value.items(), key=lambda pair: str(pair[0])))
        if isinstance(value, Mapping)
        else value
    )


def _by_labels(
    value: str | Mapping[str, str] | tuple[tuple[str, str], ...],
) -> tuple[tuple[str, str], ...]:
    if isinstance(value, str):
        return ((value, "{backend}"),)
    return (
        tuple(sorted(value.items(), key=lambda pair: str(pair[0])))
        if isinstance(value, Mapping)
        else value
    )


def _version(value: Telling | tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...] | Joined:
    return value if isinstance(value, Joined) else _by_labels(value)


def _is_name(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    promql.is_metric(value, fields.where(instance, attribute))


def _are_labels(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    where = fields.where(instance, attribute)
    if not isinstance(value, tuple):
        raise StrategyError(
            f"{where}: {fields.brief(value)} is no mapping of labels; write labels={{'job': "
            f"'shop'}}"
        )
    for label, match in value:
        promql.is_label(label, where)
        if not isinstance(match, str | Regex | Not):
            raise StrategyError(
                f"{where}[{label!r}]: {fields.brief(match)} is no str, Regex('5..') or Not('200')"
            )
        _is_text(match, f"{where}[{label!r}]")


def _is_text(match: Match, where: str) -> None:
    what = match.what if isinstance(match, Not) else match
    text = what.pattern if isinstance(what, Regex) else what
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise StrategyError(
            f"{where}: {text!r} has a half of a character (a surrogate), which no label can have"
        )


def _tells_versions_apart(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    where = fields.where(instance, attribute)
    if isinstance(value, Joined) and not isinstance(instance, Joined):
        return
    if not isinstance(value, tuple):
        raise StrategyError(f"{where}: {fields.brief(value)} is no label; write version='version'")
    for label, template in value:
        promql.is_label(label, where)
        _is_text(
            fields.a(str, template, f"{where}[{label!r}]", "'{{backend}}'"), f"{where}[{label!r}]"
        )
        if "{" in (rest := re.sub(r"\{(backend|version|service)\}", "", template)) or "}" in rest:
            raise StrategyError(
                f"{where}[{label!r}]: {template!r} may have {{backend}}, {{version}} and "
                "{service} in braces, nothing else"
            )
    if not any("{backend}" in template or "{version}" in template for _, template in value):
        raise StrategyError(
            f"{where}: {dict(value)!r} is the same for every version; give a label with "
            "{backend} or {version}"
        )


def _on(value: Sequence[str]) -> tuple[str, ...]:
    # What is a text is left for the validator to name: its letters are no labels.
    return value if isinstance(value, str) else tuple(value)  # type: ignore[return-value]


def _are_on(joined: Joined, attribute: attrs.Attribute[Any], value: object) -> None:
    where = fields.where(joined, attribute)
    if not isinstance(value, tuple) or not value:
        raise StrategyError(
            f"{where}: {fields.brief(value)} is no list of labels; write on=('job', 'instance')"
        )
    for label in value:
        promql.is_label(label, where)
        if label in dict(joined.labels) or value.count(label) > 1:
            raise StrategyError(
                f"{where}: {label!r} stands there twice, or is what tells the versions apart; name "
                "the labels that a counter and its info metric have in common"
            )


@attrs.frozen
class Joined:
    """The versions are told apart by labels of an info metric, and not of the series that count:
    ``version=Joined("service_version")``, for what OpenTelemetry has in ``target_info``.

    ``labels``: what ``version=`` would be, if the series had it. ``info``: the name of the metric.
    ``on``: the labels that both have, and that name a target. As ``* on (job, instance)
    group_left(service_version) target_info`` in PromQL, but sample by sample: a sample belongs to
    the version that the info metric showed for its target then, so a host may go from one to the
    next. What nobody's info speaks for is counted for none.

    Give the counter ``labels`` that select the service. Those which stand in ``on`` too select from
    the info metric as well. It has to be scraped as often as what counts, or ``scrape`` has to be
    the longer interval of both. A label on the series itself is better, where one can have it.
    """

    labels: tuple[tuple[str, str], ...] = attrs.field(
        converter=_by_labels, validator=_tells_versions_apart
    )
    info: str = attrs.field(default="target_info", kw_only=True, validator=_is_name)
    on: tuple[str, ...] = attrs.field(
        default=("job", "instance"), kw_only=True, converter=_on, validator=_are_on
    )

    def column(self, label: str) -> str:
        """Under which name a label of the info metric is put on what it speaks for; none that the
        series has itself.
        """
        return f"{label} of {self.info}"


Telling: TypeAlias = str | Mapping[str, str] | Joined
"""What tells the versions apart: a label; labels with texts that have placeholders; a join."""


@attrs.frozen
class Selected:
    """The series of one name: with these labels for all versions, and others that tell the versions
    apart. ``spread``: whether these may be native histograms. ``delta``: whether each sample is
    what came since the one before.
    """

    spread: ClassVar[bool] = False

    name: str = attrs.field(validator=_is_name)
    labels: tuple[tuple[str, Match], ...] = attrs.field(
        default=(), kw_only=True, converter=_labels, validator=_are_labels
    )
    version: tuple[tuple[str, str], ...] | Joined = attrs.field(
        kw_only=True, converter=_version, validator=_tells_versions_apart
    )
    delta: bool = attrs.field(
        default=False, kw_only=True, validator=fields.is_a(bool, "True or False")
    )

    def __attrs_post_init__(self) -> None:
        twice = dict(self.labels).keys() & dict(self.own).keys()
        if twice:
            raise StrategyError(
                f"{type(self).__name__}({self.name}): {min(twice)!r} stands in labels= and in "
                "version=; choose one"
            )

    @property
    def own(self) -> tuple[tuple[str, str], ...]:
        """What tells the versions apart on the series themselves."""
        return () if isinstance(self.version, Joined) else self.version

    @property
    def told(self) -> tuple[tuple[str, str], ...]:
        """What tells the versions apart, with a join as what it puts on the series."""
        if isinstance(self.version, Joined):
            return tuple((self.version.column(label), text) for label, text in self.version.labels)
        return self.version

    def of(self, names: Mapping[str, str] | None = None) -> str:
        """The series of one version in PromQL, to be read or typed; without names its placeholders
        are left as they are.
        """

        def filled(labels: tuple[tuple[str, str], ...]) -> list[tuple[str, Match]]:
            return [
                (at, text if names is None else promql.filled(text, names)) for at, text in labels
            ]

        mine = promql.selector(
            [self.name], sorted([*self.labels, *filled(self.own)], key=lambda pair: pair[0])
        )
        if not isinstance(self.version, Joined):
            return mine
        info = promql.selector([self.version.info], filled(self.version.labels))
        return f"{mine} and on ({', '.join(self.version.on)}) {info}"

    @property
    def meaning(self) -> str:
        """What its numbers are, with placeholders: what they would not be added up with else."""
        return f"{self.of()}{' in deltas' if self.delta else ''}"

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Is a series with these labels one of those of any version?"""
        return labels.get("__name__") == self.name and all(
            promql.matches(match, labels.get(label, "")) for label, match in self.labels
        )

    def has(self, series: Series, names: Mapping[str, str]) -> bool:
        """Is a series one of those of this version?"""
        return self.selects(series.labels) and all(
            series.labels.get(label, "") == promql.filled(text, names) for label, text in self.told
        )


@attrs.frozen
class Counter(Selected):
    """A counter of events: ``Counter("http_requests_total", version="version", labels={"job":
    "shop"})``.

    ``version``: the label that tells the versions apart; its value is the version's ``backend``.
    Where it is more than that, a mapping of labels to texts with ``{backend}``, ``{version}`` and
    ``{service}`` in them: ``version={"pod_label": "{service}-{backend}"}``; where it stands on
    another series, `Joined`. ``labels``: what else the series must have, for all versions: a text,
    `Regex` or `Not`. Values are quoted for you.

    ``delta``: its samples are what came since the one before (delta temporality, kept raw), which
    are added up. Those of a service that exports cumulative counters would then be added up too:
    nothing but your word tells which it is.
    """

    def where(self, **labels: Match) -> Counter:
        """Those of its series with these labels too: ``requests.where(code=Regex("5.."))``."""
        return attrs.evolve(self, labels={**dict(self.labels), **labels})
