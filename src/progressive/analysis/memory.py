"""Read back what a check has stored in its memory.

Memory is typed as plain JSON values. A check gets back only what it has returned itself, so these
functions restore the type and trust the content.
"""

from __future__ import annotations

from typing import cast

from progressive.model.actions import Memory

from .comparisons import clumped

__all__ = ["kept_beside", "kept_counts", "kept_numbers", "kept_pair", "kept_weighed"]


def kept_pair(memory: Memory) -> tuple[Memory, Memory]:
    """Return the two parts of a memory; both are None before the first look."""
    assert memory is None or isinstance(memory, tuple)
    first, second = memory or (None, None)
    return first, second


def kept_beside(memory: Memory) -> tuple[clumped.State | None, Memory]:
    """Return what is known of clumps, None before the first look, and what was kept beside it."""
    known, rest = kept_pair(memory)
    return cast("clumped.State | None", known), rest


def kept_weighed(memory: Memory) -> tuple[int | None, Memory]:
    """Return the candidate's weight in the last look, in millionths, and what else was kept; 0 and
    None before the first look.

    Of what was begun before weights were kept, return None and all of it.
    """
    if memory is None:
        return 0, None
    assert isinstance(memory, tuple)
    if len(memory) != 2 or not isinstance(memory[0], int):
        return None, memory
    weight, state = memory
    return cast("int", weight), state


def kept_numbers(memory: Memory) -> tuple[float, ...]:
    """Return stored numbers; none before the first look."""
    return cast("tuple[float, ...]", memory or ())


def kept_counts(memory: Memory) -> tuple[int, ...]:
    """Return stored whole numbers; none before the first look."""
    return cast("tuple[int, ...]", memory or ())
