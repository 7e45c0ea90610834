"""Rows of numbers as a measurement, by the kind of the metric: what is missing is no data, what
makes no sense is no answer.

A ratio is one row of events and trials. A mean is one row of n, the sum and the sum of squares:
every database has these three, they are the same in each (there are two variances, and SQLite has
neither), and the sums are taken apart here without rounding. A value is one number, or a row for
each of its samples in the order of time; or two, with n before it, the number of things that it is
made of, since some databases answer 0 for the largest of nothing.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeAlias

from progressive.model.measurement import (
    Counts,
    Gauge,
    Kind,
    Measurement,
    Moments,
    NoAnswer,
    NoData,
)

__all__ = ["COLUMNS", "MOST_SAMPLES", "Number", "measurement"]

Number: TypeAlias = int | float | Decimal | Fraction

COLUMNS: Final = {
    Kind.RATIO: ("events", "trials"),
    Kind.MEAN: ("n", "sum", "squares"),
    Kind.VALUE: ("value",),
}
"""What one row says. A latency has no row: it is a histogram."""

_COUNTED: Final = ("n", "value")
"""A value with the number of things that it is made of."""

MOST_SAMPLES: Final = 256
"""Samples of a value in one window. They are kept in notes and, while a check waits for more, in
the rollout itself; one every few seconds of the longest usual window is less than that.
"""

_LARGEST: Final = 2**63 - 1
"""The largest count of a database. Beyond it there are only mistakes, and numbers that no float can
hold.
"""

_WRAPPING: Final = 2**62
"""Sums of integers from here on may have wrapped: half of what 64 bits hold, which the true sum may
have left more than once.
"""

_EXACT: Final = -5000
"""Decimals with more places than this are rounded: nobody has them, and as a fraction they would
fill the memory.
"""

_LARGE: Final = "larger than any number that can be judged"

_ROUNDING: Final = Fraction(1, 10**9)
"""How far a sum of squares may fall short of what its numbers have at least, as a part of it: a
database that sums a million doubles is off by 1e-10.
"""

_LONGEST_TEXT: Final = 20
"""Characters of a text that a message shows where a number should be: enough for any number, too
few for a page or a key.
"""


class _Missing(Exception):
    """There is nothing; says why."""


class _Senseless(Exception):
    """It is no number of this kind; says why and what to do."""


def measurement(
    kind: Kind,
    rows: Sequence[Sequence[object]],
    names: Sequence[str] | None = None,
    *,
    wraps: bool = False,
) -> Measurement:
    """What these rows say of a metric of this kind (a ratio, a mean or a value). Never raises.

    ``names``: how the numbers of a row are called in messages; by default as in `COLUMNS`. NULL,
    NaN and infinity are `NoData`. ``wraps``: they come from a system whose sums of integers may
    begin again at the other end of 64 bits, so that large ones are `NoAnswer`.
    """
    shown = COLUMNS[kind] if names is None else names
    try:
        if wraps and kind is Kind.MEAN:
            _refuse_wrapped(_only(rows, shown, kind), shown)
        return _MAKERS[kind](rows, shown)
    except _Missing as missing:
        return NoData(str(missing))
    except _Senseless as senseless:
        return NoAnswer(str(senseless))


# --------------------------------------------------------------------------------- the three shapes


def _ratio(rows: Sequence[Sequence[object]], names: Sequence[str]) -> Measurement:
    events, trials = _only(rows, names, Kind.RATIO)
    if trials is None:
        if events is None:
            raise _Missing(f"{names[0]} and {names[1]} are null")
        raise _Senseless(
            f"{names[1]} is null, but {names[0]} is {_shown(events)}; trials count every attempt, "
            "also the good ones"
        )
    of = _count(trials, names[1])
    if not of:
        raise _Missing(f"no trials ({names[1]} is 0)")
    if events is None:
        # Not 0: an empty sum is null in SQL, and so is what was joined with nothing or misspelt.
        raise _Senseless(
            f"{names[0]} is null, but {names[1]} is {of}; where nothing means none, say so: "
            "coalesce(sum(...), 0)"
        )
    found = _count(events, names[0])
    if found > of:
        raise _Senseless(
            f"{names[0]} is {found}, more than {names[1]} ({of}); events are a part of the trials, "
            "and stand first"
        )
    return Counts(events=found, trials=of)


def _mean(rows: Sequence[Sequence[object]], names: Sequence[str]) -> Measurement:
    n, total, squares = _only(rows, names, Kind.MEAN)
    if n is None:
        if total is None and squares is None:
            raise _Missing(f"{names[0]}, {names[1]} and {names[2]} are null")
        raise _Senseless(
            f"{names[0]} is null, but {names[1]} is {_shown(total)}; n counts the values, such as "
            "count(x)"
        )
    count = _count(n, names[0])
    if not count:
        raise _Missing(f"no values ({names[0]} is 0)")
    if total is None or squares is None:
        null = names[1] if total is None else names[2]
        raise _Senseless(
            f"{null} is null, but {names[0]} is {count}; count the values and not the rows: "
            "count(x), sum(x), sum(x * x)"
        )
    found, squared = _number(total, names[1]), _number(squares, names[2])
    mean = found / count
    m2 = squared - found * mean
    if m2 < -_ROUNDING * abs(squared) or squared < 0:
        raise _Senseless(
            f"{names[2]} is {_shown(squares)}, less than {count} values with the sum "
            f"{_shown(total)} can have; the order is n, sum, sum of squares: count(x), sum(x), "
            "sum(x * x)"
        )
    return Moments(n=count, mean=_float(mean, names[1]), m2=_float(max(m2, Fraction(0)), names[2]))


def _refuse_wrapped(row: Sequence[object], names: Sequence[str]) -> None:
    """Raise for a sum of integers that may have wrapped: it is near the end of what 64 bits hold,
    or what it must be at least, by the other numbers, is.
    """
    n, total, squares = row
    if isinstance(total, numbers.Integral) and abs(int(total)) >= _WRAPPING:
        raise _Senseless(_wrapped(total, names[1], "sum(toFloat64(x))"))
    if isinstance(squares, numbers.Integral):
        least = abs(int(squares))
        if (
            isinstance(n, numbers.Integral)
            and int(n) > 0
            and isinstance(total, Decimal | numbers.Real)
        ):
            found, count = _number(total, names[1]), _count(n, names[0])
            least = max(least, int(found * found / count))
        if least >= _WRAPPING:
            raise _Senseless(_wrapped(squares, names[2], "sum(toFloat64(x) * x)"))


def _wrapped(value: object, name: str, mend: str) -> str:
    return (
        f"{name} is {_shown(value)}, an integer where there must be 2^62 or more: it may have "
        f"wrapped; write {mend}"
    )


def _value(rows: Sequence[Sequence[object]], names: Sequence[str]) -> Measurement:
    if len(rows) > MOST_SAMPLES:
        raise _Senseless(
            f"more than {MOST_SAMPLES} samples in one window; aggregate them, such as one for "
            "every ten seconds"
        )
    samples = []
    for i, row in enumerate(rows):
        *n, value = row if len(row) == len(_COUNTED) else _fitting(row, names, Kind.VALUE)
        name = f"{names[-1]} of row {i + 1}" if len(rows) > 1 else names[-1]
        if n and (n[0] is None or not _count(n[0], names[0] if len(names) > 1 else _COUNTED[0])):
            continue
        if value is None:
            raise _Missing(
                f"{name} is null"
                + ("; leave out samples that are not there" if len(rows) > 1 else "")
            )
        samples.append(_float(_number(value, name), name))
    if not samples:
        raise _Missing("n is 0, so it is a value of nothing" if rows else "no rows")
    return Gauge(samples=tuple(samples))


_MAKERS: Final[dict[Kind, Callable[[Sequence[Sequence[object]], Sequence[str]], Measurement]]] = {
    Kind.RATIO: _ratio,
    Kind.MEAN: _mean,
    Kind.VALUE: _value,
}


# --------------------------------------------------------------------------------- rows and numbers


def _only(rows: Sequence[Sequence[object]], names: Sequence[str], kind: Kind) -> Sequence[object]:
    if not rows:
        raise _Missing("no rows")
    if len(rows) > 1:
        raise _Senseless(
            f"more than one row; a {kind.value} is one row, so aggregate without a group by"
        )
    return _fitting(rows[0], names, kind)


def _fitting(row: Sequence[object], names: Sequence[str], kind: Kind) -> Sequence[object]:
    wanted = COLUMNS[kind]
    if len(row) != len(wanted) or len(names) != len(wanted):
        raise _Senseless(
            f"a row of {len(row)}; a {kind.value} is {len(wanted)}: {', '.join(wanted)}"
        )
    return row


def _number(value: object, name: str) -> Fraction:
    """``value`` without rounding. Numbers of other libraries are taken if they say that they are
    numbers; a bool is none.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | numbers.Real):
        mend = (
            "; a number in quotes is a text, so cast it where it is made"
            if isinstance(value, str)
            else ""
        )
        raise _Senseless(f"{name} is {_shown(value)}, which is no number{mend}")
    # Asked before it is converted: float() of a signalling NaN raises.
    if value.is_nan() if isinstance(value, Decimal) else math.isnan(_rounded(value, name)):
        raise _Missing(f"{name} is NaN, which is no number (nothing divided by nothing?)")
    near = _rounded(value, name)
    if math.isfinite(near):
        return _exact(value, near)
    if isinstance(value, Decimal) and value.is_finite():
        raise _Senseless(f"{name} is {_LARGE}")
    raise _Missing(f"{name} is {near:+}, which is no number (something divided by nothing?)")


def _rounded(value: Decimal | numbers.Real, name: str) -> float:
    try:
        return float(value)
    except OverflowError:
        pass
    raise _Senseless(f"{name} is {_LARGE}")


def _exact(value: Decimal | numbers.Real, near: float) -> Fraction:
    if isinstance(value, numbers.Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, Decimal) and int(value.as_tuple().exponent) >= _EXACT:
        return Fraction(value)
    return Fraction(near)


def _count(value: object, name: str) -> int:
    found = _number(value, name)
    if found.denominator != 1 or not 0 <= found <= _LARGEST:
        raise _Senseless(
            f"{name} is {_shown(value)}, which is no count; count whole things, from 0 up"
        )
    return int(found)


def _float(value: Fraction, name: str) -> float:
    try:
        return float(value)
    except OverflowError:
        pass
    raise _Senseless(f"{name} is {_LARGE}")


def _shown(value: object) -> str:
    """What was given, as a message shows it: a number, a short text, or else only what it is."""
    if isinstance(value, str):
        return repr(value) if len(value) <= _LONGEST_TEXT else f"a text of {len(value)} characters"
    if value is None or isinstance(value, bool):
        return repr(value)
    short = isinstance(value, Decimal | float) or (
        isinstance(value, int) and abs(value) <= _LARGEST
    )
    return f"{value}"[:40] if short else f"a {type(value).__name__}"
