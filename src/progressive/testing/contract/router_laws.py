"""The laws of a router: functions of a `Trial`, which looks at every single read and write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Final

import attrs

from progressive.errors import ConflictError, Failure, RouterError, StrategyError
from progressive.model.release import Release, Version
from progressive.model.router_state import Served
from progressive.model.traffic import Match, Traffic
from progressive.model.units import MILLION, Percent, hours

from .laws import ContractReport, Laws, NotTried, broken, must, must_answer, variants
from .loops import Loop
from .router_faults import FAULTS, agree
from .router_trial import STABLE_ONLY, Setup, Trial, differing, on_trial, shown

HEADER: Final = Match(name="x-progressive-check", value="a.b*")
COOKIE: Final = Match(name="progressive-check", value="a.b", source="cookie")
AN_HOUR: Final = hours(1)
"""A header's and a cookie's value; both mean something else where they are taken for a pattern."""

NAMES: Final = ("a:b", "a/b", "a.b_c-d", "x" * 128)
"""Backends that are valid and look like separators, paths and patterns; and the longest one."""

REFUSE: Final = "begin apply with `self.capabilities.refuse(release, traffic)`"
COMPARE: Final = (
    "send expect along, so that the system itself compares, and raise ConflictError when it refuses"
)
COMPARE_HERE: Final = (
    "read before the write and raise ConflictError if the version is "
    "another than expect; or give no version at all"
)
OVERTAKEN: Final = (
    "read the marker that stands there first, and raise ConflictError if `there.supersedes(marker)`"
)
ALPHABET: Final = (
    "raise RouterError(..., failure=Failure.PERMANENT) for a backend that the "
    "system can't name, before any write"
)
WHOLE: Final = (
    "let read tell of a part that is missing or leads elsewhere, and not raise for it; on a way "
    "back, write every part that there is, and never stop at one"
)
TWINS: Final = (
    "let both do the same work: write it once, as a generator of requests, and "
    "run that in two small loops"
)


def reading_changes_nothing(trial: Trial) -> None:
    """Two reads with nothing between them say the same, version included, and send no write."""
    sent = trial.count_writes()
    first, second = trial.read(), trial.read()
    read = trial.router.named("read")
    must(
        first == second,
        f"{read} twice, with nothing between, says two things",
        expected=differing(first, second),
        seen=differing(second, first),
        hint="read must write nothing, and version must change only when the router's object does",
    )
    trial.nothing_sent(sent, f"{read} sent a write")


def undo_is_one_line(trial: Trial) -> None:
    """undo gives one line for a person to type, also before anything was written."""
    undo = getattr(trial.router.port, "undo", None)
    if undo is None:
        raise NotTried(
            "router.undo", "the line that a person types to take all traffic back by hand"
        )
    line = undo(trial.release)
    must(
        isinstance(line, str) and line.strip() and len(line.splitlines()) == 1,
        f"{type(trial.router.port).__name__}.undo is not a line that somebody can type",
        expected="one line of text",
        seen=repr(line),
        hint="return the command that takes all traffic back to stable, in one line and "
        "without credentials",
    )
    trial.undo_line = line


def a_neighbour_is_left_alone(trial: Trial) -> None:
    """No call changes the share, the marker or the version of another service.

    It is looked at beside every law.
    """
    trial.move_in()


def a_write_that_changes_nothing_is_taken(trial: Trial) -> None:
    """How a rollout begins: it claims the object before it moves anything."""
    sent = trial.count_writes()
    trial.write(STABLE_ONLY)
    trial.write(STABLE_ONLY, unconditional=True)
    if not trial.able.marker:  # then there is nothing to write, and a change has to show instead
        trial.write(trial.smallest)
        trial.write(STABLE_ONLY)
    must(
        sent is None or trial.count_writes() != sent,
        f"{trial.router.named('apply')} was called, and writes= counts no write",
        expected=f"more than {sent}",
        seen=trial.count_writes(),
        hint="writes= says how many writes the system was sent; where there is a marker, a claim "
        "is one, also where the traffic stays",
    )


def every_weight_is_read_back(trial: Trial) -> None:
    """From nothing to everything, at the edges of what is declared and in between, up and down."""
    smallest = trial.able.smallest_weight.ppm
    third = MILLION // 3 // smallest * smallest
    ppm = sorted({0, smallest, third, MILLION - third, MILLION - smallest, MILLION})
    for weight in (*ppm, *reversed(ppm)):
        trial.write(Traffic(candidate=Percent(weight)))
    trial.write(STABLE_ONLY)


def a_change_is_another_version(trial: Trial) -> None:
    """Or drift would not be seen."""
    before = trial.read()
    after = trial.write(trial.smallest)
    must(
        before.version is None or after.version != before.version,
        f"{trial.router.named('read')} gives one version for two states of the router",
        expected=f"another version than {before.version!r} after the weights were changed",
        seen=repr(after.version),
        hint="use the system's own version of its object, a hash of all that you read, or None",
    )
    trial.write(STABLE_ONLY)


def the_same_again_is_harmless(trial: Trial) -> None:
    """A driver that died between writing and saving writes once more, with the same marker."""
    trial.write(trial.smallest)
    trial.write(trial.smallest, marker=trial.marker)
    trial.write(trial.smallest, marker=trial.marker, unconditional=True)
    trial.write(STABLE_ONLY, marker=trial.marker)


def all_that_is_declared_is_given_and_taken_back(trial: Trial) -> None:
    """Baseline, header and cookie routes, mirror, affinity: one by one, together, gone without
    trace.
    """
    able, share = trial.able, trial.able.smallest_weight
    ways = []
    if able.baseline:
        ways.append(Traffic(baseline=share))
        if share.ppm * 2 <= MILLION:
            ways.append(Traffic(candidate=share, baseline=share))
    if able.matches:
        ways += [
            Traffic(matches=[HEADER]),
            Traffic(matches=[COOKIE]),
            Traffic(candidate=share, matches=[HEADER, COOKIE]),
        ]
    if able.mirror:
        ways += [Traffic(mirror=share), Traffic(candidate=share, mirror=Percent(MILLION))]
    if able.affinity:
        ways += [
            Traffic(candidate=share, sticky=AN_HOUR),
            Traffic(candidate=share),
            Traffic(candidate=share, sticky=AN_HOUR * 2),
        ]
    for way in ways:
        trial.write(way)
        trial.write(STABLE_ONLY)
    for one, other in pairwise(ways):
        trial.write(one)
        trial.write(other)
    trial.write(STABLE_ONLY)


def what_is_not_declared_is_refused(trial: Trial) -> None:
    """Never rounded, never left out in silence."""
    able, share = trial.able, trial.able.smallest_weight
    fine = Percent(share.ppm + share.ppm // 2 if share.ppm * 2 <= MILLION else share.ppm // 2)
    wanted = [Traffic(candidate=fine)] if share.ppm > 1 else []
    wanted += [] if able.matches else [Traffic(matches=[HEADER])]
    wanted += [] if able.mirror else [Traffic(mirror=share)]
    wanted += [] if able.baseline else [Traffic(baseline=share)]
    wanted += [] if able.affinity else [Traffic(candidate=share, sticky=AN_HOUR)]
    for traffic in wanted:
        trial.refused(
            RouterError, f"{traffic}, which its capabilities do not have", traffic, hint=REFUSE
        )


def a_share_without_a_version_is_refused(trial: Trial) -> None:
    """A baseline that the release does not name, and the rest for a stable that it has not."""
    share = trial.able.smallest_weight
    only_two = attrs.evolve(trial.release, baseline=None)
    nobody = "a share for a baseline that the release has not"
    trial.refused(RouterError, nobody, Traffic(baseline=share), release=only_two, hint=REFUSE)
    first = attrs.evolve(only_two, stable=None)
    trial.refused(
        RouterError,
        "a share for stable in a release that has none",
        STABLE_ONLY,
        release=first,
        hint=REFUSE,
    )


def a_write_on_what_has_moved_is_refused(trial: Trial) -> None:
    """Where read gives a version: of two who read the same, the second to write is told.

    It is compared by the system itself where compare_and_set is declared, else by the router just
    before it writes.
    """
    stale = trial.read().version
    declared = trial.able.compare_and_set
    if stale is None and not declared:
        raise NotTried("Served.version", "a version that a write can be compared with")
    must(
        stale is not None,
        f"{trial.router.named('read')} gives no version",
        expected="the version that a write is compared with, because "
        "capabilities.compare_and_set is True",
        seen="Served(version=None)",
        hint="give the system's own version of its object (ETag, resourceVersion), or leave "
        "compare_and_set=True out",
    )
    trial.write(trial.smallest)
    what = "a write on a version that is not there any more"
    for traffic in (STABLE_ONLY, trial.smallest):
        hint = COMPARE if declared else COMPARE_HERE
        trial.refused(ConflictError, what, traffic, expect=stale, hint=hint)
    trial.write(STABLE_ONLY)


def an_older_marker_is_refused(trial: Trial) -> None:
    """Where a marker is declared: an older serial, and any of an older generation."""
    _needs_marker(trial)
    edge = 10 ** len(
        str(trial.marker.serial)
    )  # the next serial has one digit more: less only for who compares text
    older = attrs.evolve(trial.marker, serial=edge - 1)
    trial.write(STABLE_ONLY, marker=older)
    trial.write(trial.smallest)
    trial.refused(
        ConflictError,
        f"an older serial ({older} after {trial.marker})",
        STABLE_ONLY,
        marker=older,
        hint=OVERTAKEN,
    )
    overtaken = trial.newer
    trial.next_rollout()
    trial.write(STABLE_ONLY, marker=trial.marker)
    trial.refused(
        ConflictError,
        f"an older generation ({overtaken} after {trial.marker})",
        trial.smallest,
        marker=overtaken,
        hint=OVERTAKEN,
    )


def another_owner_of_one_generation_is_refused(trial: Trial) -> None:
    """Two rollouts that chose one generation: the second to write is refused, whatever its
    serial.
    """
    _needs_marker(trial)
    trial.write(trial.smallest)
    for later in (-1, 0, 1):
        serial = max(0, trial.marker.serial + later)
        other = attrs.evolve(trial.marker, serial=serial, owner="another")
        trial.refused(
            ConflictError,
            f"a write of another rollout's in one generation ({other} after {trial.marker})",
            STABLE_ONLY,
            marker=other,
            hint="raise ConflictError if the marker there is of the same generation and both name "
            "an owner, not the same (Marker.forbids says so)",
        )
    trial.write(STABLE_ONLY)


def a_closed_marker_stands(trial: Trial) -> None:
    """Within a closed generation only closed markers are taken; the next one opens again."""
    _needs_marker(trial)
    trial.write(trial.smallest)
    closed = attrs.evolve(trial.marker, closed=True)
    trial.write(STABLE_ONLY, marker=closed)
    for later in (0, 1):
        again = attrs.evolve(closed, serial=closed.serial + later, closed=False)
        trial.refused(
            ConflictError,
            f"a write of a generation that was closed ({again} after {closed})",
            trial.smallest,
            marker=again,
            hint="raise ConflictError if the marker there is closed, of the same generation, "
            "and the one given is not",
        )
    trial.write(STABLE_ONLY, marker=attrs.evolve(closed, serial=closed.serial + 1))
    trial.next_rollout()
    trial.write(trial.smallest)
    trial.write(STABLE_ONLY)


def what_a_stranger_does_is_seen(trial: Trial) -> None:
    """Read tells of somebody else's change, and a write on what was read before is refused."""
    if trial.setup.edit is None:
        raise NotTried(
            "edit=", "a function that changes what the system serves, behind the router's back"
        )
    before = trial.write(trial.smallest)
    theirs = Traffic(candidate=trial.half)
    trial.setup.edit(theirs)
    seen = trial.settled(theirs)
    must(
        seen.traffic == theirs,
        f"{trial.router.named('read')} does not see what somebody else has changed",
        expected=theirs,
        seen=shown(seen),
        hint="read must ask the system each time, and never answer with what was asked for last",
    )
    if before.version is not None and theirs != trial.smallest:
        hint = COMPARE if trial.able.compare_and_set else COMPARE_HERE
        what = "a write on what somebody else has changed"
        trial.refused(ConflictError, what, trial.smallest, expect=before.version, hint=hint)
    trial.write(STABLE_ONLY)


def the_share_of_a_third_version_is_reported(trial: Trial) -> None:
    """What reaches neither version is Served.unattributed; the next write takes it back."""
    _needs_third_version(trial)
    assert trial.setup.third_version is not None
    share = trial.half
    trial.setup.third_version(share)
    seen = trial.first(lambda seen: seen.unattributed == share)
    must(
        abs(seen.unattributed.ppm - share.ppm) < trial.able.smallest_weight.ppm
        and seen.traffic == STABLE_ONLY,
        f"{trial.router.named('read')} does not tell of a version that is in neither track",
        expected=f"{STABLE_ONLY}, {share} elsewhere",
        seen=shown(seen),
        hint="add up what goes to backends that are not in the release, and give it as "
        "Served(unattributed=...)",
    )
    trial.write(STABLE_ONLY)


def the_next_release_starts_where_this_one_ended(trial: Trial) -> None:
    """Once the candidate has everything, the release in which it is stable finds it there."""
    _needs_third_version(trial)
    trial.write(Traffic(candidate=Percent(MILLION)))
    turned = trial.release.reversed()
    seen = trial.read(turned)
    must(
        seen.shows(STABLE_ONLY),
        f"{trial.router.named('read')} finds the share of another version than it is asked for",
        expected=f"all traffic on {turned.stable}, because it was given everything",
        seen=shown(seen),
        hint="find each share by the backend's name in the system, never by its place or by "
        "a remembered track",
    )
    trial.write(STABLE_ONLY)


def hostile_names_stay_names(trial: Trial) -> None:
    """A backend with separators in it is served under that name, or refused without trace."""
    _with_names(trial, NAMES, may_take=True)


def names_that_the_system_can_not_carry_are_refused(trial: Trial) -> None:
    """RouterError (PERMANENT) or StrategyError before anything is sent."""
    if trial.setup.bad_names is None:
        raise NotTried(
            "bad_names=",
            "backends that the system's alphabet does not allow, which must be refused",
        )
    _with_names(trial, trial.setup.bad_names, may_take=False)


def undo_takes_everything_back(trial: Trial) -> None:
    """The line of undo gives all traffic to stable and closes the marker that is there then."""
    if not trial.undo_line:
        raise NotTried(
            "router.undo", "the line that a person types to take all traffic back by hand"
        )
    if trial.setup.undo is None:
        raise NotTried(
            "undo=",
            "a function that runs the line: `lambda line: subprocess.run(line, shell=True, "
            "check=True)`",
        )
    able, share = trial.able, trial.able.smallest_weight
    trial.next_rollout()
    trial.write(
        Traffic(
            candidate=share,
            baseline=share if able.baseline and share.ppm * 2 <= MILLION else Percent(0),
            matches=[HEADER] if able.matches else (),
            mirror=share if able.mirror else Percent(0),
            sticky=AN_HOUR if able.affinity else None,
        )
    )
    name = f"{type(trial.router.port).__name__}.undo"
    for _ in range(2):  # typed twice is the same as once
        try:
            trial.setup.undo(trial.undo_line)
        except Exception as error:
            wrong, hint = (
                f"the line of {name} failed",
                "run the line by hand on this system, and mend it",
            )
            raise broken(wrong, expected=trial.undo_line, seen=error, hint=hint) from error
        seen = trial.first(lambda seen: seen.shows(STABLE_ONLY))
        must(
            seen.shows(STABLE_ONLY),
            f"the line of {name} was run, and not all traffic is on stable",
            expected=STABLE_ONLY,
            seen=shown(seen),
            hint="give everything to stable, and take away header routes and mirrors: "
            f"{trial.undo_line}",
        )
        there = seen.marker
        must(
            not able.marker
            or (
                there is not None
                and there.closed
                and there.generation == trial.marker.generation
                and there.owner == trial.marker.owner
            ),
            f"the line of {name} was run, and did not close the marker",
            expected=f"generation={trial.marker.generation}, closed=True, "
            f"owner={trial.marker.owner!r}",
            seen=there,
            hint="set the marker's closed and keep the rest of it, whatever it is then: a "
            "driver that still runs must go back",
        )
        trial.see_neighbour(f"the line of {name}")
    if able.marker:
        hint = (
            "raise ConflictError if the marker there is closed, of the same generation, "
            "and the one given is not"
        )
        trial.refused(
            ConflictError,
            "a write after undo, by a driver that still runs,",
            trial.smallest,
            hint=hint,
        )
    trial.next_rollout()
    trial.write(STABLE_ONLY)


def a_way_back_is_whole(trial: Trial) -> None:
    """Whatever became of one part of the object, a way back leaves nothing on the candidate.

    It may say that it is not settled. It may neither be refused nor stop half-way; strictness
    belongs to the write with which a rollout begins, and to raises.
    """
    if not trial.setup.parts:
        raise NotTried(
            "parts=",
            "context managers by name that spoil one part of the router's object: a route that is "
            "deleted, renamed or redirected",
        )
    name = type(trial.router.port).__name__
    for part, spoil in trial.setup.parts.items():
        for closed in (False, True):
            _share_everything(trial)
            with spoil():
                _take_back(trial, part, closed=closed)
            _mend(trial)
        if trial.setup.undo is not None and trial.undo_line:
            _share_everything(trial)
            with spoil():
                try:
                    trial.setup.undo(trial.undo_line)
                except Exception as error:
                    raise broken(
                        f"the line of {name}.undo failed while a part was spoiled ({part})",
                        expected=trial.undo_line,
                        seen=error,
                        hint=WHOLE,
                    ) from error
                _see_taken_back(trial, f"the line of {name}.undo was run", part)
            _mend(trial)


def _share_everything(trial: Trial) -> None:
    """Give the candidate something in every way that the router has."""
    able = trial.able
    trial.next_rollout()
    trial.write(
        Traffic(
            candidate=trial.half,
            matches=[HEADER] if able.matches else (),
            mirror=able.smallest_weight if able.mirror else Percent(0),
            sticky=AN_HOUR if able.affinity else None,
        )
    )


def _take_back(trial: Trial, part: str, *, closed: bool) -> None:
    """Go back as a rollout or as `rollback_now` does, twice: a driver that does not see it settled
    writes again.
    """
    apply = trial.router.named("apply")
    for _ in range(2):
        call = f"{trial.router.named('read')} while a part is spoiled ({part})"
        with must_answer(call, RouterError, hint=WHOLE):
            seen = trial.router("read", trial.release)
        trial.served("read", seen, hint=WHOLE)
        trial.marker = attrs.evolve(trial.newer, closed=closed)
        how = f"{apply}({STABLE_ONLY}) with {'a closed' if closed else 'an open'} marker"
        with must_answer(
            f"{how}, while a part is spoiled ({part}),", RouterError, ConflictError, hint=WHOLE
        ):
            trial.router(
                "apply", trial.release, STABLE_ONLY, marker=trial.marker, expect=seen.version
            )
        after = _see_taken_back(trial, f"{how} was answered", part)
        must(
            not trial.able.marker or after.marker == trial.marker,
            f"{how} left another marker while a part was spoiled ({part})",
            expected=trial.marker,
            seen=after.marker,
            hint=WHOLE,
        )


def _see_taken_back(trial: Trial, what: str, part: str) -> Served:
    seen = trial.first(lambda seen: seen.traffic == STABLE_ONLY)
    must(
        seen.traffic == STABLE_ONLY,
        f"{what} while a part was spoiled ({part}), and the candidate still has something",
        expected=STABLE_ONLY,
        seen=shown(seen),
        hint=WHOLE,
    )
    return seen


def _mend(trial: Trial) -> None:
    trial.next_rollout()
    trial.write(STABLE_ONLY)


LAWS: Final[tuple[Callable[[Trial], None], ...]] = (
    reading_changes_nothing,
    undo_is_one_line,
    a_share_without_a_version_is_refused,
    what_is_not_declared_is_refused,
    a_write_that_changes_nothing_is_taken,
    a_neighbour_is_left_alone,
    every_weight_is_read_back,
    a_change_is_another_version,
    the_same_again_is_harmless,
    all_that_is_declared_is_given_and_taken_back,
    a_write_on_what_has_moved_is_refused,
    an_older_marker_is_refused,
    another_owner_of_one_generation_is_refused,
    a_closed_marker_stands,
    what_a_stranger_does_is_seen,
    the_share_of_a_third_version_is_reported,
    the_next_release_starts_where_this_one_ended,
    undo_takes_everything_back,
    a_way_back_is_whole,
    *FAULTS,
    names_that_the_system_can_not_carry_are_refused,
    hostile_names_stay_names,
)
"""In this order: what only reads and refuses first, names that might spoil the system's own state
last.
"""


def check(router: object, setup: Setup, loop: Loop) -> ContractReport:
    """Try every law with the sync and with the async methods; what one writes, both read."""
    found = variants(router, loop, "read", "apply")
    laws = Laws(type(router).__name__)
    trials = []
    for bound in found:
        trial = Trial.of(bound, setup)
        trials.append(trial)
        with on_trial(trial):
            laws.run(LAWS, trial)
            seen = trial.write(trial.smallest)
            for other in found:
                same = attrs.evolve(trial, router=other).read()
                must(
                    same == seen,
                    f"{bound.named('read')} and {other.named('read')} do not agree",
                    expected=differing(seen, same),
                    seen=differing(same, seen),
                    hint=TWINS,
                    law="sync and async agree",
                )
    for one, other_trial in pairwise(trials):
        agree(one, other_trial)
    return laws.report()


# ------------------------------------------------------------------------------------------ helpers


def _needs_marker(trial: Trial) -> None:
    if not trial.able.marker:
        raise NotTried("capabilities.marker", "a place for a marker on the router's object")


def _needs_third_version(trial: Trial) -> None:
    if trial.setup.third_version is None:
        raise NotTried(
            "third_version=", "a function that gives a share to a version which is in neither track"
        )


def _named_otherwise(trial: Trial, names: Iterable[str]) -> Iterator[tuple[str, str, Release]]:
    """The release with each of these names as one of its backends, if it may be a name."""
    for name in names:
        try:
            version = Version("progressive-check", backend=name)
        except StrategyError:
            continue
        yield name, "candidate", attrs.evolve(trial.release, candidate=version)
        yield name, "stable", attrs.evolve(trial.release, stable=version)


def _with_names(trial: Trial, names: Iterable[str], *, may_take: bool) -> None:
    apply = trial.router.named("apply")
    for name, place, release in _named_otherwise(trial, names):
        before, sent = trial.read(), trial.count_writes()
        call = f"{apply} for a {place} with backend={name!r}"
        trial.marker = trial.newer
        try:
            trial.router("apply", release, trial.smallest, marker=trial.marker, expect=None)
        except StrategyError:
            refused = True
        except RouterError as error:
            refused = True
            must(
                error.failure is Failure.PERMANENT,
                f"{call} was refused, and says that it may be asked again",
                expected="failure=Failure.PERMANENT",
                seen=f"{error.failure}: {error}",
                hint=ALPHABET,
            )
        except Exception as error:
            wrong = f"{call} raised an error of another kind"
            raise broken(
                wrong, expected="RouterError or StrategyError", seen=error, hint=ALPHABET
            ) from error
        else:
            refused = False
        if refused:
            trial.unchanged(before, f"{call} was refused, but something was written")
            if not may_take:
                trial.nothing_sent(sent, f"{call} was refused, but only after a write was sent")
            continue
        must(
            may_take,
            f"{call} was taken",
            expected="RouterError, and nothing written",
            seen="it was answered",
            hint=ALPHABET,
        )
        with must_answer(f"{trial.router.named('read')} after {call}", RouterError):
            seen = (
                trial.router("read", release)
                if not trial.setup.settle
                else _settled(trial, release)
            )
        must(
            seen.shows(trial.smallest),
            f"{call} was taken, and is served as something else",
            expected=trial.smallest,
            seen=shown(seen),
            hint=f"quote the name where it stands in a query, a path or a line; or {ALPHABET}",
        )
        trial.see_neighbour(call)
        trial.marker = trial.newer
        trial.router("apply", release, STABLE_ONLY, marker=trial.marker, expect=None)
        trial.write(STABLE_ONLY)


def _settled(trial: Trial, release: Release) -> Served:
    trial.first(lambda _: trial.read(release).shows(trial.smallest))
    return trial.read(release)
