"""The laws of a provider: functions of a `Trial`, which looks at every single answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from progressive.errors import MetricsError
from progressive.model import fields
from progressive.model.measurement import Kind, Look, Metric, NoAnswer, Window
from progressive.model.release import Release

from .laws import ContractReport, Laws, NotTried, must, variants
from .loops import Loop
from .metrics_trial import Trial, in_words, listed, merged, same, told
from .outages import Breakage, Outages, of_kind

LONG_AGO: Final = datetime(2001, 1, 1, tzinfo=UTC)
NOT_YET: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""Times at which nothing was measured: before the service, and after the test."""

TWINS: Final = (
    "let both do the same work: write it once, as a generator of requests, run in two small loops"
)

QUARTERS: Final = 4
"""Into how many parts a window is cut, besides the cuts that are given."""


# ----------------------------------------------------------------------------- systems with history


def it_finds_what_is_there(trial: Trial) -> None:
    """A window with something in it; on nothing, no other law would be tried."""
    found = trial.look()
    must(
        any(measurement.sample for _, measurement in found.tracks),
        f"{trial.measure} found nothing",
        expected=f"something for one of the tracks in {in_words(trial.window)}",
        seen=told(found),
        hint="pass a window in which every metric has something, or ask for the right "
        "version and times",
    )


def the_same_question_has_the_same_answer(trial: Trial) -> None:
    """A window that is over does not change; a driver that died asks again."""
    first, second = trial.look(), trial.look()
    for track in trial.tracks:
        must(
            same(first.of(track), second.of(track)),
            f"{trial.measure} twice, in a window that is over, gave two answers for {track}",
            expected=first.of(track),
            seen=second.of(track),
            hint="ask for exactly [start, end); if the numbers come late, declare the "
            "metric's lag=; without history, counter=True",
        )


def a_track_alone_is_answered_the_same(trial: Trial) -> None:
    """Which tracks are asked changes with the traffic."""
    together = trial.look()
    for track in trial.tracks:
        alone = trial.look(tracks=(track,))
        must(
            same(together.of(track), alone.of(track)),
            f"{trial.measure} gave {track} another answer when it was asked alone",
            expected=together.of(track),
            seen=alone.of(track),
            hint="look for each version by itself: `track.version(release).backend` is its name",
        )


def nothing_is_found_where_nothing_was(trial: Trial) -> None:
    """No data is never zero, and never a number."""
    for start in (LONG_AGO, NOT_YET):
        window = Window(start, start + trial.window.length)
        found = trial.search(window)
        for track, measurement in () if found is None else found.tracks:
            must(
                not measurement.sample,
                f"{trial.measure} made up a number for {track} in {start.year}",
                expected="NoData(why), NoAnswer(why), a MetricsError, or counts of 0 trials",
                seen=measurement,
                hint="bound the query by window.start and window.end, and answer NoData(why) "
                "where it finds nothing",
            )


def the_parts_make_the_whole(trial: Trial) -> None:
    """Half-open windows that follow each other count everything once."""
    start, end, length = trial.window.start, trial.window.end, trial.window.length
    bounds = sorted(
        {
            start,
            *(Window(start, start + length * n / QUARTERS).end for n in range(1, QUARTERS)),
            *trial.cuts,
            end,
        }
    )
    whole = trial.look()
    looks = [trial.look(Window(*two)) for two in pairwise(bounds)]
    for track in trial.tracks:
        parts = [look.of(track) for look in looks]
        came = f"{merged(trial, parts)} out of {', '.join(map(str, parts))}"
        must(
            same(whole.of(track), merged(trial, parts))
            and not any(isinstance(part, NoAnswer) for part in parts),
            f"{trial.measure} does not count the parts of a window for {track} as it counts "
            "the whole",
            expected=whole.of(track),
            seen=came,
            hint="count what is at or after window.start and before window.end, in whole "
            "numbers: no rate, nothing extrapolated",
        )


def the_fingerprint_stays(trial: Trial) -> None:
    """Another one means another query, and its evidence starts anew."""
    first = trial.look()
    middle = Window(first.window.start, first.window.start + first.window.length / 2)
    for other in (trial.look(middle), trial.look(tracks=trial.tracks[:1])):
        must(
            other.fingerprint == first.fingerprint,
            f"{trial.measure} has another fingerprint in another window, or for other tracks",
            expected=repr(first.fingerprint),
            seen=repr(other.fingerprint),
            hint="make it of what the numbers mean: the query without times, versions and "
            "tracks; or leave it out",
        )


# ----------------------------------------------------------------------------------------- counters


def an_opening_reading_has_no_numbers(trial: Trial) -> None:
    """A counter's value since ever says nothing of this window."""
    first = trial.opened()
    must(
        first.reading and not any(measurement.sample for _, measurement in first.tracks),
        f"{trial.measure} without a reading to go on from must only give one",
        expected="NoData('opening reading') for each track, and reading=",
        seen=f"{told(first)}; reading={first.reading!r}",
        hint="answer with the difference to the reading in since; without one there is no "
        "difference yet",
    )


def a_counter_goes_on_from_its_reading(trial: Trial) -> None:
    """Looks that follow each other count everything once, from an older reading too."""
    first = trial.opened()
    looks = []
    last = first
    for _ in range(2):
        if trial.between is not None:
            trial.between()
        last = trial.since(last)
        must(
            last.reading,
            f"{trial.measure} gave no reading to go on from",
            expected="reading= with every look, because the metric is declared with counter=True",
            seen=repr(last.reading),
            hint="put what the next look needs into reading=, at most 4096 characters; it "
            "comes back as since",
        )
        looks.append(last)
    if trial.between is None:
        raise NotTried(
            "between=", "a function that makes something to count, such as a few requests"
        )
    whole = trial.since(first)
    must(
        any(measurement.sample for look in looks for _, measurement in look.tracks),
        f"{trial.measure} found nothing of what between() has done",
        expected="something for one of the tracks",
        seen=told(last),
        hint="let between() make what is counted, and wait until the system shows it",
    )
    for track in trial.tracks:
        parts = [look.of(track) for look in looks]
        must(
            same(whole.of(track), merged(trial, parts)),
            f"{trial.measure} does not count from reading to reading for {track} as it "
            "counts the whole",
            expected=whole.of(track),
            seen=f"{merged(trial, parts)} out of {', '.join(map(str, parts))}",
            hint="keep in the reading the raw counters as they were, series by series, and "
            "answer with what they rose by",
        )


# -------------------------------------------------------------------------- systems that are broken


def a_system_that_is_down_is_not_measured(trial: Trial) -> None:
    """With a refused connection it raises MetricsError or answers NoAnswer; never NoData or 0."""
    _broken(trial, "refuse")


def a_failure_of_the_system_is_not_measured(trial: Trial) -> None:
    """An answer that says "no" is a MetricsError or NoAnswer."""
    _broken(trial, "fail")


def an_answer_without_sense_is_not_measured(trial: Trial) -> None:
    """Bytes of another protocol are a MetricsError or NoAnswer, and no KeyError or ValueError."""
    _broken(trial, "garble")


def a_system_that_hangs_is_left_in_time(trial: Trial) -> None:
    """A call on a system that never answers ends in time, and blocks no event loop."""
    _broken(trial, "hang")


def _broken(trial: Trial, how: Breakage) -> None:
    outages, now = trial.outages, trial.clock()
    window = Window(now, now) if trial.metric.counter else trial.window
    asked = (trial.release, trial.metric, trial.tracks, window, None)
    with outages.during(how):
        outcome = trial.provider.watched(outages.within, "measure", *asked)
    outages.in_time(trial.measure, how, outcome)
    of_kind(trial.measure, how, outcome, MetricsError)
    answer = outcome.answer
    must(
        outcome.error is not None
        or (
            isinstance(answer, Look)
            and all(isinstance(measurement, NoAnswer) for _, measurement in answer.tracks)
        ),
        f"{trial.measure} measured something while the system was broken (broken[{how!r}])",
        expected="MetricsError, or NoAnswer(why) for each track",
        seen=told(answer) if isinstance(answer, Look) else repr(answer),
        hint="NoData says that nothing happened, and that has to be asked; raise MetricsError "
        "from the client's own error",
    )


OF_EVERY_KIND: Final = (
    a_system_that_is_down_is_not_measured,
    a_failure_of_the_system_is_not_measured,
    an_answer_without_sense_is_not_measured,
    a_system_that_hangs_is_left_in_time,
)
OF_A_LEVEL: Final = (it_finds_what_is_there, the_fingerprint_stays)
OF_WINDOWS: Final = (
    *OF_A_LEVEL,
    the_same_question_has_the_same_answer,
    a_track_alone_is_answered_the_same,
    nothing_is_found_where_nothing_was,
    the_parts_make_the_whole,
)
OF_COUNTERS: Final = (an_opening_reading_has_no_numbers, a_counter_goes_on_from_its_reading)


def laws_of(metric: Metric) -> tuple[Callable[[Trial], None], ...]:
    """The laws for a metric of this kind. A level may be that of now, and then changes."""
    if metric.counter:
        return (*OF_COUNTERS, *OF_EVERY_KIND)
    return (*(OF_A_LEVEL if metric.kind is Kind.VALUE else OF_WINDOWS), *OF_EVERY_KIND)


def check(
    provider: object,
    release: Release,
    window: Window,
    cuts: Sequence[datetime],
    between: Callable[[], object] | None,
    clock: Callable[[], datetime],
    outages: Outages,
    loop: Loop,
) -> ContractReport:
    """Try every law on every metric, with the sync and the async method, which must agree."""
    found = variants(provider, loop, "measure")
    cut = tuple(fields.moment(each, "cuts") for each in cuts)
    must(
        all(window.start < each < window.end for each in cut),
        "check_metrics was given cuts that do not divide its window",
        expected=f"moments within {in_words(window)}",
        seen=", ".join(each.isoformat() for each in cut),
        hint="choose moments at which something happened, after the start and before the end",
    )
    laws = Laws(type(provider).__name__)
    for metric in listed(provider):
        looks = []
        for bound in found:
            trial = Trial(
                provider=bound,
                metric=metric,
                release=release,
                window=window,
                cuts=cut,
                between=between,
                clock=clock,
                outages=outages,
            )
            laws.run(laws_of(metric), trial)
            looks.append(trial.opened() if metric.counter else trial.look())
        for one, other in pairwise(looks):
            level = metric.kind is Kind.VALUE
            must(
                one.fingerprint == other.fingerprint
                and (level or all(same(one.of(track), other.of(track)) for track, _ in one.tracks)),
                f"{found[0].named('measure')} and {found[1].named('measure')} do not agree "
                f"on {metric}",
                expected=told(one),
                seen=told(other),
                hint=TWINS,
                law="sync and async agree",
            )
    return laws.report()
