"""`Flagd` against OpenFeature's own provider for flagd, which reads the file in this process."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.envoy_process import wait_until
from tests.support.releases import THREE
from tests.support.whole_rollout import roll_out, to_the_end_or_back

from progressive.model.router_state import Marker
from progressive.model.traffic import Match, Traffic
from progressive.model.units import percent, seconds
from progressive.routers.flagd import Flagd

pytestmark = [
    pytest.mark.real,
    pytest.mark.external,
    pytest.mark.skipif(
        importlib.util.find_spec("openfeature") is None,
        reason="OpenFeature is not installed: pip install openfeature-provider-flagd",
    ),
]


class Worker:
    """Your own code, which asks by which version a job is done."""

    def __init__(self, file: str) -> None:
        from openfeature import api
        from openfeature.contrib.provider.flagd import FlagdProvider
        from openfeature.contrib.provider.flagd.config import ResolverType

        provider = FlagdProvider(
            resolver_type=ResolverType.FILE, offline_flag_source_path=file, deadline_ms=50
        )
        api.set_provider_and_wait(provider)
        self._client = api.get_client()

    def version(self, customer: str | None, **attributes: str) -> str:
        from openfeature.evaluation_context import EvaluationContext

        context = EvaluationContext(targeting_key=customer, attributes=attributes)
        return str(self._client.get_string_value("shop", "none", context))

    def versions(self, jobs: int = 5000) -> Counter[str]:
        return Counter(self.version(f"customer-{n}") for n in range(jobs))

    def has_read(self, word: str) -> bool:
        details = self._client.get_string_details("shop", "none")
        return bool(details.flag_metadata.get("split") == word)

    def close(self) -> None:
        from openfeature import api

        api.shutdown()


@pytest.fixture
def router(tmp_path: Path) -> Flagd:
    made = Flagd(file=str(tmp_path / "shop.json"), flag="shop", lag=seconds(0.3))
    Path(made.file).write_text(made.initial(THREE))
    return made


@pytest.fixture
def worker(router: Flagd) -> Iterator[Worker]:
    made = Worker(router.file)
    yield made
    made.close()


def give(router: Flagd, worker: Worker, serial: int, **traffic: Any) -> None:
    marker = Marker(generation=1, serial=serial)
    router.apply(THREE, Traffic(**traffic), marker=marker, expect=None)
    word = router._words(Path(router.file).read_text())[1]
    wait_until("the worker has read it", lambda: worker.has_read(word))


@pytest.mark.parametrize("share", [0, 1, 10, 50, 99, 100])
def test_shares_of_the_keys(router: Flagd, worker: Worker, share: float) -> None:
    """Four standard deviations."""
    give(router, worker, 1, candidate=percent(share))

    found = worker.versions()
    width = 4 * (5000 * share / 100 * (1 - share / 100)) ** 0.5
    assert abs(found["v2"] - 50 * share) <= width
    assert set(found) <= {"v1", "v2"}


def test_who_has_the_candidate_keeps_it_while_it_grows(router: Flagd, worker: Worker) -> None:
    had: set[int] = set()
    for serial, share in enumerate([1, 5, 20, 50, 100]):
        give(router, worker, serial, candidate=percent(share))
        have = {n for n in range(500) if worker.version(f"customer-{n}") == "v2"}
        assert have >= had
        had = have
    assert len(had) == 500


def test_what_has_no_key_has_stable_until_the_end(router: Flagd, worker: Worker) -> None:
    give(router, worker, 1, candidate=percent(99))
    assert worker.version(None) == "v1"
    give(router, worker, 2, candidate=percent(100))
    assert worker.version(None) == "v2"


def test_attributes_lead_to_the_candidate(router: Flagd, worker: Worker) -> None:
    odd = 'a.b*"\\é'
    give(router, worker, 1, matches=[Match(name="plan", value=odd)])

    assert worker.version("customer-1", plan=odd) == "v2"
    assert worker.version("customer-1", plan="A.B") == "v1"
    assert worker.versions(100) == {"v1": 100}


def test_three_versions(router: Flagd, worker: Worker) -> None:
    give(router, worker, 1, candidate=percent(30), baseline=percent(30))

    found = worker.versions()
    assert set(found) == {"v1", "v2", "v3"}
    assert 1300 < found["v2"] < 1700
    assert 1300 < found["v3"] < 1700


@to_the_end_or_back
def test_a_whole_rollout(router: Flagd, worker: Worker, failing: float) -> None:
    roll_out(router, THREE, failing)

    assert worker.versions(100) == {"v1" if failing else "v2": 100}
