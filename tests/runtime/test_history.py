"""The history of a service, out of any store that lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from progressive import (
    Abort,
    Canary,
    Limit,
    Metric,
    Ports,
    Release,
    StateError,
    StrategyError,
    Version,
    history,
    minutes,
    percent,
    percents,
    start,
    submit,
    tick,
)
from progressive.rollout.notes import Note
from progressive.testing import MemoryRouter, MemoryStore, ScriptedMetrics, VirtualClock, steady

ERRORS = Metric("errors", kind="ratio")
CANARY = Canary(
    weights=percents(10, 100), bake=minutes(5), checks=[Limit(ERRORS, at_most=percent(1))]
)


def of(service: str, old: str, new: str) -> Release:
    return Release(service=service, stable=Version(old), candidate=Version(new))


def driven(store: MemoryStore, id: str, release: Release, clock: VirtualClock, bad: float) -> None:
    """Start a rollout with this error rate of the candidate, and drive it to its end."""
    metrics = ScriptedMetrics({ERRORS: steady(50, candidate=bad)})
    ports = Ports(router=MemoryRouter(), metrics=[metrics], store=store, clock=clock)
    rollout = start(CANARY, release, id=id, ports=ports)
    while not rollout.over:
        decision = tick(id, ports)
        rollout = decision.rollout
        clock.until(decision.wake_at or clock())


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(clock: VirtualClock) -> MemoryStore:
    made = MemoryStore()
    driven(made, "shop-2", of("shop", "v1", "v2"), clock, 0.0)
    driven(made, "cart-2", of("cart", "v1", "v2"), clock, 0.0)
    driven(made, "shop-3", of("shop", "v2", "v3"), clock, 0.2)
    running = Ports(router=MemoryRouter(), store=made, clock=clock)
    plain = Canary(weights=percents(10, 100), bake=minutes(5), unguarded="an example")
    start(plain, of("shop", "v2", "v4"), id="shop-4", ports=running)
    return made


def test_the_newest_end_comes_first_with_who_why_and_on_what_evidence(store: MemoryStore) -> None:
    newest, oldest = history(store, "shop")

    assert (newest.id, newest.promoted, newest.by) == ("shop-3", False, "engine")
    assert newest.release == of("shop", "v2", "v3")
    assert newest.why in str(newest)
    assert [(each.check, each.verdict) for each in newest.evidence] == [("errors", "fail")]
    assert newest.exposure == percent(10)
    assert (oldest.id, oldest.promoted, oldest.exposure) == ("shop-2", True, percent(100))
    assert [(each.check, each.verdict) for each in oldest.evidence] == [("errors", "pass")]
    assert oldest.began < oldest.ended < newest.began


def test_a_person_who_ended_it_is_named(store: MemoryStore, clock: VirtualClock) -> None:
    submit(store, "shop-4", Abort(at=clock(), by="eve", why="wrong build"))

    found = history(store, "shop")[0]

    assert (found.id, found.by) == ("shop-4", "eve")
    assert "wrong build" in found.why
    assert [said.by for said in found.people] == ["eve"]


def test_pages_go_on_behind_the_last_one(store: MemoryStore) -> None:
    first = history(store, "shop", limit=1)
    last = history(store, "shop", limit=1, after=first[-1].id)

    assert [found.id for page in (first, last) for found in page] == ["shop-3", "shop-2"]
    assert (first.more, last.more) == (True, False)
    assert not history(store, "nobody")


def test_notes_that_can_not_be_read_leave_what_the_state_tells(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = store.notes

    def notes(id: str) -> Iterable[tuple[str, Note]]:
        if id == "shop-3":
            raise StateError("lines were lost", path="shop-3.notes")
        return honest(id)

    monkeypatch.setattr(store, "notes", notes)

    page = history(store, "shop")

    assert [(found.id, bool(found.evidence)) for found in page] == [
        ("shop-3", False),
        ("shop-2", True),
    ]
    assert [id for id, _ in page.unreadable] == ["shop-3"]
    assert page[0].why


def test_one_that_is_driven_on_while_it_is_listed_is_no_surprise(store: MemoryStore) -> None:
    """A list of one's own may be looser than was asked."""

    class Loose(MemoryStore):
        def rollouts(self, **asked: Any) -> Any:
            return store.rollouts(service=asked["service"])

    assert [found.id for found in history(Loose(), "shop")] == ["shop-3", "shop-2"]


def test_a_store_that_can_not_list_is_refused_by_name() -> None:
    with pytest.raises(StrategyError, match=r"history\(store\): .* can't list rollouts"):
        history(object(), "shop")  # type: ignore[arg-type]
    with pytest.raises(StrategyError, match=r"history\(service\): None is not a name"):
        history(MemoryStore(), None)  # type: ignore[arg-type]
