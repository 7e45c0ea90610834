"""Which series are meant: a name, labels that all versions share, and labels that tell the versions
apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from progressive.errors import StrategyError
from progressive.model import fields

from . import promql as promql
from .promql import Match, Not, Regex
from .series import Series

__all__ = ["Counter", "Selected"]


def _labels(
    value: Mapping[str, Match] | tuple[tuple[str, Match], ...],
) -> tuple[tuple[str, Match], ...]:
    return (
        tuple(sorted(value.items(), key=lambda pair: str(pair[0])))
        if isinstance(value, Mapping)
        else value
    )


def _version(
    value: str | Mapping[str, str] | tuple[tuple[str, str], ...],
) -> tuple[tuple[str, str], ...]:
    if isinstance(value, str):
        return ((value, "{backend}"),)
    return (
        tuple(sorted(value.items(), key=lambda pair: str(pair[0])))
        if isinstance(value, Mapping)
        else value
    )


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
    version: tuple[tuple[str, str], ...] = attrs.field(
        kw_only=True, converter=_version, validator=_tells_versions_apart
    )
    delta: bool = attrs.field(
        default=False, kw_only=True, validator=fields.is_a(bool, "True or False")
    )

    def __attrs_post_init__(self) -> None:
        twice = dict(self.labels).keys() & dict(self.version).keys()
        if twice:
            raise StrategyError(
                f"{type(self).__name__}({self.name}): {min(twice)!r} stands in labels= and in "
                "version=; choose one"
            )

    def of(self, names: Mapping[str, str] | None = None) -> str:
        """The series of one version in PromQL, to be read or typed; without names its placeholders
        are left as they are.
        """
        filled = [
            (label, text if names is None else promql.filled(text, names))
            for label, text in self.version
        ]
        return promql.selector(
            [self.name], sorted([*self.labels, *filled], key=lambda pair: pair[0])
        )

    @property
    def meaning(self) -> str:
        """What its numbers are, with placeholders: what they would not be added up with else."""
        return f"{self.of()}{' in deltas' if self.delta else ''}"

    def has(self, series: Series, names: Mapping[str, str]) -> bool:
        """Is a series one of those of this version?"""
        return (
            series.name == self.name
            and all(
                series.labels.get(label, "") == promql.filled(text, names)
                for label, text in self.version
            )
            and all(
                promql.matches(match, series.labels.get(label, "")) for label, match in self.labels
            )
        )


@attrs.frozen
class Counter(Selected):
    """A counter of events: ``Counter("http_requests_total", version="version", labels={"job":
    "shop"})``.

    ``version``: the label that tells the versions apart; its value is the version's ``backend``.
    Where it is more than that, a mapping of labels to texts with ``{backend}``, ``{version}`` and
    ``{service}`` in them: ``version={"pod_label": "{service}-{backend}"}``. ``labels``: what else
    the series must have, for all versions: a text, `Regex` or `Not`. Values are quoted for you.

    ``delta``: its samples are what came since the one before (delta temporality, kept raw), which
    are added up. Those of a service that exports cumulative counters would then be added up too:
    nothing but your word tells which it is.
    """

    def where(self, **labels: Match) -> Counter:
        """Those of its series with these labels too: ``requests.where(code=Regex("5.."))``."""
        return attrs.evolve(self, labels={**dict(self.labels), **labels})
