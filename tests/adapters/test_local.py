"""Jobs on this machine: files that are replaced as a whole, programs that end, and HTTP beside
them; sync and async.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
from tests.support.envoy_process import wait_until
from tests.support.reporting_api import Api

from progressive.adapters import local
from progressive.adapters.flow import Fault
from progressive.adapters.http import Http, HttpClient, Request, Response
from progressive.adapters.local import (
    Ended,
    File,
    Job,
    LocalClient,
    LocalFlow,
    Pause,
    Program,
    ReadFile,
    WriteFile,
    ask,
    done,
)
from progressive.errors import ConflictError, Failure, RouterError, StrategyError

T = TypeVar("T")

posix = pytest.mark.skipif(sys.platform == "win32", reason="of POSIX")
PYTHON = sys.executable


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(
    flow: LocalFlow[T],
    colour: str,
    *,
    http: HttpClient | None = None,
    longest: timedelta = timedelta(seconds=10),
) -> T:
    client = LocalClient("here", RouterError, "Thing", http=http, longest=longest)
    return client.run(flow) if colour == "sync" else asyncio.run(client.arun(flow))


def failing(job: Job[Any], colour: str, **more: Any) -> RouterError:
    with pytest.raises(RouterError) as caught:
        run(done(job), colour, **more)
    return caught.value


# ---------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("text", ["", "a\n", "é\r\n", "\udcff broken"])
def test_what_was_written_is_read(tmp_path: Path, colour: str, text: str) -> None:
    path = str(tmp_path / "split.conf")

    def both() -> LocalFlow[File]:
        yield from done(WriteFile(path, text, None))
        found = yield from done(ReadFile(path))
        return found

    found = run(both(), colour)
    assert found.text == text
    assert 0 <= found.age < 60
    assert os.listdir(tmp_path) == ["split.conf"]


def test_a_file_that_is_not_there_is_an_answer(tmp_path: Path, colour: str) -> None:
    assert run(done(ReadFile(str(tmp_path / "none"))), colour) == File(None)


@pytest.mark.parametrize("was", [None, "", "old", "older"])
@pytest.mark.parametrize("there", [None, "old"])
def test_a_write_on_another_text_is_a_conflict(
    tmp_path: Path, colour: str, there: str | None, was: str | None
) -> None:
    path = tmp_path / "split.conf"
    if there is not None:
        path.write_text(there)
    job = WriteFile(str(path), "new", was)

    if there == was:
        run(done(job), colour)
        assert path.read_text() == "new"
    else:
        with pytest.raises(ConflictError, match=r"it was changed since it was read"):
            run(done(job), colour)
        assert (path.read_text() if path.exists() else None) == there
    assert len(os.listdir(tmp_path)) == int(path.exists())


@posix
def test_a_file_keeps_its_mode_and_its_links(tmp_path: Path, colour: str) -> None:
    real, link = tmp_path / "real.conf", tmp_path / "link.conf"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)

    run(done(WriteFile(str(link), "new", "old")), colour)

    assert link.is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_the_new_file_may_be_made_elsewhere(
    tmp_path: Path, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody who watches the folder sees it before it is whole."""
    watched, beside = tmp_path / "watched", tmp_path / "beside"
    watched.mkdir()
    beside.mkdir()

    seen: list[str] = []
    replace = os.replace

    def replaced(new: str, path: str) -> None:
        seen.append(os.path.dirname(new))
        replace(new, path)

    monkeypatch.setattr(local.os, "replace", replaced)
    run(done(WriteFile(str(watched / "split.yml"), "new", None, str(beside))), colour)

    assert seen == [str(beside)]
    assert os.listdir(watched) == ["split.yml"]
    assert os.listdir(beside) == []


@posix
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may give")
def test_a_file_keeps_its_owner(tmp_path: Path, colour: str) -> None:
    """Who reads it as that user would find it locked."""
    path = tmp_path / "split.conf"
    path.write_text("old")
    path.chmod(0o640)
    os.chown(path, 65534, 65534)

    run(done(WriteFile(str(path), "new", "old")), colour)

    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (65534, 65534, 0o640)


@posix
@pytest.mark.parametrize(
    ("mode", "group", "written"),
    [(0o600, True, False), (0o640, True, True), (0o640, False, False), (0o644, False, True)],
)
def test_a_file_that_its_reader_could_not_read_is_not_written(
    tmp_path: Path,
    colour: str,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    group: bool,
    written: bool,
) -> None:
    """As another user, who may give it the old group or not."""
    path = tmp_path / "split.conf"
    path.write_text("old")
    path.chmod(mode)
    real = os.fstat

    def another(fd: int) -> Any:
        found = real(fd)
        return type(found)((*found[:4], found.st_uid + 1, found.st_gid + 1, *found[6:]))

    def refuse(fd: int, owner: int, to: int) -> None:
        if owner != -1 or not group:
            raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(local.os, "fstat", another)
    monkeypatch.setattr(local.os, "chown", refuse)
    if written:
        run(done(WriteFile(str(path), "new", "old")), colour)
    else:
        error = failing(WriteFile(str(path), "new", "old"), colour)
        assert error.failure is Failure.PERMANENT
        assert "is another user's" in str(error)
    monkeypatch.undo()
    assert path.read_text() == ("new" if written else "old")
    assert os.listdir(tmp_path) == ["split.conf"]


@posix
def test_what_an_editor_saves_meanwhile_is_not_lost(
    tmp_path: Path, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may take long; the file is compared once more when the new one is there."""
    path = tmp_path / "split.conf"
    path.write_text("old")
    real = os.fsync

    def slow(fd: int) -> None:
        path.write_text("by hand")
        real(fd)

    monkeypatch.setattr(local.os, "fsync", slow)
    with pytest.raises(ConflictError, match="changed since it was read"):
        run(done(WriteFile(str(path), "new", "old")), colour)
    assert path.read_text() == "by hand"


@posix
def test_of_many_writers_one_is_first(tmp_path: Path) -> None:
    path = tmp_path / "split.conf"
    path.write_text("0")
    outcomes: list[Fault | None] = []

    def write(n: int) -> None:
        outcomes.append(WriteFile(str(path), str(n), "0").do(time.monotonic() + 10))

    writers = [threading.Thread(target=write, args=(n,)) for n in range(1, 21)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()

    assert outcomes.count(None) == 1
    assert {each.failure for each in outcomes if each is not None} == {Failure.CONFLICT}


@posix
def test_a_folder_that_stays_locked_is_said(tmp_path: Path, colour: str) -> None:
    import fcntl

    path = tmp_path / "split.conf"
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        short = timedelta(seconds=0.2)
        error = failing(WriteFile(str(path), "new", None), colour, longest=short)
    finally:
        os.close(fd)

    assert error.failure in (Failure.TRANSIENT, Failure.UNKNOWN)
    assert "is locked by another" in str(error) or "deadline" in str(error)
    assert not path.exists()


FAILING: dict[str, tuple[int, Failure, str]] = {
    "no right": (errno.EACCES, Failure.PERMANENT, "PermissionError"),
    "read-only": (errno.EROFS, Failure.PERMANENT, "Read-only"),
    "another disk": (errno.EXDEV, Failure.PERMANENT, "the two folders must be on one file system"),
    "full": (errno.ENOSPC, Failure.TRANSIENT, "No space"),
}


@pytest.mark.parametrize(("number", "failure", "said"), FAILING.values(), ids=FAILING)
def test_what_the_system_refuses_is_not_done(
    tmp_path: Path,
    colour: str,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    failure: Failure,
    said: str,
) -> None:
    path = tmp_path / "split.conf"
    path.write_text("old")

    def refuse(old: str, new: str) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(local.os, "replace", refuse)
    error = failing(WriteFile(str(path), "new", "old"), colour)

    assert error.failure is failure
    assert said in str(error)
    assert path.read_text() == "old"


def test_a_name_that_may_not_last_is_unknown(
    tmp_path: Path, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open
    opened: list[str] = []

    def once(path: Any, *more: Any) -> int:
        opened.append(str(path))
        if opened.count(str(path)) > 1:  # the first time to lock it
            raise OSError(errno.EIO, "I/O error")
        return real(path, *more)

    monkeypatch.setattr(local.os, "open", once)
    error = failing(WriteFile(str(tmp_path / "split.conf"), "new", None), colour)

    assert error.failure is Failure.UNKNOWN


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LARGEST", 3)
    path = tmp_path / "split.conf"
    path.write_text("long")

    assert "more than 3 bytes" in str(failing(ReadFile(str(path)), colour))


# -------------------------------------------------------------------------------------- programs


def test_a_program_ends_with_a_code_and_words(colour: str) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); print(input()); sys.exit(3)"
    ended = run(done(Program((PYTHON, "-c", code))), colour)

    assert ended.code == 1  # there is no input
    assert "out" in ended.output
    assert "err" in ended.output
    assert "EOFError" in ended.words
    assert run(done(Program((PYTHON, "-c", "raise SystemExit(3)"))), colour) == Ended(3, "")


@posix
@pytest.mark.parametrize("write", [False, True], ids=["reads", "writes"])
def test_a_program_that_does_not_end_is_stopped(tmp_path: Path, colour: str, write: bool) -> None:
    number = tmp_path / "number"
    code = f"""if 1:
        import os, pathlib, time
        child = os.fork()
        pathlib.Path({str(number)!r} + str(child and 1)).write_text(str(os.getpid()))
        time.sleep(600)
    """
    job = Program((PYTHON, "-c", code), write=write)
    error = failing(job, colour, longest=timedelta(seconds=1))

    assert error.failure is (Failure.UNKNOWN if write else Failure.TRANSIENT)
    assert "it was not over when the deadline passed" in str(error)
    for each in ("number0", "number1"):  # and what it had begun itself
        file = tmp_path / each
        wait_until("it has ended", lambda: not file.exists() or not runs(int(file.read_text())))  # noqa: B023


def runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_program_that_is_not_there_is_named(colour: str) -> None:
    error = failing(Program(("no-such-program-here", "-t"), write=True), colour)

    assert error.failure is Failure.PERMANENT
    assert "no-such-program-here -t: can't be run: No such file" in str(error)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EAGAIN, errno.ENOMEM])
def test_a_machine_that_is_full_may_be_asked_again(
    colour: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(local.subprocess, "Popen", full)
    job = Program(("true",))
    assert failing(job, colour, longest=timedelta(seconds=0.2)).failure is Failure.TRANSIENT


def test_a_job_that_hangs_is_left_in_time(colour: str) -> None:
    error = failing(Pause(3.0), colour, longest=timedelta(seconds=0.2))

    assert error.failure is Failure.TRANSIENT
    assert "wait 3 s" in str(error)


# ------------------------------------------------------------------------------------------ http


def both(path: str) -> LocalFlow[tuple[str | None, int]]:
    file = yield from done(ReadFile(path))
    answer = yield from ask(Request("GET", "/split"))
    return file.text, answer.status


def test_requests_go_beside_the_jobs(tmp_path: Path, colour: str, api: Api) -> None:
    (tmp_path / "a").write_text("text")
    http = HttpClient(Http(api.url), RouterError, "Thing")

    assert run(both(str(tmp_path / "a")), colour, http=http) == ("text", 200)
    http.close()


def test_a_request_that_fails_says_where(colour: str) -> None:
    http = HttpClient(
        Http("http://127.0.0.1:9", deadline=timedelta(seconds=0.1)), RouterError, "Thing"
    )
    with pytest.raises(RouterError, match=r"Thing at here: GET /split: http://127\.0\.0\.1:9: "):
        run(ask(Request("GET", "/split")), colour, http=http, longest=timedelta(seconds=0.2))


def test_it_closes_and_veils_what_its_requests_use() -> None:
    secret = Http("http://127.0.0.1:9", credentials="Bearer a-long-secret-token")
    http = HttpClient(secret, RouterError, "Thing")
    client = LocalClient("here", RouterError, "Thing", http=http)
    http._sign()

    assert client.veil("a-long-secret-token") == "***"
    client.close()
    alone = attrs.evolve(client, http=None)
    assert alone.veil("a-long-secret-token") == "a-long-secret-token"
    alone.close()


@attrs.frozen
class Holder:
    path: str = attrs.field(validator=local.is_path)


@pytest.mark.parametrize("wrong", ["split.conf", "", "/a\nb", 5, None])
def test_a_path_is_absolute(wrong: Any) -> None:
    with pytest.raises(StrategyError, match=r"no absolute path of a file"):
        Holder(wrong)


def test_response_is_what_a_request_gives() -> None:
    flow = ask(Request("GET", "/"))
    next(flow)
    with pytest.raises(StopIteration) as ended:
        flow.send(Response(status=204))
    assert ended.value.value == Response(status=204)
