"""Pair the series of both sides by name and tags, as Kayenta does before it judges."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import attrs

from progressive.errors import StrategyError
from progressive.model import fields

__all__ = ["Pair", "Series", "Tags", "back_fill", "mix"]

Tags = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""


def _tags(value: Mapping[str, str] | Tags) -> Tags:
    return tuple(sorted(value.items() if isinstance(value, Mapping) else value))


def floats(values: Iterable[float]) -> tuple[float, ...]:
    """A converter: several numbers as floats; NaN is a point that is missing."""
    return tuple(float(value) for value in values)


@attrs.frozen(kw_only=True)
class Series:
    """One series of one side, in the order of time; NaN where a point is missing.

    ``expected`` is how many points there should be: the time judged over the step. Where there are
    fewer, `mix` adds NaN at the end.
    """

    name: str
    values: tuple[float, ...] = attrs.field(default=(), converter=floats)
    tags: Tags = attrs.field(default=(), converter=_tags)
    expected: int = attrs.field(default=0, validator=fields.at_least(0))


@attrs.frozen(kw_only=True)
class Pair:
    """One series of both sides: its points on the control and on the experiment."""

    name: str
    tags: Tags = attrs.field(default=(), converter=_tags)
    control: tuple[float, ...] = attrs.field(converter=floats)
    experiment: tuple[float, ...] = attrs.field(converter=floats)


def back_fill(values: Sequence[float], expected: int) -> tuple[float, ...]:
    """Append NaN up to ``expected`` points: where a series has ended, its points are missing."""
    return (*floats(values), *([math.nan] * (expected - len(values))))


def mix(
    names: Iterable[str], control: Sequence[Series], experiment: Sequence[Series]
) -> tuple[Pair, ...]:
    """Pair the series of these metrics, tag set by tag set, in the order of ``names``.

    A tag set that only one side has gets a twin without any value (all NaN where its length is
    known). Where one side alone has a series without tags, that series is the metrics system's
    placeholder for "nothing found", and what is in it is left out.

    Raises `StrategyError`, naming every problem: a metric that one side lacks altogether, tags of
    other names on the two sides, one tag set twice on a side.
    """
    problems: list[str] = []
    pairs: list[Pair] = []
    for name in names:
        sides = {
            side: [each for each in found if each.name == name]
            for side, found in (("control", control), ("experiment", experiment))
        }
        wrong = list(_problems(name, sides))
        problems += wrong
        if not wrong:
            pairs += _pairs(sides["control"], sides["experiment"])
    problems += [
        f"a series has no name: {each!r}" for each in (*control, *experiment) if not each.name
    ]
    if problems:
        raise StrategyError(problems)
    return tuple(pairs)


def mix_one(control: Series, experiment: Series) -> Pair:
    """Pair one series of each side. Raises `StrategyError` unless names and tags are the same."""
    problems = [
        f"the {side} series has no name"
        for side, each in (("control", control), ("experiment", experiment))
        if not each.name
    ]
    for what in ("name", "tags"):
        one, other = getattr(control, what), getattr(experiment, what)
        if one != other:
            problems.append(
                f"the {what} {one!r} of control does not match the {what} {other!r} of experiment"
            )
    if problems:
        raise StrategyError(problems)
    return Pair(
        name=control.name,
        tags=control.tags,
        control=back_fill(control.values, control.expected),
        experiment=back_fill(experiment.values, experiment.expected),
    )


def _problems(name: str, sides: dict[str, list[Series]]) -> Iterable[str]:
    for side, found in sides.items():
        if not found:
            yield f"{name}: no {side} metrics found; add Series(name={name!r}) where there are none"
        for tags in {each.tags: None for each in found}:
            if len([each for each in found if each.tags == tags]) > 1:
                yield f"{name}: {side} has the tags {dict(tags)!r} twice"
    keys = {
        side: sorted({key for each in found for key, _ in each.tags})
        for side, found in sides.items()
    }
    if keys["control"] and keys["experiment"] and keys["control"] != keys["experiment"]:
        yield (
            f"{name}: the tags of control are called {keys['control']!r} and those of "
            f"experiment {keys['experiment']!r}"
        )


def _pairs(control: list[Series], experiment: list[Series]) -> Iterable[Pair]:
    untagged = [any(not each.tags for each in side) for side in (control, experiment)]
    if untagged == [True, False]:
        every = experiment
    elif untagged == [False, True]:
        every = control
    else:
        every = [*control, *experiment]
    for tags in {each.tags: None for each in every}:
        yield mix_one(_with_tags(tags, control), _with_tags(tags, experiment))


def _with_tags(tags: Tags, side: list[Series]) -> Series:
    """Return the series with these tags, or an empty one as long as the side's first should be."""
    return next(
        (each for each in side if each.tags == tags),
        Series(name=side[0].name, tags=tags, expected=side[0].expected),
    )
