"""A router on trial: read and written as by a driver, every single answer looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, Final, TypeAlias

import attrs

from progressive.errors import ConflictError, Failure, RouterError
from progressive.model.release import Release
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import MILLION, Percent

from .laws import BoundPort, LawBroken, NotTried, Outcome, broken, must, must_answer
from .outages import Outages, Settle, first

Edit: TypeAlias = Callable[[Traffic], object]
"""Changes what the system serves, behind the router's back."""

FIRST: Final = 9
"""The generation to begin with where there is no marker: the next one is 10, which is less only in
an order of texts.
"""

STABLE_ONLY: Final = Traffic()

NEIGHBOUR: Final = "a neighbour is left alone"


@attrs.frozen(kw_only=True)
class Setup:
    """The arguments of `check_router`, which says what each is for."""

    release: Release
    settle: Settle
    edit: Edit | None
    beside: Release | None
    third_version: Callable[[Percent], object] | None
    bad_names: Sequence[str] | None
    writes: Callable[[], int] | None
    undo: Callable[[str], object] | None
    parts: Mapping[str, Callable[[], AbstractContextManager[object]]]
    outages: Outages


def claim(generation: int) -> Marker:
    """The first marker of a rollout that claims a generation."""
    return Marker(generation=generation, owner=Marker.owner_of(f"the rollout of {generation}"))


@attrs.define
class Trial:
    """A router through one kind of its methods.

    ``marker`` is that of our last write; every write has a newer one unless a law says otherwise.
    ``neighbour`` is what the second release is served. ``outcomes`` says how calls on a broken
    system ended, to compare sync with async.
    """

    router: BoundPort
    setup: Setup
    able: Capabilities
    marker: Marker = Marker(generation=0)
    neighbour: Served | None = None
    outcomes: dict[str, str] = attrs.field(factory=dict)
    undo_line: str = ""

    @classmethod
    def of(cls, router: BoundPort, setup: Setup) -> Trial:
        """Look at what was handed over. Nothing is written."""
        trial = cls(router, setup, _able(router, setup.release))
        found = trial.read()
        must(
            found.shows(STABLE_ONLY),
            f"{router.named('read')} says that not all traffic is on stable",
            expected="all of it on stable, before anything is tried",
            seen=shown(found),
            hint="hand the system over with all traffic on stable; if it is so, read does not tell",
        )
        trial.marker = claim(FIRST if found.marker is None else found.marker.generation + 1)
        return trial

    @property
    def release(self) -> Release:
        """The release on trial."""
        return self.setup.release

    @property
    def smallest(self) -> Traffic:
        """The least that the candidate can be given."""
        return Traffic(candidate=self.able.smallest_weight)

    @property
    def half(self) -> Percent:
        """Half of the traffic, rounded down to what the router can give; else everything."""
        smallest = self.able.smallest_weight.ppm
        return Percent(MILLION // 2 // smallest * smallest or MILLION)

    @property
    def newer(self) -> Marker:
        """The marker of the next decision of this rollout."""
        return attrs.evolve(self.marker, serial=self.marker.serial + 1)

    def next_rollout(self) -> None:
        """Go on as the rollout after this one, which claims the next generation."""
        self.marker = claim(self.marker.generation + 1)

    # ----------------------------------------------------------------------------- reads and writes

    def read(self, release: Release | None = None) -> Served:
        """Read, and see that it is answered with a `Served`."""
        with must_answer(self.router.named("read"), RouterError):
            found = self.router("read", release or self.release)
        return self.served(
            "read",
            found,
            hint="describe with it what the system serves; stable gets what the others leave",
        )

    def write(
        self, traffic: Traffic, *, marker: Marker | None = None, unconditional: bool = False
    ) -> Served:
        """Apply it as a driver does, and see that it is so: the law of every write."""
        expect = None if unconditional else self.read().version
        self.marker = marker or self.newer
        apply = self.router.named("apply")
        with must_answer(
            f"{apply}({traffic}, marker={self.marker}, expect={expect!r})",
            RouterError,
            ConflictError,
        ):
            answered = self.router(
                "apply", self.release, traffic, marker=self.marker, expect=expect
            )
        seen = self.confirm(traffic, answered)
        self.see_neighbour(f"{apply}({traffic})")
        return seen

    def confirm(self, traffic: Traffic, answered: object) -> Served:
        """See that a write is served, with its marker, and was answered with what is served."""
        read, apply = self.router.named("read"), self.router.named("apply")
        self.served("apply", answered, hint="end apply with `return self.read(release)`")
        seen = self.settled(traffic)
        late = (
            ""
            if self.setup.settle
            else "; if it only takes a moment to show, say how long: settle=seconds(2)"
        )
        must(
            seen.shows(traffic),
            f"after {apply}({traffic}), {read} says something else",
            expected=traffic,
            seen=shown(seen),
            hint="serve exactly what was asked for, or declare in capabilities what the "
            f"router can do{late}",
        )
        must(
            not self.able.marker or seen.marker == self.marker,
            f"after {apply}({traffic}), {read} does not give the marker back",
            expected=self.marker,
            seen=seen.marker,
            hint="keep all three fields of the marker on the router's object, or leave "
            f"marker=True out of capabilities{late}",
        )
        must(
            self.setup.settle or answered == seen,
            f"{apply}({traffic}) was answered with something else than what {read} says afterwards",
            expected=differing(seen, answered),
            seen=differing(answered, seen),
            hint="the answer is what the system says after the write, not what was asked for: "
            "end apply with `return self.read(release)`",
        )
        return seen

    def refused(
        self,
        error: type[ConflictError | RouterError],
        what: str,
        traffic: Traffic,
        *,
        hint: str,
        marker: Marker | None = None,
        expect: str | None = None,
        release: Release | None = None,
    ) -> None:
        """See that a write is refused with ``error``, and that nothing was written."""
        before, apply = self.read(), self.router.named("apply")
        sent = self.count_writes()
        expected = f"{error.__name__}, and nothing written"
        seen: object
        try:
            seen = self.router(
                "apply",
                release or self.release,
                traffic,
                marker=marker or self.newer,
                expect=expect,
            )
        except error as refusal:
            failure = getattr(refusal, "failure", Failure.PERMANENT)
            if failure is not Failure.PERMANENT:
                raise broken(
                    f"{apply} refused {what}, and says that it may be asked again",
                    expected="failure=Failure.PERMANENT",
                    seen=failure,
                    hint="nothing was sent, and it will be refused again",
                ) from refusal
        except Exception as refusal:
            wrong = f"{apply} refused {what} with another error"
            raise broken(wrong, expected=expected, seen=refusal, hint=hint) from refusal
        else:
            seen = shown(seen) if isinstance(seen, Served) else seen
            raise broken(f"{apply} took {what}", expected=expected, seen=seen, hint=hint)
        self.pause()
        self.unchanged(before, f"{apply} refused {what}, but wrote all the same")
        # Where the system itself compares, a write with a stale version has to be sent.
        if expect is None:
            self.nothing_sent(sent, f"{apply} refused {what}, but only after it had sent a write")

    def unchanged(self, before: Served, what: str) -> None:
        """See that nothing of ours and nothing of the neighbour's has changed."""
        after = self.read()
        must(
            state(after) == state(before),
            what,
            expected=differing(before, after),
            seen=differing(after, before),
            hint="compare first, and raise before anything is sent",
        )
        self.see_neighbour(what)

    def settled(self, traffic: Traffic) -> Served:
        """The first read that shows ``traffic`` and our marker, or the last one in time."""
        return self.first(
            lambda seen: (
                seen.shows(traffic) and (not self.able.marker or seen.marker == self.marker)
            )
        )

    def first(self, right: Callable[[Served], bool]) -> Served:
        """The first read that is ``right``, or the last one when the time to settle is over."""
        seen: Served = first(self.read, right, self.setup.settle)
        return seen

    def pause(self) -> None:
        """Let a write show that should not have been made."""
        if isinstance(self.setup.settle, timedelta):
            time.sleep(self.setup.settle.total_seconds())
        else:
            self.setup.settle()

    def served(self, verb: str, found: object, *, hint: str) -> Served:
        """See that an answer is a `Served`."""
        must(
            isinstance(found, Served),
            f"{self.router.named(verb)} gave no Served",
            expected="Served(traffic=Traffic(candidate=...), ...)",
            seen=repr(found),
            hint=hint,
        )
        assert isinstance(found, Served)
        return found

    # -------------------------------------------------------------------------------- the arguments

    def count_writes(self) -> int | None:
        """How many writes the system was sent so far; None if the test can't count them."""
        return None if self.setup.writes is None else self.setup.writes()

    def nothing_sent(self, before: int | None, what: str) -> None:
        """See that no write was sent since `count_writes` gave ``before``."""
        after = self.count_writes()
        must(
            before == after,
            what,
            expected=f"{before} writes in all, as before",
            seen=after,
            hint="look at what was asked for and at the marker first, and raise before "
            "anything is sent",
        )

    def attempt(self, verb: str, *arguments: object, **named: object) -> Outcome:
        """Call the router while the system is broken."""
        return self.router.watched(
            self.setup.outages.within, verb, self.release, *arguments, **named
        )

    # -------------------------------------------------------------------------------- the neighbour

    def move_in(self) -> None:
        """Give the candidate of the second release a share, and see that ours does not notice."""
        beside = self.setup.beside
        if beside is None:
            raise NotTried(
                "beside=",
                "a second release that the same system serves, to see that its traffic is "
                "not moved",
            )
        must(
            beside.service != self.release.service,
            "beside= has the service of the release on trial",
            expected=f"another service than {self.release.service!r}",
            seen=beside,
            hint="pass Release(service=<another one that the system serves>, stable=..., "
            "candidate=...)",
        )
        before, theirs = self.read(), self.read(beside)
        must(
            theirs.shows(STABLE_ONLY),
            f"{self.router.named('read')} says that not all traffic of {beside.service} is "
            "on stable",
            expected="all of it on stable, before anything is tried",
            seen=shown(theirs),
            hint="hand both services over with all traffic on stable",
        )
        generation = FIRST if theirs.marker is None else theirs.marker.generation + 1
        share = Traffic(candidate=self.half)
        self._write_beside(share, claim(generation))
        self.neighbour = self._read_beside(share)
        must(
            self.neighbour.shows(share),
            f"{self.router.named('apply')} did not serve {beside.service} what it was told to",
            expected=share,
            seen=shown(self.neighbour),
            hint="read and write what belongs to release.service, and nothing else",
        )
        self.unchanged(
            before,
            f"{self.router.named('apply')} for {beside.service} changed {self.release.service} too",
        )

    def move_out(self) -> None:
        """Give all traffic of the second release back to its stable version."""
        if self.neighbour is not None:
            there = self.neighbour.marker
            self.neighbour = None
            self._write_beside(STABLE_ONLY, claim(FIRST if there is None else there.generation + 1))

    def see_neighbour(self, call: str) -> None:
        """See that a call has left the second release as it was: share, marker and version."""
        before = self.neighbour
        if before is None:
            return
        assert self.setup.beside is not None
        after = self.read(self.setup.beside)
        must(
            state(after) == state(before),
            f"{call} for {self.release.service} changed {self.setup.beside.service}, which "
            "the same system serves",
            expected=differing(before, after),
            seen=differing(after, before),
            hint="read and write what belongs to release.service, and nothing else; let "
            "version be of that alone",
            law=NEIGHBOUR,
        )

    def _write_beside(self, traffic: Traffic, marker: Marker) -> None:
        beside = self.setup.beside
        assert beside is not None
        call = f"{self.router.named('apply')}({traffic}) for {beside.service}"
        with must_answer(call, RouterError, ConflictError):
            self.router("apply", beside, traffic, marker=marker, expect=self.read(beside).version)

    def _read_beside(self, traffic: Traffic) -> Served:
        self.first(lambda _: self.read(self.setup.beside).shows(traffic))
        return self.read(self.setup.beside)


@contextmanager
def on_trial(trial: Trial) -> Iterator[None]:
    """See to it that all traffic is on stable afterwards, also when a law is broken."""
    try:
        yield
        trial.next_rollout()
        trial.write(STABLE_ONLY)
        trial.move_out()
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
        trial.move_out()
    except LawBroken as failure:
        return failure.what
    except Exception as failure:
        return f"{type(failure).__name__}: {failure}"
    return "" if left.shows(STABLE_ONLY) else f"the router serves {shown(left)}"


# -------------------------------------------------------------------------------------------- words


def _able(router: BoundPort, release: Release) -> Capabilities:
    able = getattr(router.port, "capabilities", None)
    what = f"{type(router.port).__name__}.capabilities"
    must(
        isinstance(able, Capabilities),
        f"{what} does not say what the router can do",
        expected="Capabilities(smallest_weight=percent(1), ...)",
        seen=repr(able),
        hint="make it an attribute or a property; what is not declared is never asked for",
    )
    assert isinstance(able, Capabilities)
    smallest = able.smallest_weight
    must(
        isinstance(smallest, Percent) and smallest.ppm and not MILLION % smallest.ppm,
        f"{what}.smallest_weight does not divide 100 %",
        expected="a percent(...) above 0 of which 100 % is a multiple, as every weight has to be",
        seen=repr(smallest),
        hint="such as percent(1), percent(0.1), or percent(100) for a router that can only switch",
    )
    must(
        release.stable is not None,
        "a router is tried with two versions",
        expected="a release with a stable version, which serves everything now",
        seen=release,
        hint="pass Release(service=..., stable=Version(...), candidate=Version(...))",
    )
    must(
        release.baseline is not None or not able.baseline,
        f"{what}.baseline can't be tried",
        expected="a release with a baseline, because the router declares that it can give it "
        "traffic",
        seen=release,
        hint="pass Release(..., baseline=Version(...)), or leave baseline=True out of capabilities",
    )
    return able


def shown(served: Served) -> str:
    """The parts of an answer that a driver decides by, in words."""
    elsewhere = f", {served.unattributed} elsewhere" if served.unattributed.ppm else ""
    return f"{served.traffic}{elsewhere}{'' if served.converged else ', not settled'}"


def differing(one: Any, other: Any) -> str:
    """The fields in which the first is not like the second, as the first has them."""
    names = [field.name for field in attrs.fields(type(one))]
    return ", ".join(
        f"{name}={getattr(one, name)}"
        for name in names
        if getattr(one, name) != getattr(other, name)
    )


def state(served: Served) -> tuple[object, ...]:
    """All that a write could change; the identities of what runs may change by themselves."""
    return served.traffic, served.unattributed, served.marker, served.version, served.converged
