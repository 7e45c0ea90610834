"""Taking everything back with nothing but the router."""

from __future__ import annotations

import pytest
from tests.support.driven import Colour
from tests.support.rules import rule
from tests.support.world import RELEASE

from progressive import Release, RouterError, Traffic, percent
from progressive.model.router_state import Marker, Served
from progressive.testing import MemoryRouter


@rule("R11")
def test_rollback_now_needs_nothing_but_the_router(colour: Colour) -> None:
    router = MemoryRouter(
        traffic=Traffic(candidate=percent(50)), marker=Marker(generation=3, serial=9)
    )
    served = colour.rollback_now(router, RELEASE)

    assert served.traffic == Traffic()
    assert router.marker == Marker(generation=3, serial=9, closed=True)


@rule("R11")
def test_rollback_now_says_when_the_router_does_not_obey(colour: Colour) -> None:
    class Deaf(MemoryRouter):
        def apply(
            self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
        ) -> Served:
            return self.read(release)

    with pytest.raises(RouterError, match="still serves 50 %"):
        colour.rollback_now(Deaf(traffic=Traffic(candidate=percent(50))), RELEASE)
