"""The source of a test that goes the way to a broken promise again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import indent
from typing import Final

from progressive.codec.documents import dumps_strategy
from progressive.model.release import Release
from progressive.plan.plan import Strategy
from progressive.testing.simulation.simulate import RELEASE

from .invariants import Invariant

__all__ = ["as_test"]

WIDTH: Final = 80
"""Characters of the strategy's JSON in one line of the source."""


def as_test(
    what: str,
    strategy: Strategy,
    release: Release,
    names: Sequence[str] | None,
    invariant: Invariant | None,
) -> str:
    """Return the source of a test that fails as long as a promise is broken.

    * ``what``: the promise.
    * ``names``: the perturbations on the way to it; None if only a whole walk can tell.
    * ``invariant``: the user's own that was broken, which the test has to import.
    """
    imports, given = ["from progressive.codec import loads_strategy"], [_source_of(strategy)]
    if not given[0].startswith("STRATEGY = loads"):
        imports = []
    more = []
    if invariant is not None:
        own = getattr(invariant, "__name__", type(invariant).__name__)
        own = own if own.isidentifier() else "invariant"
        given.append(f"# {own} is an invariant of yours: import it")
        more.append(f"invariants=[{own}]")
    if release != RELEASE:
        imports.insert(0, "from progressive import Release, Version")
        more.append(f"release={release!r}")
    call = "retrace" if names is not None else "verify"
    imports.append(f"from progressive.testing import {call}")
    if names is None:
        body = [
            f"report = verify({', '.join(['STRATEGY', *more])})",
            "",
            "assert report.ok, report",
        ]
    else:
        body = ["retrace(", "    STRATEGY,", "    ["]
        body += [f'        "{name}",' for name in names]
        body += ["    ],", *(f"    {each}," for each in more), ")"]
    return "\n".join(
        [*imports, "", *given, "", "", f"def {_name_of(what)}() -> None:"]
        + [indent(line, "    ") for line in body]
        + [""]
    )


def _source_of(strategy: Strategy) -> str:
    try:
        text = dumps_strategy(strategy)  # type: ignore[arg-type]
    except Exception:  # of a kind of the user's own, which only the user can import
        return "STRATEGY = ...  # the strategy that was verified"
    pieces = [text[i : i + WIDTH] for i in range(0, len(text), WIDTH)]
    return "\n".join(["STRATEGY = loads_strategy(", *(f"    {piece!r}" for piece in pieces), ")"])


def _name_of(what: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", what.lower()).strip("_")
    return f"test_{words[:60].strip('_')}"
