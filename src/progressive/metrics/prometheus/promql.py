"""PromQL as text: selectors, and a team's own query with its placeholders, so that no value ever
becomes a part of the query.

A value is written as the content of a string literal (Go's escapes, which Prometheus and
VictoriaMetrics read alike), and for ``=~`` before that as a regular expression (RE2) that matches
it and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.release import Release, Version

from .comparisons import bare_comparison

__all__ = [
    "Match",
    "Not",
    "Regex",
    "Template",
    "epoch_ms",
    "filled",
    "is_label",
    "is_metric",
    "matches",
    "moment",
    "names_of",
    "only",
    "quoted",
    "selector",
    "span",
]

_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_QUOTED: Final = re.compile(r"[^\s\"'`{}\\,=~!]+")
"""Names that Prometheus 3 and VictoriaMetrics take in quotes (UTF-8), such as those of
OpenTelemetry. Signs that look like a selector are left to be refused.
"""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)

_ALIKE: Final = re.compile(
    r"""(?:
        (?: \\[dDwW]        # of ASCII, in both; what is blank differs (a vertical tab)
          | \\[!-/:-@\[-`{-~]                           # a sign that stands for itself
          | [^\\\[\](){}*+?|^$]                         # any other character, and the dot
          | \[\^?(?:\\[dDwW]|\\[!-/:-@\[-`{-~]|[^\\\[\]&~|-]|-(?!-))+\]  # a class, no sets
          | \)
        )
        (?:(?:[*+?]|\{\d+(?:,\d*)?\})\??(?![*+?{]))?
      | \((?:\?:)? | \|
    )*""",
    re.VERBOSE,
)
"""What means the same in Python and in RE2, the language of the server: no anchors (a label is
always matched as a whole), no flags, no look-around, no back-references.
"""


# ----------------------------------------------------------------------------------------- literals


def quoted(value: str, quote: str = '"') -> str:
    """``value`` as a string literal of PromQL."""
    return quote + _content(value, quote) + quote


def _content(value: str, quote: str) -> str:
    return "".join(
        f"\\{c}" if c in ("\\", quote) else c if c.isprintable() else _escape(c) for c in value
    )


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def only(value: str) -> str:
    """A regular expression (RE2) that matches ``value`` and nothing else."""
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", value)


def epoch_ms(at: datetime) -> int:
    """Milliseconds since 1970."""
    return (at - _EPOCH) // _MS


def moment(at_ms: int) -> str:
    """A time as the server takes it: seconds since 1970, to the millisecond."""
    return f"{at_ms // 1000}.{at_ms % 1000:03d}"


def span(length_ms: int) -> str:
    """A duration in PromQL."""
    return f"{length_ms}ms" if length_ms % 1000 else f"{length_ms // 1000}s"


# ----------------------------------------------------------------------------------------- matchers


def _is_pattern(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    text = fields.a(str, value, fields.where(instance, attribute), "Regex('5..')")
    why = (
        "Python and RE2, the server's, may read it in two ways; leave out anchors (the whole value "
        "is matched), flags, \\s and look-around"
    )
    if _ALIKE.fullmatch(text):
        try:
            re.compile(text)
        except re.error as error:
            why = str(error)
        else:
            return
    raise StrategyError(f"Regex({text!r}): {why}")


@attrs.frozen
class Regex:
    """A label's value is one of those that a regular expression matches as a whole:
    ``Regex("5..")``, ``Regex("GET|HEAD")``.

    Both the server and this library match it, so it may use only what RE2 and Python understand
    alike: characters, ``.``, classes, groups, ``|`` and repetition.
    """

    pattern: str = attrs.field(validator=_is_pattern)


def _is_what(_: object, __: object, value: Any) -> None:
    if not isinstance(value, str | Regex):
        raise StrategyError(f"Not({fields.brief(value)}): a label's value is a str or a Regex(...)")


@attrs.frozen
class Not:
    """A label's value is anything else, or there is no such label: ``Not("200")``,
    ``Not(Regex("2.."))``.
    """

    what: str | Regex = attrs.field(validator=_is_what)


Match: TypeAlias = str | Regex | Not
"""What a label's value must be. The empty string also matches a label that is not there."""


def matches(match: Match, value: str) -> bool:
    """Does a label with this value (empty: no such label) match? As the server would say."""
    if isinstance(match, Not):
        return not matches(match.what, value)
    return (
        bool(re.compile(match.pattern, re.ASCII).fullmatch(value))
        if isinstance(match, Regex)
        else match == value
    )


def is_metric(name: object, what: str) -> str:
    """``name`` if it is the name of a series."""
    if isinstance(name, str) and _QUOTED.fullmatch(name) and name.isprintable():
        return name
    raise StrategyError(
        f"{what}: {name!r} is not the name of a series; give it without braces, and the labels as "
        "labels={...}"
    )


def is_label(name: object, what: str) -> str:
    """``name`` if it is the name of a label."""
    named = isinstance(name, str) and _QUOTED.fullmatch(name) and name.isprintable()
    if isinstance(name, str) and named and name != "__name__":
        return name
    raise StrategyError(
        f"{what}: {name!r} is not the name of a label; give the name alone, without blanks, quotes "
        "and braces"
    )


def selector(names: Iterable[str], matchers: Iterable[tuple[str, Match]]) -> str:
    """The series with one of these names whose labels all match. What is no plain name of
    Prometheus 2 is in quotes.
    """
    found = sorted(set(names))
    if len(found) > 1:
        head, inner = "", [f"__name__=~{quoted('|'.join(map(only, found)))}"]
    elif _METRIC.fullmatch(found[0]):
        head, inner = found[0], []
    else:
        head, inner = "", [quoted(found[0])]
    inner += [_matcher(label, match) for label, match in matchers]
    return head + (f"{{{','.join(inner)}}}" if inner else "")


def _matcher(label: str, match: Match) -> str:
    what, sign = (match.what, "!") if isinstance(match, Not) else (match, "=")
    label = label if _LABEL.fullmatch(label) else quoted(label)
    if isinstance(what, Regex):
        return f"{label}{sign}~{quoted(what.pattern)}"
    return f"{label}{sign}{'=' if sign == '!' else ''}{quoted(what)}"


# ---------------------------------------------------------------------------------------- templates

_NAMES: Final = re.compile(r"\{(backend|version|service)\}")
"""What stands for a name of the release."""

_PIECES: Final = re.compile(
    r"""(?P<double>"(?:\\.|[^"\\])*") | (?P<single>'(?:\\.|[^'\\])*') | (?P<raw>`[^`]*`)
      | (?P<comment>\#[^\n]*)
      | (?P<open>["'`]) | (?P<plain>[^"'`\#]+)""",
    re.VERBOSE | re.DOTALL,
)


_SIGNS: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*|[()\[\]{},]")


def names_of(release: Release, version: Version) -> Mapping[str, str]:
    """What the placeholders stand for."""
    return {"backend": version.backend, "version": version.identity, "service": release.service}


def filled(template: str, names: Mapping[str, str]) -> str:
    """A label's value with its placeholders filled in."""
    return _NAMES.sub(lambda found: names[found[1]], template)


class _Calls:
    """The calls that a place in a query is in, told by its brackets: a regular expression is also
    the fifth argument of ``label_replace``.
    """

    def __init__(self) -> None:
        self._open: list[tuple[str, int]] = []
        self._word = ""

    def read(self, plain: str) -> None:
        """Go on over text outside of strings and comments."""
        for sign in _SIGNS.findall(plain):
            if sign in "([{":
                self._open.append((self._word.lower() if sign == "(" else "", 0))
            elif sign in ")]}":
                self._open = self._open[:-1]
            elif sign == "," and self._open:
                name, arguments = self._open[-1]
                self._open[-1] = name, arguments + 1
            self._word = sign

    @property
    def at_regex(self) -> bool:
        """Is the next string a regular expression?"""
        return bool(self._open) and self._open[-1] == ("label_replace", 4)


@attrs.frozen
class Template:
    """A query with ``{backend}``, ``{version}`` and ``{service}`` in its string literals, and
    ``{window}`` outside of them.
    """

    text: str

    def problems(self) -> Iterator[str]:
        """What is wrong with it, as far as one can know without the server."""
        named = False
        for kind, piece, _ in self._pieces():
            if kind == "open":
                yield f"a quote {piece} is not closed"
                return
            if found := _NAMES.search(piece):
                named = named or (
                    kind in ("double", "single") and ("{backend}" in piece or "{version}" in piece)
                )
                if kind == "plain":
                    yield f"{found[0]} must stand within quotes, as a label's value"
                elif kind == "raw":
                    yield "a placeholder in backticks can't be escaped; use double quotes"
            if "{window}" in piece and kind in ("double", "single", "raw"):
                yield "{window} is a duration; it must stand outside of quotes, as in [{window}]"
        bare = "".join(
            piece if kind == "plain" else "" if kind == "comment" else '""'
            for kind, piece, _ in self._pieces()
        )
        if sign := bare_comparison(bare):
            yield (
                f"{sign} without bool is a filter, which answers nothing where it is not so: no "
                f"data, and not 0; write {sign} bool, which answers 0 or 1"
            )
        if not named:
            yield (
                "it is the same for every version; name the version, such as with "
                'version="{backend}"'
            )

    def fill(self, names: Mapping[str, str], window_ms: int) -> str:
        """The query for one version in one window; values are escaped, for ``=~`` and ``!~`` as
        regular expressions too.
        """
        return "".join(
            self._fill(kind, piece, pattern, names, window_ms)
            for kind, piece, pattern in self._pieces()
        )

    @staticmethod
    def _fill(
        kind: str, piece: str, pattern: bool, names: Mapping[str, str], window_ms: int
    ) -> str:
        if kind == "plain":
            return piece.replace("{window}", span(window_ms))
        if kind not in ("double", "single"):
            return piece
        return _NAMES.sub(
            lambda found: _content(only(names[found[1]]) if pattern else names[found[1]], piece[0]),
            piece,
        )

    def _pieces(self) -> Iterator[tuple[str, str, bool]]:
        """Kind and text of every piece, and for a string whether it is a regular expression."""
        before, calls = "", _Calls()
        for found in _PIECES.finditer(self.text):
            kind = str(found.lastgroup)
            yield kind, found[0], before.endswith(("=~", "!~")) or calls.at_regex
            if kind == "plain":
                calls.read(found[0])
            if kind != "comment":  # nor what is blank before and after one
                before = found[0].rstrip() or before
