"""What a Traefik router refuses before anything is asked; the real one is in
``tests/real/test_traefik.py``.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.releases import THREE

from progressive import StrategyError, Traffic, hours, percent
from progressive.adapters.split import Split
from progressive.model import Marker, Match
from progressive.routers.traefik import Traefik

ROUTER = {"rule": "Host(`shop.example`)", "entryPoints": ["web"]}


def traefik(**fields: Any) -> Traefik:
    given = {"file": "/etc/traefik/dynamic/shop.yml", "api": "http://127.0.0.1:8080"}
    return Traefik(**{**given, "service": "shop", "router": ROUTER, **fields})


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a relative file": ({"file": "shop.yml"}, "no absolute path of a file"),
    "a relative staging": ({"staging": "x"}, "no absolute path of a file"),
    "another provider": ({"provider": "docker"}, "not one of 'file', 'http'"),
    "a router by name": ({"router": "shop"}, "no router of Traefik"),
    "a router without a rule": ({"router": {"entryPoints": ["web"]}}, "no router of Traefik"),
    "priority 0": ({"router": {**ROUTER, "priority": 0}}, "no whole number from 1"),
    "a priority as text": ({"router": {**ROUTER, "priority": "10"}}, "no whole number from 1"),
    "rules of v2": ({"router": {**ROUTER, "ruleSyntax": "v2"}}, "in the syntax of v3"),
}


@pytest.mark.parametrize(("fields", "said"), WRONG.values(), ids=WRONG)
def test_what_is_misconfigured_is_said_at_once(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        traefik(**fields)


@given(st.text(max_size=20), st.integers(0, 100), st.integers(0, 100))
def test_what_is_written_is_read_and_is_no_template(value: str, share: int, mirror: int) -> None:
    matches = [Match(name="x-canary", value=value)]
    stay = None if share % 2 else hours(share + 1)
    traffic = Traffic(
        candidate=percent(share), matches=matches, mirror=percent(mirror), sticky=stay
    )
    split = Split.of(THREE, traffic, None)
    text = traefik()._text(split)

    assert "{{" not in text
    assert traefik()._parsed(text) == split


@pytest.mark.parametrize("mirror", [0, 10])
def test_users_stay_by_a_cookie_of_the_rollout_s_own(mirror: int) -> None:
    traffic = Traffic(candidate=percent(5), mirror=percent(mirror), sticky=hours(2))
    marker = Marker(generation=3, owner="r0f3c")

    def cookie(traffic: Traffic, marker: Marker | None) -> Any:
        services = json.loads(traefik()._text(Split.of(THREE, traffic, marker)))["http"]["services"]
        weighted = services["shop-weighted" if traffic.mirror.ppm else "shop"]["weighted"]
        return weighted.get("sticky")

    assert cookie(traffic, marker) == {
        "cookie": {
            "name": "progressive-r0f3c",
            "maxAge": 7200,
            "path": "/",
            "httpOnly": True,
            "sameSite": "lax",
        }
    }
    assert cookie(traffic, Marker(generation=3))["cookie"]["name"] == "progressive-3"
    assert cookie(Traffic(candidate=percent(5)), marker) is None


def test_the_new_file_is_made_in_the_folder_above() -> None:
    assert traefik().staging == "/etc/traefik"
    assert traefik(staging="/var/lib/traefik")._beside == "/var/lib/traefik"
