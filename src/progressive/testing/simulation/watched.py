"""What is known of a rollout that was watched, and orders to watch one no longer than needed."""

from __future__ import annotations

from datetime import timedelta

import attrs

__all__ = ["Ending", "Passage", "Stay", "Until", "Watched"]


@attrs.frozen
class Ending:
    """How one check ended a rollout, or would have.

    * ``step``: the index of the step.
    * ``after``: counted from the beginning of that step.
    * ``failed``: False if it exhausted its budget without a verdict (no data, inconclusive).
    """

    step: int
    after: timedelta
    failed: bool
    why: str


@attrs.frozen
class Passage:
    """One step that was passed.

    * ``took``: its length.
    * ``requests``: those of the candidate in it.
    * ``waited_for``: by their indices, the checks that were waited for after the step's own time,
      with what each said last.
    """

    took: timedelta
    requests: int
    waited_for: dict[int, str]


@attrs.frozen
class Watched:
    """One rollout that was watched.

    * ``endings``: by the index of the check in the plan; checks that ended nothing have none.
    * ``passages``: of the steps, in order.
    * ``stuck``: the index of the step that was not passed in its time; None if all were.
    """

    endings: dict[int, Ending]
    passages: tuple[Passage, ...]
    stuck: int | None


@attrs.frozen
class Stay:
    """The order to stay in one step until one of ``checks`` has ended the rollout, and end there.

    It stays for ``within`` at most; no other check judges.
    """

    step: int
    within: timedelta
    checks: frozenset[int]


@attrs.frozen
class Until:
    """The order to end as soon as ``checks`` have ended the rollout: each of them, or with ``any``
    the first that has failed; and after the step ``last``, if there is one.
    """

    checks: frozenset[int]
    any: bool = False
    last: int | None = None

    def over(self, endings: dict[int, Ending]) -> bool:
        """Return whether that has come."""
        ended = [endings[c] for c in self.checks if c in endings]
        if self.any:
            return any(ending.failed for ending in ended)
        return bool(self.checks) and len(ended) == len(self.checks)
