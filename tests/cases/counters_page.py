"""The table of docs/explanation/raw-counters.md, made from the rows that are tested.

``python tests/cases/counters_page.py`` writes it anew; `tests/metrics` fails while it is not what
the rows say, and `tests/real` while a server says something else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.cases.counters import CASES, PROMETHEUS, VICTORIA_METRICS, Case, Said

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "raw-counters.md"

HEAD = """\
| the samples | what came | Prometheus | VictoriaMetrics | here |
|---|---|---|---|---|
"""


def table() -> str:
    """The whole of it."""
    return HEAD + "".join(f"| {' | '.join(_cells(case))} |\n" for case in CASES)


def _cells(case: Case) -> Iterator[str]:
    yield case.samples
    yield case.true
    for family, usual in (
        (PROMETHEUS, case.prometheus),
        (VICTORIA_METRICS, case.victoria_metrics),
    ):
        yield "not stored" if case.only not in ("", family) else _said(usual)
    yield f"{_here(case)}: {case.because}"


def _said(said: Said) -> str:
    if said is None:
        return "nothing"
    return " or ".join(f"{each:g}" for each in (said if isinstance(said, tuple) else (said,)))


def _here(case: Case) -> str:
    if not isinstance(case.here, str):
        return f"{case.here:g}"
    return "no data" if case.no_data else f"no answer{', for all' if case.for_all else ''}"


def with_table(text: str) -> str:
    """The text of the page with this table instead of the first one that it has."""
    lines = text.splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rest = next(i for i, line in enumerate(lines) if i > first and not line.startswith("|"))
    return "".join(lines[:first]) + table() + "".join(lines[rest:])


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
