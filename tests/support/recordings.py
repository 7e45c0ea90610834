"""Recordings to judge again: a service with illnesses, drivers that are prompt or slow, golden
transcripts.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
from tests.support.paths import GOLDEN
from tests.support.world import ERRORS, RELEASE, START

from progressive import Metric, Release, Track, Traffic, begin, loads, ms
from progressive.codec import loads_note
from progressive.model import Counts, Look, Measurement, NoAnswer, NoData, Window
from progressive.rollout import Note
from progressive.rollout.commands import Apply, Command, Inspect, Measure, Read
from progressive.rollout.events import Event, Inspected, Measured, RouterApplied, RouterRead, Tick
from progressive.rollout.notes import EventRecorded
from progressive.runtime.protocol import Persist, Persisted, tick_protocol
from progressive.testing import (
    MemoryRouter,
    MemoryStore,
    Replay,
    ScriptedMetrics,
    VirtualClock,
    play,
)

LATENCY = Metric("latency", kind="latency")
BASKET = Metric("basket", kind="mean", bad="down")
QUEUE = Metric("queue", kind="value")

Pairs = list[tuple[str, Note]]
Script = Callable[[Track, Window], Measurement]


# --------------------------------------------------------------------------------------- recordings


@attrs.frozen(kw_only=True)
class Ill:
    """When one track is ill, and how: `Counts` that fail at ``rate``, no data, or no answer, from
    ``since`` on for ``lasting``.
    """

    track: Track
    since: timedelta
    lasting: timedelta
    rate: float | None = None
    silent: bool = False

    def at(self, now: datetime) -> bool:
        return START + self.since <= now < START + self.since + self.lasting


def world_of(ills: Sequence[Ill], *, rps: int = 20, usual: float = 0.002) -> Script:
    """A service whose failures are counted second by second, so that two windows have together what
    one over both has.
    """
    failed: dict[Track, list[float]] = {track: [0.0] for track in Track}

    def rate(track: Track, second: int) -> float:
        now = START + timedelta(seconds=second)
        return next(
            (
                ill.rate
                for ill in ills
                if ill.track is track and ill.rate is not None and ill.at(now)
            ),
            usual,
        )

    def upto(track: Track, second: int) -> float:
        known = failed[track]
        while len(known) <= second:
            known.append(known[-1] + rps * rate(track, len(known) - 1))
        return known[max(second, 0)]

    def script(track: Track, window: Window) -> Measurement:
        for ill in ills:
            if ill.track is track and ill.rate is None and ill.at(window.end):
                return NoAnswer("503") if ill.silent else NoData("no requests")
        first, last = (int((at - START).total_seconds()) for at in (window.start, window.end))
        trials = rps * (last - first)
        return (
            Counts(
                events=min(trials, int(upto(track, last)) - int(upto(track, first))), trials=trials
            )
            if trials
            else NoData("too short")
        )

    return script


def recorded(
    strategy: Any, script: Any = None, *, release: Release = RELEASE, store: Any = None, **more: Any
) -> Pairs:
    """The notes of a whole rollout in virtual time."""
    store, metrics = (
        store or MemoryStore(),
        script if isinstance(script, dict) else {ERRORS: script or world_of(())},
    )
    play(
        strategy,
        release,
        store=store,
        clock=VirtualClock(START),
        metrics=[ScriptedMetrics(metrics)],
        **more,
    )
    return list(store.notes("played"))


@attrs.define
class Driver:
    """A driver without threads. With a ``rng`` its calls take time and it wakes a little late, as
    real ones do: every answer has its own time.
    """

    strategy: Any
    script: Script
    rng: random.Random | None = None
    every: timedelta | None = None
    lag: timedelta = timedelta()
    router: MemoryRouter = attrs.field(factory=MemoryRouter)
    coming: tuple[datetime, Traffic] | None = None

    def record(self) -> Pairs:
        now, kept = START, []
        rollout = begin(self.strategy.plan, RELEASE, id="driven", at=now)
        while not rollout.over:
            talk = tick_protocol(
                rollout, (), tick=Tick(at=now), stored=True, expected=rollout.serial
            )
            reply: Any = None
            while True:
                try:
                    move = talk.send(reply)
                except StopIteration as stop:
                    rollout = stop.value.decision.rollout
                    break
                if isinstance(move, Persist):
                    kept += [
                        (f"driven/{move.rollout.serial}/{n}", note)
                        for n, note in enumerate(move.notes)
                    ]
                    reply = Persisted()
                else:
                    reply = [
                        self.answer(command, now + self.some(400)) for command in move.commands
                    ]
                    now = max([now, *(event.at for event in reply)])
            wake = rollout.wake_at or now
            now = max(
                now + ms(1), wake + self.some(700), now if self.every is None else now + self.every
            )
        return kept

    def look(self, command: Measure, at: datetime) -> Look:
        """A counter is read when it is asked, which is a little after the read of the router."""
        asked = command.window
        covered = (
            asked
            if not command.metric.counter
            else Window(asked.start, max(asked.end, at))
            if command.since
            else Window(at, at)
        )
        tracks = [(track, self.script(track, covered)) for track in command.tracks]
        reading = f"read at {at:%H:%M:%S}" if command.metric.counter else None
        return Look(
            metric=command.metric.name,
            window=asked,
            tracks=tracks,
            covered=covered,
            reading=reading,
        )

    def some(self, most: int) -> timedelta:
        return ms(0 if self.rng is None else self.rng.randrange(most))

    def answer(self, command: Command, at: datetime) -> Event:
        if self.coming is not None and self.coming[0] <= at:
            self.router.edit(self.coming[1])
            self.coming = None
        match command:
            case Inspect():
                return Inspected(at=at)
            case Read():
                return RouterRead(at=at, served=self.router.read(RELEASE))
            case Apply() if self.lag:
                self.coming = self.coming or (at + self.lag, command.traffic)
                return RouterApplied(
                    at=at,
                    epoch=command.epoch,
                    traffic=command.traffic,
                    served=self.router.read(RELEASE),
                )
            case Apply():
                served = self.router.apply(
                    RELEASE, command.traffic, marker=command.marker, expect=command.expect
                )
                return RouterApplied(
                    at=at, epoch=command.epoch, traffic=command.traffic, served=served
                )
            case Measure():
                return Measured(at=at, analyses=command.analyses, look=self.look(command, at))
            case other:
                raise AssertionError(other)


def same(found: Replay) -> bool:
    """Did it come to the same end at the same moment, with the same words and verdicts, and was all
    of it known?
    """
    return (
        found.replayed == found.recorded
        and found.unknown_from is None
        and found.differences == ()
        and found.gaps == ()
    )


def counted(notes: Iterable[Any], metric: str = "error-rate") -> Counts:
    """What was counted on the candidate, once for each look."""
    events = dict.fromkeys(
        note.event
        for note in notes
        if isinstance(note, EventRecorded) and isinstance(note.event, Measured)
    )
    looks = [
        event.look
        for event in events
        if event.look.metric == metric and event.analyses != ("preflight",)
    ]
    answered = [
        look for look in looks if not any(isinstance(each, NoAnswer) for _, each in look.tracks)
    ]
    counts = [each for look in answered if isinstance(each := look.of(Track.CANDIDATE), Counts)]
    return Counts(
        events=sum(each.events for each in counts), trials=sum(each.trials for each in counts)
    )


def transcript(name: str) -> tuple[Any, Pairs]:
    """The rollout of a golden transcript before its first decision, and its notes with their
    ids.
    """

    def compact(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    first, *decisions = [
        json.loads(line)
        for line in (GOLDEN / "format-1" / "transcripts" / f"{name}.jsonl")
        .read_text("utf-8")
        .splitlines()
    ]
    notes = [
        (f"golden/{serial}/{n}", loads_note(compact(note)))
        for serial, each in enumerate(decisions)
        for n, note in enumerate(each["notes"])
    ]
    return loads(compact(first["begin"])), notes
