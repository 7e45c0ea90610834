"""Tables and small parts of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from progressive.rollout.phases import Phase

from .markup import DOCTYPE, Html, tag, text
from .style import PAGE, PICTURE

__all__ = ["Column", "badge", "document", "facts", "table", "verdict"]

BADGES: Final = {
    Phase.PENDING: ("…", "no_data"),
    Phase.PROGRESSING: ("▶", "stable"),
    Phase.HELD: ("‖", "inconclusive"),
    Phase.ROLLING_BACK: ("↩", "fail"),
    Phase.PROMOTED: ("✓", "pass"),
    Phase.ROLLED_BACK: ("↩", "fail"),
}
"""A sign and a colour for each phase."""

SIGNS: Final = {
    "pass": "✓",
    "no_data": "○",
    "inconclusive": "+",
    "missing": "▼",
    "error": "!",
    "fail": "✕",
}
"""What stands before a verdict: its shape in the pictures."""

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What the page may load: nothing. No text in it could make a browser run or fetch something."""


@attrs.frozen
class Column:
    """A column of a table; ``numeric``: whether its cells are numbers."""

    name: str
    numeric: bool = False


def badge(phase: Phase) -> Html:
    """Write a phase so that it is seen, also without its colour."""
    sign, colour = BADGES[phase]
    said = f"{sign} {phase.value.replace('_', ' ')}"
    return tag("span", text(said), class_="badge", style=f"color:var(--{colour})")


def verdict(name: str) -> Html:
    """Write a verdict with its sign."""
    colour = name if name in SIGNS else "other"
    said = f"{SIGNS.get(name, '■')} {name.replace('_', ' ')}"
    return tag("span", text(said, 60), class_="verdict", style=f"color:var(--{colour})")


def table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[Html]],
    *,
    caption: str = "",
    stacked: bool = False,
) -> Html:
    """Write a table. The first cell of each row is its header.

    ``stacked``: whether each row becomes a small list on a phone; else it has to fit there.
    """
    head = [
        tag("th", text(each.name), scope="col", class_="num" if each.numeric else None)
        for each in columns
    ]
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            *(
                tag(
                    "td",
                    cell,
                    class_="num" if column.numeric else None,
                    data_label=column.name if stacked else None,
                )
                for cell, column in zip(row[1:], columns[1:], strict=True)
            ),
        )
        for row in rows
    ]
    return tag(
        "table",
        *([tag("caption", text(caption))] if caption else []),
        tag("thead", tag("tr", *head)),
        tag("tbody", *body),
        class_="stack" if stacked else None,
    )


def facts(given: Iterable[tuple[str, str]]) -> Html:
    """Write names with what there is to say of each, a long one wider."""
    listed = [
        tag(
            "div",
            tag("dt", text(name)),
            tag("dd", text(said)),
            class_="wide" if len(said) > 24 else None,
        )
        for name, said in given
    ]
    return tag("dl", *listed, class_="facts")


def document(title: str, *inside: Html) -> str:
    """Write a whole page that needs nothing from elsewhere and runs nothing."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", text(title)),
        tag("style", Html(PICTURE + PAGE)),
    )
    body = tag("body", tag("main", *inside), class_="pr")
    return f"{DOCTYPE}{tag('html', head, body, lang='en')}\n"
