"""The laws of a router. Each is a function of a `Trial`, which looks at what every single read and
write must keep.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import attrs

from progressive.errors import ConflictError, RouterError
from progressive.model.release import Release
from progressive.model.traffic import Match, Traffic
from progressive.model.units import MILLION, Percent

from ._laws import Wait, colours, must, tried
from ._router_trial import STABLE_ONLY, Edit, Settle, Trial, differing, on_trial, shown

HEADER: Final = Match(name="x-progressive-check", value="a.b*")
COOKIE: Final = Match(name="progressive-check", value="a.b", source="cookie")
"""What a header and a cookie may say; both mean something else where they are taken for a
pattern.
"""

REFUSE: Final = "begin apply with `self.capabilities.refuse(release, traffic)`"
COMPARE: Final = (
    "send expect along, so that the system itself compares, and raise ConflictError when it refuses"
)
OVERTAKEN: Final = (
    "read the marker that stands there first, and raise ConflictError if `there.supersedes(marker)`"
)


def reading_changes_nothing(trial: Trial) -> None:
    """Two reads with nothing between them say the same, version included."""
    first, second = trial.read(), trial.read()
    must(
        first == second,
        f"{trial.router.named('read')} twice, with nothing between, says two things",
        expected=differing(first, second),
        came=differing(second, first),
        mend="read must write nothing, and version must change only when the router's object does",
    )


def a_write_that_changes_nothing_is_taken(trial: Trial) -> None:
    """How a rollout begins: it claims the object before it moves anything."""
    trial.write(STABLE_ONLY)
    trial.write(STABLE_ONLY, unconditional=True)


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
        came=repr(after.version),
        mend="use the system's own version of its object, a hash of all that you read, or None",
    )
    trial.write(STABLE_ONLY)


def the_same_again_is_harmless(trial: Trial) -> None:
    """A driver that died between writing and saving writes once more, with the same marker."""
    trial.write(trial.smallest)
    trial.write(trial.smallest, marker=trial.marker)
    trial.write(trial.smallest, marker=trial.marker, unconditional=True)
    trial.write(STABLE_ONLY, marker=trial.marker)


def all_that_is_declared_is_given_and_taken_back(trial: Trial) -> None:
    """A baseline, header and cookie routes and a mirror: one by one, together, and gone without a
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
    for traffic in wanted:
        trial.refused(
            RouterError, f"{traffic}, which its capabilities do not have", traffic, mend=REFUSE
        )


def a_share_without_a_version_is_refused(trial: Trial) -> None:
    """A baseline that the release does not name, and what is left for a stable that is not there
    yet.
    """
    share = trial.able.smallest_weight
    only_two = attrs.evolve(trial.release, baseline=None)
    nobody = "a share for a baseline that the release has not"
    trial.refused(RouterError, nobody, Traffic(baseline=share), release=only_two, mend=REFUSE)
    first = attrs.evolve(only_two, stable=None)
    trial.refused(
        RouterError,
        "a share for stable in a release that has none",
        STABLE_ONLY,
        release=first,
        mend=REFUSE,
    )


def a_write_on_what_has_moved_is_refused(trial: Trial) -> None:
    """Where compare-and-set is declared: of two who read the same, the second to write is told."""
    if not trial.able.compare_and_set:
        return
    stale = trial.read().version
    must(
        stale is not None,
        f"{trial.router.named('read')} gives no version",
        expected="the version that a write is compared with, because capabilities.compare_and_set "
        "is True",
        came="Served(version=None)",
        mend="give the system's own version of its object (ETag, resourceVersion), or leave "
        "compare_and_set=True out",
    )
    trial.write(trial.smallest)
    for traffic in (STABLE_ONLY, trial.smallest):
        trial.refused(
            ConflictError,
            "a write on a version that is not there any more",
            traffic,
            expect=stale,
            mend=COMPARE,
        )
    trial.write(STABLE_ONLY)


def an_older_marker_is_refused(trial: Trial) -> None:
    """Where a marker is declared: an older serial, and any of an older generation."""
    if not trial.able.marker:
        return
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
        mend=OVERTAKEN,
    )
    overtaken = trial.newer
    trial.next_rollout()
    trial.write(STABLE_ONLY, marker=trial.marker)
    trial.refused(
        ConflictError,
        f"an older generation ({overtaken} after {trial.marker})",
        trial.smallest,
        marker=overtaken,
        mend=OVERTAKEN,
    )


def a_closed_marker_stands(trial: Trial) -> None:
    """Where a marker is declared: what was taken back by hand stays so, for everybody but who takes
    it back too, and the next rollout.
    """
    if not trial.able.marker:
        return
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
            mend="raise ConflictError if the marker there is closed, of the same generation, "
            "and the one given is not",
        )
    trial.write(STABLE_ONLY, marker=attrs.evolve(closed, serial=closed.serial + 1))
    trial.next_rollout()
    trial.write(trial.smallest)
    trial.write(STABLE_ONLY)


def what_a_stranger_does_is_seen(trial: Trial) -> None:
    """Where the test can edit the system itself: read tells of it, and a write on what was read
    before is refused.
    """
    if trial.edit is None:
        return
    before = trial.write(trial.smallest)
    theirs = Traffic(
        candidate=Percent(
            MILLION // 2 // trial.able.smallest_weight.ppm * trial.able.smallest_weight.ppm
        )
    )
    trial.edit(theirs)
    seen = trial.settled(theirs)
    must(
        seen.traffic == theirs,
        f"{trial.router.named('read')} does not see what somebody else has changed",
        expected=theirs,
        came=shown(seen),
        mend="read must ask the system each time, and never answer with what was asked for last",
    )
    if trial.able.compare_and_set:
        trial.refused(
            ConflictError,
            "a write on what somebody else has changed",
            trial.smallest,
            expect=before.version,
            mend=COMPARE,
        )
    trial.write(STABLE_ONLY)


def undo_is_one_line(trial: Trial) -> None:
    """Where it is there: what a person types at three in the morning."""
    undo = getattr(trial.router.port, "undo", None)
    if undo is None:
        return
    line = undo(trial.release)
    must(
        isinstance(line, str) and line.strip() and len(line.splitlines()) == 1,
        f"{type(trial.router.port).__name__}.undo is not a line that somebody can type",
        expected="one line of text",
        came=repr(line),
        mend="return the command that takes all traffic back to stable, in one line and without "
        "credentials",
    )


LAWS: Final[tuple[Callable[[Trial], None], ...]] = (
    reading_changes_nothing,
    undo_is_one_line,
    a_share_without_a_version_is_refused,
    what_is_not_declared_is_refused,
    a_write_that_changes_nothing_is_taken,
    every_weight_is_read_back,
    a_change_is_another_version,
    the_same_again_is_harmless,
    all_that_is_declared_is_given_and_taken_back,
    a_write_on_what_has_moved_is_refused,
    an_older_marker_is_refused,
    a_closed_marker_stands,
    what_a_stranger_does_is_seen,
)


def check(router: object, release: Release, settle: Settle, edit: Edit | None, wait: Wait) -> None:
    """Every law in every colour; what one colour writes, the other reads."""
    found = colours(router, wait, "read", "apply")
    for spoken in found:
        trial = Trial.of(spoken, release, settle=settle, edit=edit)
        with on_trial(trial):
            tried(LAWS, trial)
            seen = trial.write(trial.smallest)
            for other in found:
                same = attrs.evolve(trial, router=other).read()
                must(
                    same == seen,
                    f"{spoken.named('read')} and {other.named('read')} do not agree",
                    expected=differing(seen, same),
                    came=differing(same, seen),
                    mend="let both colours do the same work: write it once, as a generator of "
                    "requests, and run that in two small loops",
                )
