"""Read each plan once. A plan never changes and is the largest part of a state, so the next state
of the same rollout has the same text there.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache, lru_cache
from typing import Any, Final

from progressive.plan.plan import Plan
from progressive.plan.step import Kinds

from .schema import Codec
from .strict_json import parsed

__all__ = ["KnownPlans"]

MOST: Final = 256
"""The most plans that are kept, those that were used last: more than one process drives at a time,
in a few megabytes.
"""

BEFORE: Final = ',"plan":'
AFTER: Final = ',"serial":'


class KnownPlans:
    """The plans that were read with one set of kinds, by their text, to the last character.

    They are shared by their rollouts, and so never kept if anything in them can be changed.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._plan = lru_cache(MOST)(self._read)

    @staticmethod
    @cache
    def of(kinds: Kinds) -> KnownPlans:
        """Return the known plans of these kinds."""
        return KnownPlans(Codec.of(kinds))

    def parsed(self, text: str | bytes) -> Any:
        """Read the JSON of a state, with the `Plan` in the place of its data if it can be had.

        Raises `StateError` if it is not strict.
        """
        if self._codec.frozen:
            with suppress(Exception):  # whatever is wrong, reading the whole says it
                return self._in_parts(text.decode() if isinstance(text, bytes) else text)
        return parsed(text)

    def _in_parts(self, text: str) -> Any:
        """Read a text as `dumps` writes it: what is before the plan, the plan, what is after it.

        If the first is an object once a brace closes it, the last is one once a brace opens it, and
        the plan is one by itself, then the text is an object with the members of all three,
        whatever the words in it are. Anything else raises an error.
        """
        start = text.index(BEFORE + "{")
        end = text.index("}" + AFTER, start) + 1
        before = parsed(text[:start] + "}")
        after = parsed("{" + text[end + 1 :])
        whole = {**before, "plan": self._plan(text[start + len(BEFORE) : end]), **after}
        if not before or len(whole) != len(before) + 1 + len(after):
            raise ValueError("a comma without a member before it, or a key that stands twice")
        return whole

    def _read(self, text: str) -> Plan:
        [data] = parsed(f"[{text}]")  # one value, as deep as in a state
        plan: Plan = self._codec.load(Plan, data)
        if not self._codec.frozen:
            raise TypeError("a class of these kinds is not frozen")
        _ = {plan}  # a TypeError if a value in it can't be hashed, as it is not frozen
        _ = plan.series  # made before threads share it: they are compared by identity
        return plan
