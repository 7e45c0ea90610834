"""A router on trial: it is read and written as a driver does it, and every single read and write is
looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, TypeAlias

import attrs

from progressive.errors import ConflictError, Failure, RouterError
from progressive.model.release import Release
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import MILLION, Percent

from ._laws import Spoken, because, must, must_answer

Settle: TypeAlias = timedelta | Callable[[], object]
"""How long a write may take to show, or what makes it show."""

Edit: TypeAlias = Callable[[Traffic], object]
"""What somebody else does to the system, behind the router's back."""

POLL: Final = 0.05
"""Seconds between two reads while a write is awaited: a proxy that lags does so for a second or
two.
"""

FIRST: Final = 9
"""The generation to begin with where there is no marker yet: the next one is 10, which is less only
for who compares text.
"""

STABLE_ONLY: Final = Traffic()


@attrs.define
class Trial:
    """A router in one colour. ``marker`` is that of our last write; every write has a newer one
    unless a law says otherwise.
    """

    router: Spoken
    release: Release
    able: Capabilities
    settle: Settle
    edit: Edit | None
    marker: Marker = Marker(generation=0)

    @classmethod
    def of(cls, router: Spoken, release: Release, *, settle: Settle, edit: Edit | None) -> Trial:
        """Look at what was handed over. Nothing is written."""
        trial = cls(router, release, _able(router, release), settle, edit)
        found = trial.read()
        must(
            shows(found, STABLE_ONLY),
            f"{router.named('read')} says that not all traffic is on stable",
            expected="all of it on stable, before anything is tried",
            came=shown(found),
            mend="hand the system over with all traffic on stable; if it is, read does not tell",
        )
        trial.marker = Marker(
            generation=FIRST if found.marker is None else found.marker.generation + 1
        )
        return trial

    @property
    def smallest(self) -> Traffic:
        """The least that the candidate can be given."""
        return Traffic(candidate=self.able.smallest_weight)

    def read(self) -> Served:
        """What the router says, if it says it in our words."""
        with must_answer(self.router.named("read"), RouterError):
            found = self.router("read", self.release)
        return self._served(
            "read",
            found,
            mend="say in our words what the system serves; stable gets what the others leave",
        )

    def write(
        self, traffic: Traffic, *, marker: Marker | None = None, unconditional: bool = False
    ) -> Served:
        """Apply it as a driver does, on what was read just now, and see that it is so: the law of
        every write.
        """
        expect = None if unconditional else self.read().version
        self.marker = marker or self.newer
        read, apply = self.router.named("read"), self.router.named("apply")
        with must_answer(
            f"{apply}({traffic}, marker={self.marker}, expect={expect!r})",
            RouterError,
            ConflictError,
        ):
            answered = self.router(
                "apply", self.release, traffic, marker=self.marker, expect=expect
            )
        self._served("apply", answered, mend="end apply with `return self.read(release)`")
        seen = self.settled(traffic)
        late = (
            ""
            if self.settle
            else "; if it only takes a moment to show, say how long: settle=seconds(2)"
        )
        must(
            shows(seen, traffic),
            f"after {apply}({traffic}), {read} says something else",
            expected=traffic,
            came=shown(seen),
            mend="serve exactly what was asked for, or declare in capabilities what the router "
            f"can do{late}",
        )
        must(
            not self.able.marker or seen.marker == self.marker,
            f"after {apply}({traffic}), {read} does not give the marker back",
            expected=self.marker,
            came=seen.marker,
            mend="keep all three fields of the marker on the router's object, or leave "
            f"marker=True out of capabilities{late}",
        )
        must(
            self.settle or answered == seen,
            f"{apply}({traffic}) was answered with something else than what {read} says afterwards",
            expected=differing(seen, answered),
            came=differing(answered, seen),
            mend="the answer is what the system says after the write, not what was asked for: "
            "end apply with `return self.read(release)`",
        )
        return seen

    def refused(
        self,
        error: type[ConflictError | RouterError],
        what: str,
        traffic: Traffic,
        *,
        mend: str,
        marker: Marker | None = None,
        expect: str | None = None,
        release: Release | None = None,
    ) -> None:
        """See that a write is refused with ``error``, and that nothing was written."""
        before, apply = self.read(), self.router.named("apply")
        expected = f"{error.__name__}, and nothing written"
        came: object
        try:
            came = self.router(
                "apply",
                release or self.release,
                traffic,
                marker=marker or self.newer,
                expect=expect,
            )
        except error as refusal:
            came = getattr(refusal, "failure", Failure.PERMANENT)
            if came is not Failure.PERMANENT:
                wrong = f"{apply} refused {what}, and says that it may be asked again"
                raise because(
                    wrong,
                    "failure=Failure.PERMANENT",
                    came,
                    "nothing was sent, and it will be refused again",
                ) from refusal
        except Exception as refusal:
            raise because(
                f"{apply} refused {what} with another error", expected, refusal, mend
            ) from refusal
        else:
            raise because(
                f"{apply} took {what}",
                expected,
                shown(came) if isinstance(came, Served) else came,
                mend,
            )
        self._pause()
        after = self.read()
        must(
            _state(after) == _state(before),
            f"{apply} refused {what}, but wrote all the same",
            expected=differing(before, after),
            came=differing(after, before),
            mend="compare first, and raise before anything is sent",
        )

    def settled(self, traffic: Traffic) -> Served:
        """The first read that shows ``traffic`` and our marker, or the last one when the time is
        over.
        """
        if not isinstance(self.settle, timedelta):
            self.settle()
            return self.read()
        end = time.monotonic() + self.settle.total_seconds()
        while True:
            seen = self.read()
            if (
                shows(seen, traffic) and (not self.able.marker or seen.marker == self.marker)
            ) or time.monotonic() >= end:
                return seen
            time.sleep(POLL)

    @property
    def newer(self) -> Marker:
        """The marker of the next decision of this rollout."""
        return attrs.evolve(self.marker, serial=self.marker.serial + 1)

    def next_rollout(self) -> None:
        """Go on as the one after this, which claims the next generation."""
        self.marker = Marker(generation=self.marker.generation + 1)

    def _served(self, verb: str, found: object, *, mend: str) -> Served:
        must(
            isinstance(found, Served),
            f"{self.router.named(verb)} gave no Served",
            expected="Served(traffic=Traffic(candidate=...), ...)",
            came=repr(found),
            mend=mend,
        )
        assert isinstance(found, Served)
        return found

    def _pause(self) -> None:
        if isinstance(self.settle, timedelta):
            time.sleep(self.settle.total_seconds())
        else:
            self.settle()


@contextmanager
def on_trial(trial: Trial) -> Iterator[None]:
    """All traffic is on stable afterwards; where a law was broken and the way back fails too, the
    error says so.
    """
    try:
        yield
        trial.next_rollout()
        trial.write(STABLE_ONLY)
    except BaseException as error:
        left = _take_back(trial)
        if left:
            error.add_note(
                f"The way back to stable failed too: {left}. Look where the traffic goes."
            )
        raise


def _take_back(trial: Trial) -> str:
    """Why not all traffic could be given back to stable; empty if it was."""
    trial.next_rollout()
    try:
        trial.router("apply", trial.release, STABLE_ONLY, marker=trial.marker, expect=None)
        left = trial.settled(STABLE_ONLY)
    except (Exception, AssertionError) as failure:
        return f"{type(failure).__name__}: {failure}"
    return "" if shows(left, STABLE_ONLY) else f"the router serves {shown(left)}"


# ----------------------------------------------------------------------------------------- in words


def _able(router: Spoken, release: Release) -> Capabilities:
    able = getattr(router.port, "capabilities", None)
    what = f"{type(router.port).__name__}.capabilities"
    must(
        isinstance(able, Capabilities),
        f"{what} does not say what the router can do",
        expected="Capabilities(smallest_weight=percent(1), ...)",
        came=repr(able),
        mend="make it an attribute or a property; what is not declared is never asked for",
    )
    assert isinstance(able, Capabilities)
    smallest = able.smallest_weight
    must(
        isinstance(smallest, Percent) and smallest.ppm and not MILLION % smallest.ppm,
        f"{what}.smallest_weight does not divide 100 %",
        expected="a percent(...) above 0 of which 100 % is a multiple, as every weight has to be",
        came=repr(smallest),
        mend="such as percent(1), percent(0.1), or percent(100) for a router that can only switch",
    )
    must(
        release.stable is not None,
        "a router is tried with two versions",
        expected="a release with a stable version, which serves everything now",
        came=release,
        mend="pass Release(service=..., stable=Version(...), candidate=Version(...))",
    )
    must(
        release.baseline is not None or not able.baseline,
        f"{what}.baseline can't be tried",
        expected="a release with a baseline, because the router declares that it can give it "
        "traffic",
        came=release,
        mend="pass Release(..., baseline=Version(...)), or leave baseline=True out of capabilities",
    )
    return able


def shows(served: Served, traffic: Traffic) -> bool:
    """Does a driver take this for ``traffic``, verified?"""
    return served.traffic == traffic and served.settled and not served.elsewhere.ppm


def shown(served: Served) -> str:
    """What a driver looks at, in words."""
    elsewhere = f", {served.elsewhere} elsewhere" if served.elsewhere.ppm else ""
    return f"{served.traffic}{elsewhere}{'' if served.settled else ', not settled'}"


def differing(one: Any, other: Any) -> str:
    """The fields in which the first is not like the second, as the first has them."""
    names = [
        field.name
        for field in attrs.fields(type(one))
        if getattr(one, field.name) != getattr(other, field.name)
    ]
    return ", ".join(f"{name}={getattr(one, name)}" for name in names)


def _state(served: Served) -> tuple[object, ...]:
    """All that a write could change; who runs where may change by itself."""
    return served.traffic, served.elsewhere, served.marker, served.version
