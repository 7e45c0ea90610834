"""The house as a picture: folders as rooms, floor upon floor, drawn from the library's own imports.

``python docs/house.py`` writes both pictures of the page "the house"; the documentation does so
whenever it is built.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.house import House, floors  # noqa: E402 - it stands with the tests

ROOM_WIDTH, ROOM_HEIGHT, GAP, STOREY = 128, 44, 18, 84
COLOURS = {
    "pure": "#e0f2fe",
    "edge": "#fef3c7",
    "adapters": "#dcfce7",
    "tests": "#f3e8ff",
}
KINDS = {
    "adapters": "adapters",
    "routers": "adapters",
    "metrics": "adapters",
    "fleets": "adapters",
    "senders": "adapters",
    "stores": "adapters",
    "observers": "adapters",
    "notify": "edge",
    "runtime": "edge",
    "ports": "edge",
    "testing": "tests",
}
"""What a room is for; all others are pure."""

WALK: tuple[tuple[str, str], ...] = (
    ("adapters", "http: the server's bytes, whole and in time"),
    ("metrics", "prometheus: raw samples become counts of one window"),
    ("model", "measurement: a Look, with Counts(events, trials)"),
    ("rollout", "events: Measured, with its own time"),
    ("engine", "measuring: accepted if it begins where the last one ended"),
    ("plan", "which checks judge it, with which part of alpha"),
    ("analysis", "no_worse: a verdict, with its numbers"),
    ("stats", "ratios: the evidence in nats"),
)
BACK: tuple[tuple[str, str], ...] = (
    ("engine", "transitions: the desired traffic is all stable"),
    ("runtime", "dispatch: the command Apply becomes a call"),
    ("routers", "envoy: one write, read back"),
)
"""The way of a sample of the error rate, from Prometheus' bytes to the router's command."""


def house_svg(house: House) -> str:
    """Every folder on its floor, and an arrow for each import that no other path implies."""
    graph = house.folders()
    levels = floors(graph)
    width = max(len(floor) for floor in levels) * (ROOM_WIDTH + GAP) + GAP
    height = len(levels) * STOREY + GAP
    places: dict[str, tuple[float, float]] = {}
    for level, floor in enumerate(levels):
        left = (width - len(floor) * (ROOM_WIDTH + GAP) + GAP) / 2
        if len(floor) == 1:  # beside the middle, so that arrows between its neighbours pass it
            left -= (ROOM_WIDTH + GAP) / 2
        for i, name in enumerate(floor):
            places[name] = left + i * (ROOM_WIDTH + GAP), height - (level + 1) * STOREY + GAP
    arrows = "\n".join(
        _arrow(places[name], places[needed])
        for name, all_needed in sorted(graph.items())
        for needed in sorted(direct(graph, name, all_needed))
    )
    rooms = "\n".join(_room(name, *place) for name, place in places.items())
    return _svg(width, height, f"{arrows}\n{rooms}", "The folders of the library and their imports")


def direct(graph: dict[str, set[str]], name: str, needed: set[str]) -> set[str]:
    """The folders that ``name`` needs itself, and not only because another one that it needs
    does.
    """

    def below(start: str) -> set[str]:
        found: set[str] = set()
        for each in graph[start]:
            found |= {each} | below(each)
        return found

    implied = set().union(*(below(each) for each in needed)) if needed else set()
    return needed - implied


def walk_svg() -> str:
    """The way of one sample, room by room: down to the evidence, and out to the router."""
    steps = [*WALK, *BACK]
    width, line = 640, 40
    parts = []
    for i, (room, what) in enumerate(steps):
        y = GAP + i * line
        colour = COLOURS[KINDS.get(room, "pure")]
        indent = (
            24 * min(i, 2 * (len(WALK) - 1) - i) if i < len(WALK) else 24 * (len(steps) - 1 - i)
        )
        parts.append(
            f'<g><rect x="{GAP + indent}" y="{y}" width="100" height="28" rx="6" fill="{colour}" '
            f'stroke="#334155"/><text x="{GAP + indent + 50}" y="{y + 19}" text-anchor="middle" '
            f'fill="#0f172a">{room}</text><text x="{GAP + indent + 112}" y="{y + 19}" '
            f'font-size="12" fill="#475569">{what}</text></g>'
        )
    return _svg(width, GAP * 2 + len(steps) * line, "\n".join(parts), "The way of one sample")


def _room(name: str, x: float, y: float) -> str:
    colour = COLOURS[KINDS.get(name, "pure")]
    return (
        f'<g id="{name}"><rect x="{x:g}" y="{y:g}" width="{ROOM_WIDTH}" height="{ROOM_HEIGHT}" '
        f'rx="8" fill="{colour}" stroke="#334155" stroke-width="1.5"/><text '
        f'x="{x + ROOM_WIDTH / 2:g}" y="{y + 28:g}" text-anchor="middle" fill="#0f172a">{name}'
        "</text></g>"
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1 = start[0] + ROOM_WIDTH / 2, start[1] + ROOM_HEIGHT
    x2, y2 = end[0] + ROOM_WIDTH / 2, end[1]
    return (
        f'<path d="M{x1:g} {y1:g}C{x1:g} {y1 + 24:g} {x2:g} {y2 - 24:g} {x2:g} {y2:g}" '
        'fill="none" stroke="#94a3b8" stroke-width="1.3" marker-end="url(#to)"/>'
    )


def _svg(width: float, height: float, inside: str, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{label}" font-family="system-ui, sans-serif" font-size="15">\n'
        '<defs><marker id="to" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" '
        'fill="#94a3b8"/></marker></defs>\n'
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>\n{inside}\n</svg>\n'
    )


def write(folder: Path) -> None:
    """Both pictures of the page."""
    (folder / "house.svg").write_text(house_svg(House()), encoding="utf-8")
    (folder / "walk.svg").write_text(walk_svg(), encoding="utf-8")


if __name__ == "__main__":
    write(HERE / "_static")
