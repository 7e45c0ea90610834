"""Crashes, lost compare-and-sets, reloads: nothing that was decided is lost, and nothing happens
twice.
"""

from __future__ import annotations

import itertools
import json
import random
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import attr
import pytest
from tests.support import wild
from tests.support.paths import ROOT
from tests.support.rules import rule
from tests.support.world import RELEASE, START, World, canary

import progressive
from progressive import (
    Abort,
    Approve,
    BlueGreen,
    Canary,
    Go,
    Hold,
    Phase,
    PromoteNow,
    Reject,
    Resume,
    Skip,
    StateError,
    Tick,
    begin,
    decide,
    dumps,
    loads,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.engine.decide import _in_order
from progressive.errors import ConflictError
from progressive.model.measurement import Look, NoData, Window
from progressive.model.traffic import Track
from progressive.rollout.events import Inspected, Measured, Retired, RouterRead
from progressive.runtime.protocol import Persist

SHORT = Canary(
    weights=percents(50, 100), bake=seconds(1), watch_every=seconds(10), unguarded="a crash test"
)


def ended(world: World) -> World:
    return world.until_phase(Phase.PROMOTED, Phase.ROLLED_BACK)


def driven(strategy: object, kills: dict[int, int], abort_at: int | None = None) -> World:
    """A whole rollout whose driver is killed in these ticks, each before its n-th move."""
    world = World(strategy=strategy)
    for tick in itertools.count():
        if tick == abort_at and not world.rollout.final:
            world.say(Abort(at=world.now, by="eve", why="now"))
        world.tick(kill_before=kills.get(tick))
        wake = world.rollout.wake_at
        if wake is None:
            return world
        world.now = max(world.now + timedelta(milliseconds=1), wake)
        assert tick < 200, world.rollout
    raise AssertionError


@rule("R4")
def test_killed_at_every_point_it_still_gets_there() -> None:
    for tick, move in itertools.product(range(8), range(7)):
        world = driven(SHORT, {tick: move})
        assert world.phase is Phase.PROMOTED, (tick, move)
        assert world.candidate == percent(100)


@rule("R4")
@pytest.mark.slow
def test_killed_at_every_two_points_it_still_gets_there() -> None:
    for first, second in itertools.combinations(range(7), 2):
        for a, b in itertools.product(range(5), repeat=2):
            world = driven(SHORT, {first: a, second: b})
            assert world.phase is Phase.PROMOTED, (first, a, second, b)


@rule("R2", "R4")
def test_aborted_and_killed_at_every_point_it_goes_back() -> None:
    for abort_at, tick, move in itertools.product(range(7), range(7), range(6)):
        world = driven(SHORT, {tick: move}, abort_at)
        assert world.phase in (Phase.ROLLED_BACK, Phase.PROMOTED), (abort_at, tick, move)
        assert world.candidate == percent(0 if world.phase is Phase.ROLLED_BACK else 100)


@rule("R4")
def test_every_driver_reloads_from_json_and_decides_the_same() -> None:
    world = World()
    for _ in range(60):
        rollout = world.rollout
        again = loads(dumps(rollout))
        event = Tick(at=world.now)
        assert decide(again, event) == decide(rollout, event)
        world.tick()
        if world.rollout.wake_at is None:
            break
        world.now = max(world.now + seconds(1), world.rollout.wake_at)


@rule("R21")
def test_a_save_on_somebody_else_s_serial_is_lost_and_does_nothing() -> None:
    world = World().until_next_tick_raises()
    moves = world.moves()
    for move in moves:
        if isinstance(move, Persist):
            break
    world.say(Hold(at=world.now, by="eve", why="wait"))
    held, writes = world.text, len(world.writes)
    with pytest.raises(ConflictError):
        next(moves)

    assert (world.text, len(world.writes)) == (held, writes)


@rule("R24")
@pytest.mark.parametrize("phase", [Phase.PROMOTED, Phase.ROLLED_BACK])
def test_a_final_phase_absorbs_every_event(phase: Phase) -> None:
    world = World(bad=0.5 if phase is Phase.ROLLED_BACK else 0.001).until_phase(phase)
    rollout, at = world.rollout, world.now + seconds(5)
    for event in (
        Tick(at=at),
        RouterRead(at=at, served=world.served()),
        world.answers[-1],
        Inspected(at=at),
        Retired(at=at),
        Abort(at=at, by="eve", why="late"),
        Approve(at=at, approval="go", by="eve", why="late"),
        Reject(at=at, approval="go", by="eve", why="late"),
        Hold(at=at, by="eve", why="late"),
        Resume(at=at, by="eve", why="late"),
        Skip(at=at, epoch=rollout.epoch, by="eve", why="late"),
        PromoteNow(at=at, by="eve", why="late"),
    ):
        decision = decide(rollout, event)
        assert decision.rollout.phase is phase
        assert decision.commands == ()
        assert decision.wake_at is None


@rule("R26")
def test_a_tick_that_is_dropped_anywhere_leaves_nothing_that_was_not_stored() -> None:
    for tick, move in itertools.product(range(8), range(7)):
        world = World(strategy=SHORT)
        for _ in range(tick):
            world.tick()
            world.now = max(world.now + seconds(1), world.rollout.wake_at or world.now)
        world.tick(kill_before=move)

        assert world.candidate.ppm <= world.ghost.ceiling


@rule("R32")
@pytest.mark.parametrize("seed", range(6))
def test_every_state_of_a_wild_run_survives_json(seed: int) -> None:
    wild.run(seed + 1_000)


@rule("R33", "R34")
def test_text_cut_at_every_byte_is_one_clear_error() -> None:
    text = World().until_weight(50).text
    for cut in range(len(text)):
        with pytest.raises(StateError):
            loads(text[:cut])


@rule("R34")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[]", "expected an object"),
        ("[" * 100_000, "nested deeper than 64"),
        ('{"format":1,"format":1}', "'format' stands twice"),
        ('{"format":NaN}', "NaN is not a number"),
        ('{"format":' + "9" * 5_000 + "}", "not JSON"),
        ('{"format":2}', "newer version of progressive"),
        ('{"format":"1"}', "format '1': this version reads format 1"),
        ('{"format":1}', "$.id: missing"),
        ("{" + '"a":{' * 80 + '"a":1' + "}" * 81, "nested deeper than 64"),
    ],
)
def test_text_that_is_no_state(text: str, said: str) -> None:
    with pytest.raises(StateError) as caught:
        loads(text)

    assert said in str(caught.value)


def pythons() -> list[str]:
    """The newest other Python at hand, if there is one that runs: on the path, or where pyenv keeps
    them.
    """
    on_path = [shutil.which(f"python3.{minor}") for minor in range(20, 10, -1)]
    kept = sorted(
        Path.home().glob(".pyenv/versions/3.*/bin/python3.[0-9][0-9]"),
        key=lambda path: int(path.name.rpartition(".")[2]),
    )
    for each in [*filter(None, on_path), *map(str, reversed(kept))]:
        # Itself, and not what is on the path: that may be a script which needs the environment to
        # find it.
        asked = [
            each,
            "-c",
            (
                "import sys; print(sys.version_info >= (3, 11) and sys.version_info[:2], "
                "sys.executable, sep='\\n')"
            ),
        ]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        version, _, executable = done.stdout.strip().partition("\n")
        if done.returncode == 0 and version not in ("False", str(sys.version_info[:2])):
            return [executable]
    return []


@rule("R36")
@pytest.mark.slow
def test_equal_bytes_under_five_hash_seeds_and_on_the_newest_python_at_hand() -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "import hashlib\nfrom tests.support import wild\n"
        "texts = [wild.run(seed, steps=25) for seed in (3, 4, 5)]\n"
        "from progressive.codec import dumps_note\n"
        "print(hashlib.sha256('\\n'.join(w.text + ''.join(map(dumps_note, w.notes)) for w "
        "in texts).encode()).hexdigest())\n"
    )
    paths = [
        str(ROOT),
        *(str(Path(module.__file__ or "").parent.parent) for module in (progressive, attr)),
    ]
    runs = [(sys.executable, seed) for seed in range(5)] + [(python, 7) for python in pythons()]
    digests = set()
    for python, seed in runs:
        done = subprocess.run(
            [python, "-I", "-B", "-c", script, *paths]
            if python is not sys.executable
            else [python, "-B", "-c", script, *paths],
            env={"PYTHONHASHSEED": str(seed), "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)

    assert len(digests) == 1


@rule("R35", "R36")
def test_decisions_do_not_depend_on_the_order_of_the_replies_of_one_round() -> None:
    for seed in range(5):
        straight, shuffled = World(bad=0.015), World(bad=0.015, shuffle=random.Random(seed))
        straight.until_phase(Phase.PROMOTED, Phase.ROLLED_BACK)
        shuffled.until_phase(Phase.PROMOTED, Phase.ROLLED_BACK)

        assert straight.text == shuffled.text


def test_looks_of_one_moment_are_absorbed_in_the_order_of_their_text() -> None:
    """Stored transcripts have that order; it is found from the little that differs, not from the
    whole text.
    """
    window = Window(START, START + seconds(30))
    looks = [
        Measured(
            at=START,
            analyses=analyses,
            look=Look(metric=metric, window=window, tracks={Track.STABLE: NoData(why)}),
        )
        for analyses in (("a",), ("a", "b"), ("a'b",), ('a"b',), ("b",), ("ab", "a"), ("a, b",))
        for metric in ("x", "x-y", "y", "x.z")
        for why in ("none", "nothing")
    ]
    for seed in range(5):
        random.Random(seed).shuffle(looks)

        assert list(_in_order(tuple(looks))) == sorted(looks, key=repr)
        assert list(_in_order(tuple(looks[:2]))) == sorted(looks[:2], key=repr)


def test_a_rollout_that_never_wrote_ends_at_once() -> None:
    rollout = begin(canary().plan, RELEASE, id="r", at=START)
    decision = decide(rollout, Abort(at=START, by="eve", why="the wrong service"))

    assert decision.rollout.phase is Phase.ROLLED_BACK
    assert decision.wake_at is None
    assert "nothing was ever written" in decision.rollout.progress.reason


@pytest.mark.slow
def test_the_size_of_the_state_does_not_grow_with_looks() -> None:
    sizes = []
    for bake in (minutes(5), minutes(50), minutes(500)):
        world = World(strategy=canary(weights=percents(100), bake=bake)).until_phase(
            Phase.PROMOTED, ticks=3_000
        )
        sizes.append(len(world.text))

    assert max(sizes) - min(sizes) < 60
    assert max(sizes) < 4_096


def test_what_is_stored_can_be_read_by_a_person() -> None:
    state = json.loads(World().until_weight(50).text)

    assert state["release"]["candidate"] == {"identity": "v2", "backend": "v2"}
    assert state["routing"]["wanted"] == {"candidate": 50}
    assert datetime.fromisoformat(state["clocks"]["now"]) >= START


def test_blue_green_is_the_same_engine() -> None:
    plan = BlueGreen(preview_hook="smoke", bake=minutes(1), unguarded="its hook is its guard")
    world = ended(World(strategy=plan, hook=lambda key: Go()))

    assert [traffic.candidate for _, traffic in world.writes] == list(percents(0, 100))
