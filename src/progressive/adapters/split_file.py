"""The base of a router whose system loads a file: the file is written as a whole, and what the
system says that it has loaded is what counts.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from abc import abstractmethod
from collections.abc import Collection
from typing import Final

import attrs

from progressive.errors import Failure, ProgressiveError, RouterError
from progressive.model.release import Release
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import percent

from . import parts
from .flow import after_write
from .local import Asked, LocalFlow, Pause, ReadFile, WriteFile, done
from .logs import ADAPTERS
from .router import Router, goes_back
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
    none; ``loaded`` is None where the system did not say, and ``why`` has the reason. ``age``: of
    the file, in seconds.
    """

    text: str | None
    split: Split | None
    loaded: Loaded | None
    age: float
    why: str = ""

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
    a way back. A way back is also written where the system does not answer; a raise that can't be
    loaded is taken back.
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

    def _load(self) -> LocalFlow[str]:
        """Have the file loaded; why it can't be, or nothing. By default the system sees it."""
        yield from ()
        return ""

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
            "import os, re, shutil; "
            f"at = os.path.realpath({json.dumps(self._file)}); "
            f"new = os.path.join({json.dumps(self._beside)} or os.path.dirname(at), "
            '"." + os.path.basename(at) + ".undo"); '
            "there = os.path.exists(at); "
            'old = open(at, errors="replace").read() if there else ""; '
            'was = re.search("\\"([0-9]+:[0-9]+):[01](:[a-z0-9]+)? ", old); '
            'mark = was[1] + ":1" + (was[2] or "") if was else "0:0:1"; '
            f'file = open(new, "w"); file.write({json.dumps(text)}.replace("@@", mark)); '
            "file.close(); there and shutil.copymode(at, new); os.replace(new, at)"
        )
        return f"python3 -c {shlex.quote(program)}{self._then()}"

    def initial(self, release: Release) -> str:
        """The text of the file before the first rollout: all traffic to stable, no marker."""
        self._refuse(release, home(release))
        return self._text(Split.of(release, home(release), None))

    def _where(self) -> str:
        return self._file

    def _read(self, release: Release) -> LocalFlow[FileSplit]:
        found = yield from self._found(asked=True)
        return found

    def _before(self, release: Release, expect: str | None) -> LocalFlow[FileSplit]:
        found = yield from self._found(asked=False)
        return found

    def _found(self, *, asked: bool) -> LocalFlow[FileSplit]:
        file = yield from done(ReadFile(self._file))
        loaded, why = None, ""
        try:
            loaded = yield from self._ask_loaded(file.text)
        except RouterError as error:
            if asked:
                raise
            why = str(error)
        split = None if file.text is None else self._parsed(file.text)
        return FileSplit(text=file.text, split=split, loaded=loaded, age=file.age, why=why)

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
            return Served(traffic=everything, version=version, converged=False)
        here = found.split.part(release)
        both = [here]
        if found.loaded is not None and found.loaded.word and not found.is_loaded:
            there = parts.Part.of(release, weights_of(found.loaded.word))
            traffic = attrs.evolve(
                there.traffic, matches=here.traffic.matches, mirror=here.traffic.mirror
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
        if found.loaded is None:
            raise RouterError(found.why, failure=Failure.TRANSIENT)

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: FileSplit
    ) -> LocalFlow[FileSplit]:
        back = goes_back(traffic, self._served(release, before), marker)
        text = self._text(Split.of(release, traffic, marker))
        if text == before.text and before.is_loaded:
            return before
        yield from self._refuse_configuration(release, traffic, before, back=back)
        yield from self._replace(text, before.text)
        failed = yield from self._load()
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
            found = yield from self._awaited(text, before)
        return found

    def _replace(self, text: str, was: str | None) -> LocalFlow[None]:
        if text != was:
            yield from done(WriteFile(self._file, text, was, self._beside))

    def _awaited(self, text: str, before: FileSplit) -> LocalFlow[FileSplit]:
        """Look until the file is loaded, and those that answered before are gone."""
        earlier = frozenset(() if before.loaded is None else before.loaded.processes)
        for _ in range(max(1, round(self._patience / NAP))):
            found = yield from self._found(asked=True)
            assert found.loaded is not None  # it was asked
            gone = earlier.isdisjoint(found.loaded.processes)
            if found.text != text or (found.is_loaded and gone):
                self._notice(found, before)
                return found
            if self._patience:
                yield from done(Pause(NAP))
        if not found.is_loaded and self._patience:
            ADAPTERS.warning(
                "%s: written, and %s has not loaded it after %g s; %s",
                self._file,
                self._client.system,
                self._patience,
                self._mend(),
            )
        return found


def refused(why: str) -> RouterError:
    """The error for what can't be done before somebody mends it."""
    return RouterError(why, failure=Failure.PERMANENT)
