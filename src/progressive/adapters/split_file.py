"""The base of a router whose system loads a file: the file is written as a whole, and what the
system says that it has loaded is what counts.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from abc import abstractmethod
from collections.abc import Collection
from typing import Final

import attrs

from progressive.errors import Failure, ProgressiveError, RouterError, StateError
from progressive.model.release import Release
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import percent

from . import parts
from .flow import after_write
from .local import Asked, LocalFlow, Pause, ReadFile, WriteFile, done
from .logs import ADAPTERS
from .router import Router
from .split import Split, home, weights_of

__all__ = ["FileSplit", "Loaded", "SplitFile", "refused"]

NAP: Final = 0.05
"""Seconds between two looks after a write."""


@attrs.frozen(kw_only=True)
class Loaded:
    """What a system says that it has loaded: the `Split.word`, empty if it knows of none.

    ``processes``: those that answer, where that can be told; and whether some of them ``linger``
    which answer by what was loaded before.
    """

    word: str
    processes: Collection[int] = ()
    linger: bool = False


@attrs.frozen(kw_only=True)
class FileSplit:
    """What stands in the file and what is loaded.

    ``split`` is None where the file is not as the router writes it, ``text`` too where there is
    none; ``loaded`` where the system was not asked. ``age``: of the file, in seconds.
    """

    text: str | None
    split: Split | None
    age: float
    loaded: Loaded | None = None

    @property
    def is_loaded(self) -> bool:
        return (
            self.split is not None
            and self.loaded is not None
            and self.loaded.word == self.split.word
        )


class SplitFile(Router[Asked, object, FileSplit]):
    """A router that writes one file, which a system loads.

    It gives the path (``_file``), the text of a split and what it reads of a text (``_text``,
    ``_words``), asks what is loaded (``_ask_loaded``), and may refuse a configuration
    (``_refuse_configuration``) or have the file loaded (``_load``).

    A file that is missing, or not as it was written, is read as everything on the candidate, not
    settled: it keeps a rollout from starting and traffic from being raised, and is written anew by
    what gives all to stable. A way back does not ask what is loaded before it writes.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def _file(self) -> str:
        """The path of the file."""

    @property
    def _beside(self) -> str:
        """The folder in which the new file is made; empty for that of the file."""
        return ""

    @property
    def _patience(self) -> float:
        """Seconds that a write waits until it is loaded."""
        return 2.0

    @abstractmethod
    def _text(self, split: Split) -> str:
        """The file of a split."""

    @abstractmethod
    def _words(self, text: str) -> tuple[str, str]:
        """`Split.plain` and `Split.word` as they stand in a file. May raise `ValueError`,
        `TypeError`, `LookupError` or `AttributeError` for what is none.
        """

    @abstractmethod
    def _ask_loaded(self, text: str | None) -> LocalFlow[Loaded]:
        """Ask the system what it has loaded; ``text`` is what the file has."""

    def _lingers(self, found: FileSplit) -> bool:
        """Whether those that linger are still waited for."""
        return found.loaded is not None and found.loaded.linger

    def _refuse_configuration(
        self, release: Release, traffic: Traffic, before: FileSplit, *, back: bool
    ) -> LocalFlow[None]:
        """Raise for what the rest of the configuration lacks; on a way back only if stable can't be
        reached.
        """
        yield from ()

    def _answering(self, *, needed: bool) -> LocalFlow[Collection[int]]:
        """The processes that answer before a write, where that can be told and is of use."""
        yield from ()
        return ()

    def _load(self, *, back: bool) -> LocalFlow[str]:
        """Have the file loaded; why it can't be, or nothing. By default the system sees it."""
        yield from ()
        return ""

    @property
    def _gives_up(self) -> bool:
        """Whether a raise that is not loaded in time is taken out of the file again."""
        return False

    def _notice(self, found: FileSplit, before: FileSplit) -> None:
        """Say what a write that is loaded has shown of the system."""
        return

    def _mend(self) -> str:
        """What to do where the system does not load it."""
        return f"look into the log of {self._client.system}"

    def _then(self) -> str:
        """What a person types behind the line that writes the file, to have it loaded."""
        return ""

    def undo(self, release: Release) -> str:
        """The line to type to give all traffic back to stable, where the file can be written. It
        closes the marker too: a driver that still runs goes back.
        """
        self._refuse(release, home(release))
        split = Split.of(release, home(release), Marker(generation=0, closed=True))
        text = self._text(split).replace('"0:0:1 ', '"@@ ')
        program = (
            "import fcntl, os, re, tempfile; "
            f"at = os.path.realpath({json.dumps(self._file)}); folder = os.path.dirname(at); "
            "fcntl.flock(os.open(folder, 0), 2); "
            "there = os.path.exists(at); "
            'old = open(at, errors="replace").read() if there else ""; '
            'was = re.search("\\"([0-9]+:[0-9]+):[01](:[a-z0-9]+)? ", old); '
            'mark = was[1] + ":1" + (was[2] or "") if was else "0:0:1"; '
            f"fd, new = tempfile.mkstemp(dir={json.dumps(self._beside)} or folder); "
            f'file = open(fd, "w"); file.write({json.dumps(text)}.replace("@@", mark)); '
            "s = os.stat(at if there else folder); n = os.stat(new); root = not os.getuid(); "
            "not there or (s.st_uid, s.st_gid) == (n.st_uid, n.st_gid) "
            "or not root and s.st_mode & 4 "
            "or os.chown(new, s.st_uid if root else -1, s.st_gid); "
            "os.chmod(new, s.st_mode & 0o7777 if there else 0o644); "
            "file.close(); os.replace(new, at)"
        )
        return f"python3 -c {shlex.quote(program)}{self._then()}"

    def initial(self, release: Release) -> str:
        """The text of the file before the first rollout: all traffic to stable, no marker."""
        self._refuse(release, home(release))
        return self._text(Split.of(release, home(release), None))

    def _where(self) -> str:
        return self._file

    def _read(self, release: Release) -> LocalFlow[FileSplit]:
        found = yield from self._asked((yield from self._file_now()), needed=True)
        return found

    def _before(self, release: Release, expect: str | None) -> LocalFlow[FileSplit]:
        """The file alone: a way back waits for no system that does not answer."""
        found = yield from self._file_now()
        return found

    def _file_now(self) -> LocalFlow[FileSplit]:
        file = yield from done(ReadFile(self._file))
        split = None if file.text is None else self._parsed(file.text)
        return FileSplit(text=file.text, split=split, age=file.age)

    def _goes_back(
        self, release: Release, traffic: Traffic, before: FileSplit, marker: Marker
    ) -> bool:
        """Nobody knows what a file serves that is not as it was written: over it, only what gives
        all to stable is a way back.
        """
        if before.split is None:
            return marker.closed or traffic == home(release)
        return super()._goes_back(release, traffic, before, marker)

    def _parsed(self, text: str) -> Split | None:
        try:
            split = Split.loads(*self._words(text))
            return split if self._text(split) == text else None
        except (ValueError, TypeError, LookupError, AttributeError, ProgressiveError):
            return None

    def _served(self, release: Release, found: FileSplit) -> Served:
        version = hashlib.sha256((found.text or "").encode("utf-8", "replace")).hexdigest()[:16]
        if found.split is None:
            everything = Traffic(candidate=percent(100))
            marker = _marker_in(found)
            return Served(traffic=everything, version=version, marker=marker, converged=False)
        here = found.split.part(release)
        both = [here]
        if found.loaded is not None and found.loaded.word and not found.is_loaded:
            there = parts.Part.of(release, weights_of(found.loaded.word))
            traffic = attrs.evolve(
                there.traffic,
                matches=here.traffic.matches,
                mirror=here.traffic.mirror,
                sticky=here.traffic.sticky,
            )
            both.append(attrs.evolve(there, traffic=traffic))
        return parts.served(
            both,
            version=version,
            marker=found.split.marker,
            converged=found.is_loaded
            and not self._lingers(found)
            and not found.split.leads_away(release),
        )

    def _refuse_found(self, release: Release, found: FileSplit) -> None:
        if found.text is None:
            raise refused(
                f"{self._file} is not there; have {self._client.system} load it, with what "
                f"{type(self).__name__}(...).initial(release) gives"
            )
        if found.split is None:
            raise refused(
                f"{self._file} is not as it was written: edited by hand? Put back what "
                f"{type(self).__name__}(...).initial(release) gives"
            )

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: FileSplit
    ) -> LocalFlow[FileSplit]:
        back = self._goes_back(release, traffic, before, marker)
        text = self._text(Split.of(release, traffic, marker))
        if not back or text == before.text:
            found = yield from self._asked(before, needed=not back)
            if text == found.text and found.is_loaded:
                return found
        yield from self._refuse_configuration(release, traffic, before, back=back)
        earlier = yield from self._answering(needed=not back)
        yield from self._replace(text, before.text)
        failed = yield from self._load(back=back)
        if failed and not back and before.text is not None:
            yield from self._replace(before.text, text)
            raise refused(f"{failed}; {self._file} is as it was")
        if failed:
            raise RouterError(
                f"{failed}; {self._file} has {traffic} and {self._client.system} has not loaded "
                "it: mend what it says, and have it loaded",
                failure=Failure.UNKNOWN,
            )
        with after_write():
            found = yield from self._awaited(text, before, earlier)
            if self._gives_up and not found.is_loaded and found.text == text and not back:
                assert before.text is not None  # nothing is raised without a file
                yield from self._replace(before.text, text)
                raise RouterError(
                    f"{self._client.system} has not loaded {traffic}; {self._mend()}; "
                    f"{self._file} is as it was",
                    failure=Failure.UNKNOWN,
                )
        return found

    def _asked(self, found: FileSplit, *, needed: bool) -> LocalFlow[FileSplit]:
        """The same with what is loaded; without it if that can't be had and is not ``needed``."""
        try:
            loaded = yield from self._ask_loaded(found.text)
        except RouterError:
            if needed:
                raise
            return found
        return attrs.evolve(found, loaded=loaded)

    def _replace(self, text: str, was: str | None) -> LocalFlow[None]:
        if text != was:
            yield from done(WriteFile(self._file, text, was, self._beside))

    def _awaited(
        self, text: str, before: FileSplit, earlier: Collection[int]
    ) -> LocalFlow[FileSplit]:
        """Look until the file is loaded, and those that answered ``earlier`` are gone."""
        patience = min(self._patience, self._client.deadline.total_seconds() / 2)
        looks = round(patience / NAP)
        while True:
            found = yield from self._asked((yield from self._file_now()), needed=True)
            assert found.loaded is not None  # it was asked
            gone = frozenset(earlier).isdisjoint(found.loaded.processes)
            if found.text != text or (found.is_loaded and gone):
                self._notice(found, before)
                return found
            if not looks:
                break
            looks -= 1
            yield from done(Pause(NAP))
        if not found.is_loaded and patience:
            ADAPTERS.warning(
                "%s: written, and %s has not loaded it after %g s; %s",
                self._file,
                self._client.system,
                patience,
                self._mend(),
            )
        return found


def _marker_in(found: FileSplit) -> Marker | None:
    """The marker that can still be found where a file is gone, or is not as it was written."""
    loaded = f'"{found.loaded.word}' if found.loaded is not None else ""
    match = re.search(r'"(\d{1,19}:\d{1,19}:[01](?::[a-z][a-z0-9]{0,31})?) ', found.text or loaded)
    try:
        return None if match is None else Marker.loads(match[1])
    except StateError:
        return None


def refused(why: str) -> RouterError:
    """The error for what can't be done before somebody mends it."""
    return RouterError(why, failure=Failure.PERMANENT)
