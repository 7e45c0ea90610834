"""The lifecycle of a rollout as a picture, drawn from the table that the engine runs by."""

from __future__ import annotations

from progressive.rollout.phases import FINAL, TRANSITIONS, Phase

PLACES = {
    Phase.PENDING: (110, 50),
    Phase.PROGRESSING: (430, 50),
    Phase.PROMOTED: (750, 50),
    Phase.HELD: (350, 190),
    Phase.ROLLING_BACK: (430, 330),
    Phase.ROLLED_BACK: (750, 330),
}
"""Where each phase stands: forward is to the right, back is down."""

WIDTH, HEIGHT = 170, 46

COLOURS = {
    Phase.PROMOTED: "#dcfce7",
    Phase.HELD: "#fef3c7",
    Phase.ROLLING_BACK: "#fee2e2",
    Phase.ROLLED_BACK: "#fee2e2",
}

PATHS: dict[tuple[Phase, Phase], tuple[str, str, tuple[int, int]]] = {
    (Phase.PENDING, Phase.PROGRESSING): ("M195 50H345", "preflight passed", (270, 40)),
    (Phase.PROGRESSING, Phase.PROMOTED): ("M515 50H665", "baked at 100 %", (590, 40)),
    (Phase.PROGRESSING, Phase.HELD): ("M375 73V167", "hold", (355, 125)),
    (Phase.HELD, Phase.PROGRESSING): ("M405 167V73", "resume", (430, 125)),
    (Phase.PROGRESSING, Phase.ROLLING_BACK): ("M480 73V307", "abort, breach", (528, 262)),
    (Phase.HELD, Phase.ROLLING_BACK): ("M390 213V307", "abort, nobody came", (325, 262)),
    (Phase.ROLLING_BACK, Phase.ROLLED_BACK): ("M515 330H665", "0 % read back", (590, 320)),
    (Phase.PENDING, Phase.HELD): ("M160 73C165 140 200 180 265 180", "hold", (200, 125)),
    (Phase.HELD, Phase.PENDING): ("M265 200C170 200 122 150 120 73", "resume", (160, 205)),
    (Phase.PENDING, Phase.ROLLING_BACK): (
        "M85 73C85 250 190 325 345 325",
        "the claim failed",
        (120, 290),
    ),
    (Phase.PENDING, Phase.ROLLED_BACK): (
        "M50 73V380Q50 395 65 395H735Q750 395 750 380V353",
        "nothing was ever written",
        (400, 388),
    ),
    (Phase.HELD, Phase.ROLLED_BACK): ("M435 190C600 190 690 220 722 307", "taken over", (640, 195)),
    (Phase.PROGRESSING, Phase.ROLLED_BACK): (
        "M515 62C680 80 770 160 770 307",
        "taken over",
        (805, 190),
    ),
}
"""How each transition is drawn, and a word on it. One that is missing here is an error when the
page is built.
"""


def lifecycle_svg() -> str:
    """Every phase and every transition of the table."""
    drawn = "\n".join(
        _edge(old, new) for old, following in TRANSITIONS.items() for new in sorted(following)
    )
    boxes = "\n".join(_box(phase) for phase in Phase)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 410" role="img" '
        'aria-label="The phases of a rollout" '
        'font-family="system-ui, sans-serif" font-size="15">\n'
        '<defs><marker id="to" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
        'markerHeight="8" orient="auto">'
        '<path d="M0 0L10 5L0 10z" fill="#64748b"/></marker></defs>\n'
        f'<rect width="860" height="410" fill="#ffffff"/>\n{drawn}\n{boxes}\n</svg>\n'
    )


def _box(phase: Phase) -> str:
    x, y = PLACES[phase]
    width = 3 if phase in FINAL else 1.5
    return (
        f'<g id="{phase.value}"><rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" '
        f'width="{WIDTH}" height="{HEIGHT}" rx="9" '
        f'fill="{COLOURS.get(phase, "#e0f2fe")}" stroke="#334155" stroke-width="{width}"/>'
        f'<text x="{x}" y="{y + 5}" text-anchor="middle" fill="#0f172a">{phase.name}</text></g>'
    )


def _edge(old: Phase, new: Phase) -> str:
    path, said, (x, y) = PATHS[old, new]
    return (
        f'<g id="{old.value}-to-{new.value}"><path d="{path}" fill="none" stroke="#64748b" '
        'stroke-width="1.5" marker-end="url(#to)"/>'
        f'<text x="{x}" y="{y}" text-anchor="middle" font-size="12" '
        f'fill="#475569">{said}</text></g>'
    )
