"""`Progress` over a real Envoy that dies in the middle: the terminal says so at the next read."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from tests.support.envoy_process import EnvoyProcess, wait_until
from tests.support.haproxy_process import Users
from tests.support.releases import TWO

from progressive import Canary, Limit, Ports, hours, percent, percents, run, seconds, start, submit
from progressive.metrics.envoy import ERRORS, EnvoyStats
from progressive.observers.progress import Progress
from progressive.ports import utcnow
from progressive.rollout.events import Abort
from progressive.routers.envoy import Envoy
from progressive.stores.sqlite import SqliteStore

pytestmark = pytest.mark.real


class Said(io.StringIO):
    """What a terminal would show, in lines."""

    def has(self, *words: str) -> bool:
        return any(all(word in line for word in words) for line in self.getvalue().splitlines())


def test_the_terminal_says_when_the_proxy_dies_when_it_is_back_and_who_took_it_back(
    envoy: EnvoyProcess, tmp_path: Path
) -> None:
    said, store = Said(), SqliteStore(tmp_path / "rollouts.db")
    canary = Canary(
        weights=percents(50, 100),
        bake=hours(1),
        interval=seconds(1),
        watch_every=seconds(2),
        checks=[Limit(ERRORS, at_most=percent(50))],
    )
    with (
        Envoy(admin=envoy.admin, prefix="app") as router,
        EnvoyStats(admin=envoy.admin, flush=seconds(0.2)) as stats,
    ):
        ports = Ports(router=router, metrics=[stats], store=store, observers=[Progress(file=said)])
        start(canary, TWO, id="shop-2", ports=ports)
        driver = threading.Thread(target=run, args=("shop-2", ports), daemon=True)
        driver.start()
        with Users(int(envoy.url.rpartition(":")[2])):
            wait_until("it serves", lambda: said.has("serves 50 % candidate"))

        envoy.stop()
        wait_until("it is said", lambda: said.has("read failed", "ConnectError"))
        envoy.start()
        wait_until("the weights are seen to be lost", lambda: said.has("held"))
        submit(store, "shop-2", Abort(at=utcnow(), by="eve", why="it was restarted"))
        driver.join()

    assert said.has("eve: abort (it was restarted)")
    assert said.has("rolled_back")
    assert envoy.get(20) == {"v1": 20}
