"""Pages and pictures as parsers see them that know nothing of who wrote them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final
from xml.etree import ElementTree as ET

VOID: Final = frozenset({"meta", "br"})
HIDDEN: Final = frozenset({"style", "title"})


def xml(document: str) -> ET.Element:
    """The document as XML; it fails for anything that is not well-formed."""
    return ET.fromstring(document)


def local(element: ET.Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def words(element: ET.Element) -> str:
    """The text of an element, with one blank where there is any space."""
    return " ".join("".join(element.itertext()).split())


class Page(HTMLParser):
    """A page as HTML: what it shows and its elements; each must be closed where it should be."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.lines: list[str] = [""]
        self.feed(document)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3", "p", "tr", "dt", "summary", "pre", "figcaption", "div"):
            self.lines.append("")
        if tag in ("td", "th", "dd"):
            self.lines[-1] += " | "

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if not HIDDEN.intersection(self.open) and "svg" not in self.open:
            self.lines[-1] += data

    @property
    def shown(self) -> str:
        """What it says, a line for each row or paragraph; pictures left out."""
        lines = [re.sub(r"\s+", " ", line).strip(" |") for line in self.lines]
        return "\n".join(filter(None, lines)) + "\n"

    def ids(self) -> list[str]:
        return [given["id"] or "" for _, given in self.elements if "id" in given]

    def links(self) -> list[str]:
        return [given["href"] or "" for tag, given in self.elements if tag == "a"]
