"""One tick's dialogue: what is saved before what is done."""

from __future__ import annotations

from tests.support.rules import rule
from tests.support.world import World

from progressive import Abort, Hold, Phase, Traffic, percent, seconds
from progressive.rollout.events import Tick
from progressive.runtime.protocol import (
    ROUNDS,
    Effect,
    Execute,
    Persist,
    Persisted,
    tick_protocol,
)


@rule("R4")
def test_what_raises_is_saved_before_it_is_done() -> None:
    world = World().until_next_tick_raises()
    order = [
        "save" if isinstance(move, Persist) else "/".join(command.kind for command in move.commands)
        for move in world.moves()
    ]

    assert order[:4] == ["read", "measure", "save", "apply"]
    assert order[-1] == "save"


@rule("R4")
def test_nothing_is_raised_while_the_store_is_down() -> None:
    world = World().until_next_tick_raises()
    world.store_down = True
    for _ in range(5):
        world.tick()

    assert world.candidate == percent(5)
    world.heal()
    world.until_phase(Phase.PROMOTED)


def test_the_claim_is_not_written_while_the_store_is_down() -> None:
    world = World(store_down=True)
    for _ in range(3):
        world.tick()

    assert world.writes == []


def test_a_quiet_tick_reads_once_and_saves_once() -> None:
    world = World().until_weight(5)
    reads, saves = world.reads, world.saves
    world.tick()

    assert (world.reads - reads, world.saves - saves) == (1, 1)


def test_a_weight_change_is_one_read_one_write() -> None:
    world = World().until_next_tick_raises()
    reads, writes = world.reads, len(world.writes)
    world.tick()

    assert (world.reads - reads, len(world.writes) - writes) == (1, 1)
    assert world.traffic == Traffic(candidate=percent(50))


def test_a_tick_ends_even_if_nobody_ever_answers() -> None:
    rollout = World().until_weight(5).rollout
    talk = tick_protocol(
        rollout,
        (),
        tick=Tick(at=rollout.clocks.now + seconds(30)),
        stored=True,
        expected=rollout.serial,
    )
    moves = [next(talk)]
    for _ in range(99):
        try:
            moves.append(talk.send(Persisted() if isinstance(moves[-1], Persist) else []))
        except StopIteration as stopped:
            ticked = stopped.value
            break

    assert len([move for move in moves if isinstance(move, Execute)]) == ROUNDS
    assert ticked.decision.wake_at is not None


@rule("R4")
def test_after_a_save_that_failed_what_lowers_goes_first_and_is_saved_after_it() -> None:
    """A store that is down keeps nobody waiting a second time."""
    world = World().until_weight(50)
    before = world.rollout
    last = world.say(Hold(at=world.now, by="eve", why="a look at it")).rollout
    world.now += seconds(30)
    aborted = Abort(at=world.now, by="eve", why="now")
    talk = tick_protocol(
        last, (aborted,), tick=Tick(at=world.now), stored=True, expected=before.serial
    )
    order: list[str] = []
    move: Effect | None = next(talk)
    while move is not None:
        saves = isinstance(move, Persist)
        order += ["save"] if saves else [command.kind for command in move.commands]
        reply = Persisted() if saves else [world.do(command) for command in move.commands]
        try:
            move = talk.send(reply)
        except StopIteration:
            move = None

    assert "apply" in order and "save" in order
    assert order.index("apply") < order.index("save")
    assert world.candidate == percent(0)
