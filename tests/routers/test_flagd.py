"""A flag of flagd, by the contract kit; what reads it is in ``tests/real/test_flagd.py``."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.support.releases import THREE, TWO

from progressive import StrategyError, Traffic, percent, rollback_now, seconds
from progressive.adapters.split import Split
from progressive.errors import RouterError
from progressive.model import Marker, Match
from progressive.model.traffic import ALL_STABLE
from progressive.routers.flagd import Flagd
from progressive.testing import check_router

NONE = seconds(0)


def flagd(folder: Path, **fields: Any) -> Flagd:
    made = Flagd(**{"file": str(folder / "shop.json"), "flag": "shop", "lag": NONE, **fields})
    Path(made.file).write_text(made.initial(THREE))
    return made


def edited(router: Flagd, traffic: Traffic) -> None:
    marker = router.read(THREE).marker
    Path(router.file).write_text(router._text(Split.of(THREE, traffic, marker)))


def test_the_laws_of_a_router(tmp_path: Path) -> None:
    router = flagd(tmp_path)

    report = check_router(
        router,
        THREE,
        edit=lambda traffic: edited(router, traffic),
        undo=lambda line: subprocess.run(line, shell=True, check=True),
    )

    assert router.read(THREE).shows(ALL_STABLE)
    assert not {"edit=", "undo="} & set(report.missing)


def test_the_file_of_a_flag(tmp_path: Path) -> None:
    router = flagd(tmp_path)
    traffic = Traffic(
        candidate=percent(2.5),
        matches=[Match(name="plan", value="beta"), Match(name="a", value="b", source="cookie")],
    )
    router.apply(TWO, traffic, marker=Marker(generation=3), expect=None)

    flag = json.loads(Path(router.file).read_text())["flags"]["shop"]
    assert flag["defaultVariant"] == "v1"
    assert flag["variants"] == {"v1": "v1", "v2": "v2"}
    asked = [{"===": [{"var": "plan"}, "beta"]}, {"===": [{"var": "a"}, "b"]}]
    shares = {"fractional": [["v2", 25_000], ["v1", 975_000]]}
    assert flag["targeting"] == {"if": [{"or": asked}, "v2", shares]}


def test_nothing_is_verified_before_the_slowest_reader_has_seen_it(tmp_path: Path) -> None:
    router = flagd(tmp_path, lag=seconds(60))
    ten = Traffic(candidate=percent(10))

    served = router.apply(TWO, ten, marker=Marker(generation=1), expect=None)
    assert (served.traffic, served.converged) == (ten, False)

    minutes_ago = os.stat(router.file).st_mtime - 100
    os.utime(router.file, (minutes_ago, minutes_ago))
    assert router.read(TWO).shows(ten)


def test_the_same_again_does_not_begin_the_lag_anew(tmp_path: Path) -> None:
    router = flagd(tmp_path, lag=seconds(60))
    ten, marker = Traffic(candidate=percent(10)), Marker(generation=1)
    router.apply(TWO, ten, marker=marker, expect=None)
    before = os.stat(router.file)

    router.apply(TWO, ten, marker=marker, expect=None)

    assert os.stat(router.file).st_ino == before.st_ino


@pytest.mark.parametrize("wrong", [{"file": "shop.json"}, {"flag": "a b"}, {"lag": 5}])
def test_what_is_misconfigured_is_said_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(StrategyError, match=next(iter(wrong))):
        Flagd(**{"file": "/etc/shop.json", "flag": "shop", **wrong})


def test_a_file_of_another_flag_is_none_of_ours(tmp_path: Path) -> None:
    router = flagd(tmp_path)
    other = attrs.evolve(router, flag="cart")

    assert not other.read(TWO).converged
    assert router.read(TWO).converged


def test_a_raise_over_a_file_that_somebody_edited_is_refused(tmp_path: Path) -> None:
    """Nobody knows what it serves, so nothing but all to stable is a way back."""
    router = flagd(tmp_path)
    marker = Marker(generation=1, owner="rours")
    router.apply(TWO, Traffic(candidate=percent(1)), marker=marker, expect=None)
    text = Path(router.file).read_text()

    for spoiled, said in ((f"{text} ", "not as it was written"), (None, "is not there")):
        if spoiled is None:
            Path(router.file).unlink()
        else:
            Path(router.file).write_text(spoiled)
        with pytest.raises(RouterError, match=said):
            router.apply(TWO, Traffic(candidate=percent(50)), marker=marker, expect=None)
    Path(router.file).write_text(f"{text} ")
    assert router.read(TWO).marker == marker
    assert rollback_now(router, TWO).shows(ALL_STABLE)
    assert router.read(TWO).marker == attrs.evolve(marker, closed=True)


def test_a_line_that_is_typed_waits_for_a_write(tmp_path: Path) -> None:
    """Or the write would overwrite it, with an open marker."""
    router = flagd(tmp_path)
    before = Path(router.file).read_text()
    fd = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)

    with subprocess.Popen(router.undo(THREE), shell=True) as typed:
        with pytest.raises(subprocess.TimeoutExpired):
            typed.wait(0.5)
        assert Path(router.file).read_text() == before
        os.close(fd)
        assert typed.wait(60) == 0
    assert Path(router.file).read_text() != before
