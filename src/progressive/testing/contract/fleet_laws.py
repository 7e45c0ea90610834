"""The laws of a fleet. Each is a function of a `Trial`, which asks it as a driver does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Final

import attrs

from progressive.errors import Failure, FleetError
from progressive.model.capacity import Capacity
from progressive.model.release import Release, Version
from progressive.model.traffic import Track
from progressive.model.units import MILLION

from .laws import BoundPort, ContractReport, Laws, NotTried, must, must_answer
from .loops import Loop
from .outages import EVERYTHING, Breakage, Outages, Settle, first, of_kind

Survey = Mapping[Track, Capacity]

PATIENCE: Final = 100
"""How often retire is called while it answers "ask again": with settle= of seconds, as long as
that.
"""

TWINS: Final = (
    "let both do the same work: write it once, as a generator of requests, run in two small loops"
)


@attrs.frozen(kw_only=True)
class Setup:
    """The arguments of `check_fleet`, which says what each is for."""

    release: Release
    settle: Settle
    beside: Release | None
    unready: Callable[[Version], AbstractContextManager[object]] | None
    instances: Callable[[Version], int] | None
    deploy: Callable[[Version], object] | None
    outages: Outages


@attrs.define
class Trial:
    """A fleet through one kind of its methods."""

    fleet: BoundPort
    setup: Setup

    @property
    def versions(self) -> dict[Track, Version]:
        """The tracks that the release has a version for."""
        found = {track: track.version(self.setup.release) for track in Track}
        return {track: version for track, version in found.items() if version is not None}

    def has(self, verb: str) -> bool:
        """Does the fleet have this method?"""
        return callable(getattr(self.fleet.port, self.fleet.method(verb), None))

    def needs(self, verb: str) -> None:
        """Leave a law out whose method is not there."""
        if not self.has(verb):
            what = {"survey": "what the instances can carry", "retire": "the removal of a version"}
            raise NotTried(f"fleet.{verb}", what[verb])

    def survey(self, release: Release | None = None) -> Survey:
        """Ask, and see that the answer is a mapping of tracks to capacities."""
        self.needs("survey")
        call = self.fleet.named("survey")
        with must_answer(call, FleetError):
            found = self.fleet("survey", release or self.setup.release)
        must(
            isinstance(found, Mapping)
            and all(isinstance(track, Track) for track in found)
            and all(isinstance(each, Capacity) for each in found.values()),
            f"{call} gave no capacities",
            expected="{Track.STABLE: Capacity(percent(100)), Track.CANDIDATE: ...}",
            seen=repr(found),
            hint="answer with a mapping of Track to Capacity; a version without instances is "
            "Capacity(percent(0), why=...)",
        )
        assert isinstance(found, Mapping)
        return found

    def settled(self, right: Callable[[Survey], bool]) -> Survey:
        """The first survey that is ``right``, or the last one when the time to settle is over."""
        seen: Survey = first(self.survey, right, self.setup.settle)
        return seen

    def retire(self, version: Version) -> None:
        """Ask for the removal until the fleet says that it is done, as a driver does."""
        call = f"{self.fleet.named('retire')}({version})"
        with must_answer(call, FleetError):
            for _ in range(PATIENCE):
                try:
                    answer = self.fleet("retire", self.setup.release, version)
                except FleetError as error:
                    if error.failure is Failure.PERMANENT:
                        raise
                    settle = self.setup.settle
                    wait = settle / PATIENCE if isinstance(settle, timedelta) else settle
                    first(lambda: False, bool, wait)
                    continue
                must(
                    answer is None,
                    f"{call} returned something",
                    expected="None when it is done, and FleetError while it is not",
                    seen=repr(answer),
                    hint="raise FleetError(...) to be asked again; a return says that all "
                    "instances are gone",
                )
                return
            self.fleet("retire", self.setup.release, version)


# ----------------------------------------------------------------------------------------- the laws


def every_version_is_answered_for(trial: Trial) -> None:
    """A version that is left out counts as having no instances, and never gets traffic."""
    found = trial.survey()
    missing = [
        f"{track} ({version})" for track, version in trial.versions.items() if track not in found
    ]
    must(
        not missing,
        f"{trial.fleet.named('survey')} leaves versions out",
        expected=", ".join(trial.versions),
        seen=f"nothing for {', '.join(missing)}",
        hint="answer for each version of the release; without instances it is "
        "Capacity(percent(0), why=...)",
    )


def what_is_ready_can_carry_everything(trial: Trial) -> None:
    """Stable serves everything now, with all its instances ready: it can carry 100 %."""
    stable = trial.settled(lambda seen: _full(seen.get(Track.STABLE))).get(Track.STABLE)
    must(
        _full(stable),
        f"{trial.fleet.named('survey')} says that stable can't carry what it serves",
        expected="Capacity(percent(100)), because every instance is ready",
        seen=stable,
        hint="able is the share of all of the service's traffic, not of an instance or a version; "
        "hand the fleet over with every instance of every version ready",
    )


def asking_changes_nothing(trial: Trial) -> None:
    """Two surveys with nothing between them say the same."""
    one, other = trial.survey(), trial.survey()
    must(
        dict(one) == dict(other),
        f"{trial.fleet.named('survey')} twice, with nothing between, says two things",
        expected=_told(one),
        seen=_told(other),
        hint="count what is ready now; survey is asked in every tick and must change nothing",
    )


def identities_are_those_of_the_release(trial: Trial) -> None:
    """An identity that is told is the version's; any other ends or holds a rollout."""
    for track, capacity in trial.survey().items():
        version = trial.versions.get(track)
        must(
            version is None or capacity.identity in (None, version.identity),
            f"{trial.fleet.named('survey')} says that {track} runs something else than the release",
            expected=f"identity={version.identity!r}, or None" if version else "",
            seen=f"identity={capacity.identity!r}",
            hint="give it in the words of Version.identity (a digest, a tag), or leave "
            "identity= out",
        )


def missing_instances_are_seen(trial: Trial) -> None:
    """A version without a ready instance can carry 0 %, the others the same as before."""
    unready = trial.setup.unready
    trial.needs("survey")
    if unready is None:
        raise NotTried("unready=", "a context manager in which no instance of a version is ready")
    before = dict(trial.survey())
    for track, version in trial.versions.items():
        with unready(version):
            seen = trial.settled(_without(track))
        must(
            not _able(seen.get(track)),
            f"{trial.fleet.named('survey')} does not see that {track} ({version}) has no "
            "instance ready",
            expected=f"{track}: Capacity(percent(0), why=...)",
            seen=_told(seen),
            hint="count the instances that are ready, of this version's backend, each time",
        )
        others = {each for each in trial.versions if each is not track}
        must(
            all(_able(seen.get(each)) == _able(before.get(each)) for each in others),
            f"{trial.fleet.named('survey')} takes the instances of one version for those of "
            "another",
            expected=_told({each: before[each] for each in others}),
            seen=_told(seen),
            hint="tell the instances of the versions apart by Version.backend",
        )
        trial.settled(lambda seen: dict(seen) == before)


def a_neighbour_is_left_alone(trial: Trial) -> None:
    """Instances of one service say nothing of another one's."""
    beside = trial.setup.beside
    trial.needs("survey")
    if beside is None:
        raise NotTried("beside=", "the release of another service, to see that its instances stay")
    must(
        beside.service != trial.setup.release.service,
        "beside= has the service of the release on trial",
        expected=f"another service than {trial.setup.release.service!r}",
        seen=beside,
        hint="pass Release(service=<another one that the fleet has>, stable=..., candidate=...)",
    )
    if trial.setup.unready is None:
        raise NotTried("unready=", "a context manager in which no instance of a version is ready")
    before = dict(trial.survey(beside))
    for track, version in trial.versions.items():
        with trial.setup.unready(version):
            trial.settled(_without(track))
            after = dict(trial.survey(beside))
        must(
            after == before,
            f"{trial.fleet.named('survey')} answers for {beside.service} with another "
            "service's instances",
            expected=_told(before),
            seen=_told(after),
            hint="find instances by release.service and Version.backend together",
        )
        trial.settled(lambda seen: _full(seen.get(Track.STABLE)))


def what_is_retired_is_gone(trial: Trial) -> None:
    """retire returns when no instance is left, removes no others, and may be repeated."""
    trial.needs("retire")
    count, deploy = trial.setup.instances, trial.setup.deploy
    if count is None:
        raise NotTried("instances=", "a function that counts the instances of a version")
    assert trial.setup.release.stable is not None
    stable, beside = trial.setup.release.stable, trial.setup.beside
    if not count(stable) and deploy is None:
        raise NotTried("deploy=", "a function that brings the instances of a version back")
    kept = {version: count(version) for version in trial.versions.values() if version != stable}
    before = None if beside is None or not trial.has("survey") else dict(trial.survey(beside))
    call = f"{trial.fleet.named('retire')}({stable})"
    must(
        count(stable) > 0,
        f"instances({stable}) finds none to retire",
        expected="at least 1",
        seen=count(stable),
        hint="hand the fleet over with instances of every version; instances= counts those of one",
    )
    try:
        for _ in range(2):  # a driver that died asks once more
            trial.retire(stable)
            must(
                count(stable) == 0,
                f"{call} returned, and instances are left",
                expected=f"0 instances of {stable}",
                seen=count(stable),
                hint="raise FleetError(...) while any is left: the driver asks again",
            )
            now = {version: count(version) for version in kept}
            must(
                now == kept,
                f"{call} removed instances of another version",
                expected=", ".join(f"{many} of {version}" for version, many in kept.items()),
                seen=", ".join(f"{many} of {version}" for version, many in now.items()),
                hint="remove what has the backend of the version that was given, and nothing else",
            )
            after = before if beside is None or before is None else dict(trial.survey(beside))
            must(
                after == before,
                f"{call} changed the instances of another service",
                expected=_told(before or {}),
                seen=_told(after or {}),
                hint="find instances by release.service and Version.backend together",
            )
    finally:
        if deploy is not None:
            deploy(stable)


def a_system_that_is_down_is_a_fleet_error(trial: Trial) -> None:
    """A refused connection is a FleetError: a fleet that can't be asked never counts as ready."""
    _broken(trial, "refuse")


def a_failure_of_the_system_is_a_fleet_error(trial: Trial) -> None:
    """An answer that says "no" is a FleetError."""
    _broken(trial, "fail")


def an_answer_without_sense_is_a_fleet_error(trial: Trial) -> None:
    """Bytes of another protocol are a FleetError and no KeyError or ValueError."""
    _broken(trial, "garble")


def a_system_that_hangs_is_left_in_time(trial: Trial) -> None:
    """A call on a system that never answers ends in time, and blocks no event loop."""
    _broken(trial, "hang")


LAWS: Final[tuple[Callable[[Trial], None], ...]] = (
    every_version_is_answered_for,
    what_is_ready_can_carry_everything,
    asking_changes_nothing,
    identities_are_those_of_the_release,
    missing_instances_are_seen,
    a_neighbour_is_left_alone,
    a_system_that_is_down_is_a_fleet_error,
    a_failure_of_the_system_is_a_fleet_error,
    an_answer_without_sense_is_a_fleet_error,
    a_system_that_hangs_is_left_in_time,
    what_is_retired_is_gone,
)


def check(fleet: object, setup: Setup, loop: Loop) -> ContractReport:
    """Try every law with the synchronous and with the asynchronous methods; then the two agree."""
    name = type(fleet).__name__
    trials = [
        trial
        for bound in (BoundPort(fleet), BoundPort(fleet, loop))
        if (trial := Trial(bound, setup)).has("survey") or trial.has("retire")
    ]
    must(
        trials,
        f"{name} has none of the methods of its contract",
        expected="survey or retire, or the same with an a in front for asyncio",
        seen=repr(fleet),
        hint="see Fleet in progressive.ports; either method may be left out, and nothing is "
        "inherited",
    )
    must(
        setup.release.stable is not None,
        "a fleet is tried with two versions",
        expected="a release with a stable version, which serves everything now",
        seen=setup.release,
        hint="pass Release(service=..., stable=Version(...), candidate=Version(...))",
    )
    laws = Laws(name)
    for trial in trials:
        laws.run(LAWS, trial)
    asked = [trial for trial in trials if trial.has("survey")]
    if len(asked) == 2:
        one, other = (dict(trial.survey()) for trial in asked)
        must(
            one == other,
            f"{asked[0].fleet.named('survey')} and {asked[1].fleet.named('survey')} do not agree",
            expected=_told(one),
            seen=_told(other),
            hint=TWINS,
            law="sync and async agree",
        )
    return laws.report()


# ------------------------------------------------------------------------------------------ helpers


def _broken(trial: Trial, how: Breakage) -> None:
    assert how in EVERYTHING
    outages, release = trial.setup.outages, trial.setup.release
    trial.needs("survey")
    call = trial.fleet.named("survey")
    with outages.during(how):
        outcome = trial.fleet.watched(outages.within, "survey", release)
    outages.in_time(call, how, outcome)
    of_kind(call, how, outcome, FleetError)
    must(
        outcome.error is not None,
        f"{call} answered while the system was broken (broken[{how!r}])",
        expected="FleetError",
        seen=outcome.answer,
        hint="ask the system in every call and remember nothing; what was ready a minute ago "
        "may be gone",
    )


def _able(capacity: Capacity | None) -> int:
    return 0 if capacity is None else capacity.able.ppm


def _without(track: Track) -> Callable[[Survey], bool]:
    return lambda seen: not _able(seen.get(track))


def _full(capacity: Capacity | None) -> bool:
    return _able(capacity) == MILLION


def _told(survey: Survey) -> str:
    return ", ".join(f"{track}: {capacity}" for track, capacity in survey.items()) or "nothing"
