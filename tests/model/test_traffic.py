"""Who gets how much: shares, weights, and the names of the tracks."""

from __future__ import annotations

from tests.support.world import World

from progressive import Track, decide


def test_tracks_are_named_as_the_messages_name_them() -> None:
    assert Track.STABLE.label(World().rollout.release) == "stable (v1)"
    assert decide(World().rollout).commands
