"""Which laws each real router has kept: the reports of all checks of a run, as one table.

The checks may be made by several processes, so their reports are lines of a file.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from progressive import testing
from progressive.testing.contract.laws import ContractReport


def record(file: Path) -> None:
    """Keep the reports of all checks of routers from now on; call it before tests are imported."""
    testing.check_router = _kept(testing.check_router, file)
    testing.acheck_router = _akept(testing.acheck_router, file)


def _kept(check: Callable[..., ContractReport], file: Path) -> Callable[..., ContractReport]:
    @functools.wraps(check)
    def checked(*given: Any, **named: Any) -> ContractReport:
        report = check(*given, **named)
        _write(report, file)
        return report

    return checked


def _akept(
    check: Callable[..., Awaitable[ContractReport]], file: Path
) -> Callable[..., Awaitable[ContractReport]]:
    @functools.wraps(check)
    async def checked(*given: Any, **named: Any) -> ContractReport:
        report = await check(*given, **named)
        _write(report, file)
        return report

    return checked


def _write(report: ContractReport, file: Path) -> None:
    untried = {each.law: each.needs for each in report.untried}
    line = json.dumps({"port": report.port, "held": report.held, "untried": untried})
    with file.open("a", encoding="utf-8") as reports:
        reports.write(f"{line}\n")


def table(file: Path) -> Iterator[str]:
    """The table: a law is kept, or not tried because something is not declared or was not given."""
    reports = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    ports = sorted({each["port"] for each in reports})
    held = {(each["port"], law) for each in reports for law in each["held"]}
    needs = {(each["port"], law): what for each in reports for law, what in each["untried"].items()}
    laws = dict.fromkeys(law for each in reports for law in (*each["held"], *each["untried"]))
    yield f"| law | {' | '.join(ports)} |"
    yield f"|---|{'---|' * len(ports)}"
    for law in laws:
        cells = ("kept" if (port, law) in held else needs.get((port, law), "") for port in ports)
        yield f"| {law} | {' | '.join(cells)} |"
